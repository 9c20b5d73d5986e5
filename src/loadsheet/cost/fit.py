"""What a request and its model hold in memory, how fast that is, and how much of it fits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadsheet.cost.ledger import Ledger, LedgerLine, Owner
from loadsheet.cost.memory import (
    RUNTIME_BYTES,
    activation_bytes,
    decoder_ledger,
    image_ledger,
    kv_bytes,
    kv_bytes_per_token,
    kv_share,
    largest,
    weight_bytes,
)
from loadsheet.cost.work import Step, Work, loaded, picture
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import PipelineSpec
from loadsheet.specs.precision import Precision
from loadsheet.units import format_bytes


def held(
    entry: Entry, planned: Sequence[Step], precision: Precision, work: Work, tp_size: int
) -> Ledger:
    """Bytes of one device by owner while the request runs."""
    model = entry.model
    if isinstance(model, PipelineSpec):
        return image_ledger(entry.name, model, loaded(entry), picture(model, work), precision)
    if isinstance(model, DecoderSpec):
        context = work.input_tokens + work.output_tokens
        part = planned[0].component
        return decoder_ledger(entry.name, part, work.batch, context, precision, tp_size)
    weights = sum(weight_bytes(part, precision) for part in loaded(entry))
    peak = max(activation_bytes(step.component, step.shape) for step in planned)
    lines = (
        LedgerLine(owner=Owner.WEIGHTS, model=entry.name, part="", num_bytes=weights),
        LedgerLine(owner=Owner.ACTIVATIONS, model=entry.name, part="", num_bytes=peak),
        LedgerLine(owner=Owner.RUNTIME, model=entry.name, part="", num_bytes=RUNTIME_BYTES),
    )
    return Ledger(lines=lines)


def largest_fit(
    entry: Entry,
    planned: Sequence[Step],
    precision: Precision,
    work: Work,
    where: tuple[int, int],
) -> dict[str, float]:
    """The largest batch and context, or images at once; `where` is (bytes of a device, devices)."""
    budget, tp_size = where
    model = entry.model
    if isinstance(model, PipelineSpec):
        one, two = (
            image_ledger(
                entry.name,
                model,
                loaded(entry),
                picture(model, replace(work, batch=images)),
                precision,
            ).total_bytes()
            for images in (1, 2)
        )
        # latents and activations grow evenly with the images, weights not at all
        return {"concurrent_images": max(0, 1 + (budget - one) // (two - one))}
    if not isinstance(model, DecoderSpec):
        return {}
    share = kv_share(model, tp_size)

    def cached(context: int) -> int:
        return round(kv_bytes(model, context, precision) * share)

    context = work.input_tokens + work.output_tokens
    one_ledger = decoder_ledger(
        entry.name, planned[0].component, 1, context, precision, tp_size
    ).total_bytes()
    fixed = one_ledger - cached(context)
    most = largest(lambda tokens: fixed + work.batch * cached(tokens) <= budget)
    limit = model.num_positions
    return {
        "kv_bytes_per_token": kv_bytes_per_token(model, precision),
        "largest_batch": max(0, (budget - fixed) // cached(context)),
        "largest_context": min(most, limit) if limit else most,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What a server holds that reserves `share` of the device: it fills the rest with KV blocks,
    used or not. This is why a model of a billion parameters is seen to take seventy gigabytes."""

    share: float
    ledger: Ledger
    needed_bytes: int  # by the model and the request at hand
    reserved_bytes: int  # KV blocks
    used_bytes: int  # of them, by the request at hand
    tokens: int  # that the blocks have room for
    requests: int  # of the length at hand

    def sentences(self) -> list[str]:
        return [
            f"The model and this request need {self.needed_bytes / 2**30:.1f} GiB; "
            f"the server holds {self.ledger.total_bytes() / 2**30:.1f} GiB.",
            f"The difference is KV cache, taken in advance: {self.reserved_bytes / 2**30:.1f} GiB "
            f"of blocks, room for {self.tokens:,} tokens or {self.requests:,} requests like this; "
            f"now {format_bytes(self.used_bytes)} of them are used.",
            "Reserve a smaller share, or run more requests at once to use it.",
        ]


def reserve(ledger: Ledger, device_bytes: int, share: float, work: Work) -> Reservation:
    """`ledger` is of `work`. Raises CapacityError when the share does not even hold that."""
    if not (math.isfinite(share) and 0 < share <= 1):
        raise ConfigError(f"the reserved share is {share}; it must be above 0 and at most 1")
    kept = [line for line in ledger.lines if line.owner is not Owner.KV_BLOCKS]
    used = ledger.total_bytes() - sum(line.num_bytes for line in kept)
    budget = int(device_bytes * share)
    spare = budget - sum(line.num_bytes for line in kept)
    if spare < used:
        raise CapacityError(
            f"{share:.0%} of the device is {budget / 2**30:.1f} GiB, but the model and this "
            f"request need {ledger.total_bytes() / 2**30:.1f} GiB; reserve more, or take a larger "
            "device, fewer or shorter requests, or --dtype fp8"
        )
    name = ledger.lines[0].model
    blocks = LedgerLine(owner=Owner.KV_BLOCKS, model=name, part="reserved", num_bytes=spare)
    context = work.input_tokens + work.output_tokens
    each = used / (work.batch * context)
    return Reservation(
        share=share,
        ledger=Ledger(lines=(*kept, blocks)),
        needed_bytes=ledger.total_bytes(),
        reserved_bytes=spare,
        used_bytes=used,
        tokens=int(spare / each),
        requests=int(spare / each / context),
    )
