"""A replica for given models, as a server would start it: what the weights leave is the cache.

    device memory ── weights ── widest moment of a step ── runtime ── latents ──► KV blocks

For whoever has models and a device but no plan. A planner chooses all of this itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from loadsheet.cost.ledger import LedgerLine, Owner
from loadsheet.cost.memory import (
    RUNTIME_BYTES,
    decoder_ledger,
    image_ledger,
    kv_bytes_per_token,
    kv_share,
    latent_bytes,
)
from loadsheet.cost.serving.software import text_engine
from loadsheet.cost.shape import PictureShape
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.sched.limits import EncoderLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sim.deployment import ReplicaGroup, ResidentModel
from loadsheet.sim.price_book import PriceBook
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import PipelineSpec
from loadsheet.specs.precision import of
from loadsheet.units import format_bytes

MEMORY_SHARE = 0.95  # datasheets round up, and allocators fragment
MAX_CONTEXT_TOKENS = 131_072
MAX_BATCH = 8  # images of a step
STARTED = 2  # batches of images that may hold latents
CONDITIONING_BYTES = 4 * 2**10  # per token of a prompt: 2048 values of 16 bits
BLOCK_TOKENS = 16
MAX_SEQUENCES = 256
MAX_CHUNK_TOKENS = 512
MAX_IMAGE_STEPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """What is asked of each replica. `engine_limits` names an engine whose token budget, number of
    sequences and share of memory are taken instead of our own; `sizes` are of images."""

    name: str
    device: str
    models: tuple[ResidentModel, ...]
    sizes: tuple[tuple[int, int], ...] = ()
    num_replicas: int = 1
    tp: int = 1
    pp: int = 1
    num_lanes: int = 1
    policy: str = "slack"
    engine_limits: str | None = None


def replica_group(sizing: Sizing, book: PriceBook) -> ReplicaGroup:
    """Raises CapacityError with the missing bytes where the models do not fit."""
    entries = {model.name: book.entry(model) for model in sizing.models}
    text = [one for one in sizing.models if isinstance(entries[one.name].model, DecoderSpec)]
    images = [one for one in sizing.models if isinstance(entries[one.name].model, PipelineSpec)]
    encoders = [one for one in sizing.models if entries[one.name].kind == "encoder"]
    rest = set(entries) - {one.name for one in (*text, *images, *encoders)}
    if rest:
        raise ConfigError(f"{', '.join(sorted(rest))}: no decoder, image pipeline or encoder")
    image_limits = tuple(_image_limits(one, entries[one.name], sizing) for one in images)
    free = _free_bytes(sizing, entries, book) - sum(one.budget_bytes for one in image_limits)
    return ReplicaGroup(
        name=sizing.name,
        device=sizing.device,
        num_replicas=sizing.num_replicas,
        models=sizing.models,
        text=tuple(_text_limits(one, entries[one.name], free // len(text), sizing) for one in text),
        images=image_limits,
        encoders=tuple(EncoderLimits(model=one.name) for one in encoders),
        tp=sizing.tp,
        pp=sizing.pp,
        num_lanes=sizing.num_lanes,
        policy=sizing.policy,
    )


def image_state_bytes(pipeline: PipelineSpec, width: int, height: int) -> int:
    """What one image keeps between steps: latents, and both prompts' conditioning."""
    latents = latent_bytes(pipeline, PictureShape(width=width, height=height))
    return latents + 2 * pipeline.text_tokens * CONDITIONING_BYTES


def _free_bytes(sizing: Sizing, entries: dict[str, Entry], book: PriceBook) -> int:
    """Of one device, beside weights, runtime and the widest step of any model."""
    device = book.device(sizing.device)
    share = MEMORY_SHARE
    if sizing.engine_limits is not None:
        share = text_engine(sizing.engine_limits).memory_share
    weights, widest = 0, 0
    for model in sizing.models:
        lines = list(_lines(model, entries[model.name], sizing))
        if lines:
            weights += sum(one.num_bytes for one in lines if one.owner is Owner.WEIGHTS)
            widest = max(widest, sum(one.num_bytes for one in lines if one.owner in _TRANSIENT))
        else:
            weights += book.weight_bytes(model)
    free = int(share * device.memory_bytes) - weights // sizing.pp - widest - RUNTIME_BYTES
    if free <= 0:
        raise CapacityError(
            f"{', '.join(entries)} on {device.name} are out of memory by {format_bytes(-free)} "
            "before any request; take a larger device, a smaller dtype, more tp, or put the "
            "models apart"
        )
    return free


_TRANSIENT = (Owner.ACTIVATIONS, Owner.VAE_PEAK, Owner.COMMUNICATION)


def _lines(model: ResidentModel, entry: Entry, sizing: Sizing) -> Iterable[LedgerLine]:
    precision = of(model.dtype, model.kv_dtype)
    if isinstance(entry.model, DecoderSpec):
        (part,) = entry.components()
        return decoder_ledger(model.name, part, 1, 2048, precision, sizing.tp).lines
    if isinstance(entry.model, PipelineSpec):
        width, height = max(_sizes(sizing, entry.model), key=lambda size: size[0] * size[1])
        shape = PictureShape(
            width=width,
            height=height,
            text_tokens=entry.model.text_tokens,
            frames=entry.model.frames,
        )
        return image_ledger(model.name, entry.model, entry.components(), shape, precision).lines
    return ()


def _sizes(sizing: Sizing, pipeline: PipelineSpec) -> tuple[tuple[int, int], ...]:
    return sizing.sizes or ((pipeline.width, pipeline.height),)


def _image_limits(model: ResidentModel, entry: Entry, sizing: Sizing) -> ImageLimits:
    pipeline = entry.model
    assert isinstance(pipeline, PipelineSpec)
    sizes = tuple(
        ImageSize(
            width=width, height=height, state_bytes=image_state_bytes(pipeline, width, height)
        )
        for width, height in _sizes(sizing, pipeline)
    )
    largest = max(size.state_bytes for size in sizes)
    return ImageLimits(
        model=model.name,
        sizes=sizes,
        budget_bytes=STARTED * MAX_BATCH * largest,
        max_batch=MAX_BATCH,
        max_steps=MAX_IMAGE_STEPS,
    )


def _text_limits(model: ResidentModel, entry: Entry, free: int, sizing: Sizing) -> TextLimits:
    spec = entry.model
    assert isinstance(spec, DecoderSpec)
    precision = of(model.dtype, model.kv_dtype)
    per_token = kv_bytes_per_token(spec, precision) * kv_share(spec, sizing.tp) / sizing.pp
    num_blocks = int(max(free, 0) / per_token) // BLOCK_TOKENS
    if num_blocks < 1:
        raise CapacityError(
            f"{model.name} on {sizing.device} has {format_bytes(max(free, 0))} left for its cache, "
            f"a block takes {format_bytes(per_token * BLOCK_TOKENS)}; take a larger device, a "
            "smaller dtype, more tp, or put the models apart"
        )
    room = min(MAX_CONTEXT_TOKENS, num_blocks * BLOCK_TOKENS)
    context = min(room, spec.num_positions) if spec.num_positions else room
    engine = None if sizing.engine_limits is None else text_engine(sizing.engine_limits)
    return TextLimits(
        model=model.name,
        num_blocks=num_blocks,
        block_tokens=BLOCK_TOKENS,
        max_context_tokens=context,
        max_num_seqs=engine.max_sequences if engine else MAX_SEQUENCES,
        max_chunk_tokens=engine.token_slots if engine else MAX_CHUNK_TOKENS,
    )
