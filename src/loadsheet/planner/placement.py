"""From a solution to replicas with limits: who gets which bytes of the memory that is left."""

from dataclasses import dataclass

from loadsheet.cost.ledger import LedgerLine, Owner
from loadsheet.cost.memory import kv_bytes_per_token, kv_share
from loadsheet.planner.demand import ImageSizes, TextSizes
from loadsheet.planner.fit import ModelFit
from loadsheet.planner.image_fit import state_bytes
from loadsheet.planner.offer import Offer
from loadsheet.planner.option import Option
from loadsheet.planner.problem import Problem, column_name
from loadsheet.planner.program import Solution
from loadsheet.planner.text_fit import MAX_SEQUENCES
from loadsheet.sched.limits import ImageLimits, ImageSize, TextLimits
from loadsheet.sim.deployment import Deployment, ReplicaGroup
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import PipelineSpec
from loadsheet.specs.precision import of

_BLOCK_TOKENS = 16
_CHUNK_TOKENS, _OWN_CHUNK_TOKENS = 2048, 512
_STARTED_IMAGES = 16  # whose latents are kept at once
_LATENT_SHARE = 0.25  # at most, of the memory that is left
_MAX_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """`rates` of every class sent here; `ledger` of one device with all of its memory dealt out."""

    offer: Offer
    option: Option
    rates: dict[str, float]
    replicas: ReplicaGroup
    ledger: tuple[LedgerLine, ...]

    @property
    def count(self) -> int:
        return self.replicas.num_replicas

    @property
    def num_devices(self) -> int:
        return self.count * self.replicas.num_devices

    @property
    def utilisation(self) -> float:
        """Of each replica, decode tax included."""
        load = sum(self.rates.get(one.demand.name, 0) * one.seconds for one in self.option.classes)
        return self.option.tax + load / self.count


def placements_of(problem: Problem, solution: Solution) -> tuple[Placement, ...]:
    """In order of devices' names, then of models."""
    options = {column_name(*pair): pair for pair in problem.options}
    placed = []
    for name, count in sorted(solution.counts.items()):
        offer, option = options[name]
        rates = {key: of[name] for key, of in solution.rates.items() if name in of}
        placed.append(_place(offer, option, count, rates))
    return tuple(placed)


def deployment_of(placements: tuple[Placement, ...]) -> Deployment:
    return Deployment(groups=tuple(one.replicas for one in placements))


def _place(offer: Offer, option: Option, count: int, rates: dict[str, float]) -> Placement:
    images = tuple(_image_limits(fit, option.free_bytes) for fit in option.fits if _draws(fit))
    latents = {one.model: one.budget_bytes for one in images}
    left = option.free_bytes - sum(latents.values())
    kv_bytes = _dealt(option, left, rates)
    text = tuple(
        _text_limits(fit, kv_bytes[fit.model.name]) for fit in option.fits if not _draws(fit)
    )
    replicas = ReplicaGroup(
        name=f"{offer.name.replace('/', '-')}-x{option.tp}-{'-'.join(option.models)}",
        device=option.device.name,
        num_replicas=count,
        models=tuple(fit.model for fit in option.fits),
        text=text,
        images=images,
        tp=option.tp,
        usd_per_hour=offer.usd_per_hour,
    )
    lines = [
        *option.lines,
        *(_line(Owner.KV_BLOCKS, name, num) for name, num in kv_bytes.items()),
        *(_line(Owner.LATENTS, name, num) for name, num in latents.items()),
    ]
    return Placement(
        offer=offer, option=option, rates=rates, replicas=replicas, ledger=tuple(lines)
    )


def _dealt(option: Option, left: int, rates: dict[str, float]) -> dict[str, int]:
    """KV bytes by text model, as its sequences need them (Little's law); each holds its longest."""
    fits = [fit for fit in option.fits if not _draws(fit)]
    least = {fit.model.name: _block_bytes(fit) * _longest_blocks(fit) for fit in fits}
    wants = {
        fit.model.name: sum(
            rates.get(one.demand.name, 0.0) * one.held_bytes * one.held_s for one in fit.classes
        )
        for fit in fits
    }
    spare = left - sum(least.values())
    whole = sum(wants.values())
    return {  # no more than all sequences together can ever hold
        name: min(
            least[name] * MAX_SEQUENCES,
            least[name] + int(spare * (want / whole if whole else 1 / len(fits))),
        )
        for name, want in wants.items()
    }


def _text_limits(fit: ModelFit, kv_bytes: int) -> TextLimits:
    blocks = kv_bytes // _block_bytes(fit)
    longest = _longest_blocks(fit) * _BLOCK_TOKENS
    mean = max(sizes.resident_tokens for sizes in _texts(fit))
    sequences = max(1, int(blocks * _BLOCK_TOKENS / mean))
    return TextLimits(
        model=fit.model.name,
        num_blocks=blocks,
        block_tokens=_BLOCK_TOKENS,
        max_context_tokens=longest,
        max_num_seqs=min(MAX_SEQUENCES, sequences),
        max_chunk_tokens=_OWN_CHUNK_TOKENS if fit.device.rates else _CHUNK_TOKENS,
    )


def _image_limits(fit: ModelFit, free_bytes: int) -> ImageLimits:
    pipeline = fit.entry.model
    assert isinstance(pipeline, PipelineSpec)
    wanted = [one.demand.sizes for one in fit.classes]
    sizes = [size for size in wanted if isinstance(size, ImageSizes)]
    offered = {
        (size.width, size.height): ImageSize(
            width=size.width, height=size.height, state_bytes=state_bytes(pipeline, size)
        )
        for size in sizes
    }
    largest = max(size.state_bytes for size in offered.values())
    budget = min(_STARTED_IMAGES * largest, max(largest, int(_LATENT_SHARE * free_bytes)))
    return ImageLimits(
        model=fit.model.name,
        sizes=tuple(offered.values()),
        budget_bytes=budget,
        max_batch=fit.batch,
        max_steps=max(_MAX_STEPS, *(size.longest_steps for size in sizes)),
    )


def _block_bytes(fit: ModelFit) -> int:
    """Of one block on each device of the replica."""
    spec = fit.entry.model
    assert isinstance(spec, DecoderSpec)
    precision = of(fit.model.dtype, fit.model.kv_dtype)
    each = kv_bytes_per_token(spec, precision) * kv_share(spec, fit.tp)
    return max(1, round(_BLOCK_TOKENS * each))


def _longest_blocks(fit: ModelFit) -> int:
    longest = max(sizes.longest_tokens for sizes in _texts(fit))
    return -(-longest // _BLOCK_TOKENS)


def _texts(fit: ModelFit) -> list[TextSizes]:
    sizes = (one.demand.sizes for one in fit.classes)
    return [size for size in sizes if isinstance(size, TextSizes)]


def _draws(fit: ModelFit) -> bool:
    return isinstance(fit.entry.model, PipelineSpec)


def _line(owner: Owner, model: str, num_bytes: int) -> LedgerLine:
    return LedgerLine(owner=owner, model=model, part="", num_bytes=num_bytes)
