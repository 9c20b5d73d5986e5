"""Output tokens per second of a saturated engine, or of one static batch.

Saturated, every request costs its prefill, run in full iterations, and its tokens' share of
decode iterations at the batch that the cache holds; the two add up, because a device does one
after the other (continuous batching as in Orca, chunked prefill as in Sarathi-Serve). A static
batch is prefilled once and decoded to the end.
"""

from dataclasses import dataclass

from loadsheet.cost.kernel.silicon import capacity_bytes
from loadsheet.cost.memory import RUNTIME_BYTES, kv_bytes, weight_bytes
from loadsheet.cost.serving.software import TextEngine
from loadsheet.cost.serving.text_step import (
    TextModel,
    decode_shape,
    heads_of,
    prefill_shape,
    step_seconds,
)
from loadsheet.errors import CapacityError, ConfigError

_DEGREES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextJob:
    """`batch` None is saturated; `replicas` copies of the model work side by side, each over
    `pp` stages of `model.tp` devices."""

    model: TextModel
    engine: TextEngine
    input_tokens: int
    output_tokens: int
    batch: int | None = None
    replicas: float = 1
    pp: int = 1

    def __post_init__(self) -> None:
        for name, value in (
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
        ):
            if value < 1:
                raise ConfigError(f"{name} is {value}; it must be 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRate:
    output_tokens_per_s: float
    batch: int


def offline_text(job: TextJob) -> TextRate:
    """Raises CapacityError when the weights and one sequence do not fit."""
    most = largest_batch(job)
    batch = min(most, job.engine.max_sequences) if job.batch is None else job.batch
    per_request_s = request_seconds(job, batch)
    rate = job.replicas * job.pp * job.output_tokens / per_request_s
    return TextRate(output_tokens_per_s=rate, batch=batch)


def request_seconds(job: TextJob, batch: int) -> float:
    """Device time that one request takes when `batch` run together."""
    prefill_s = prefill_seconds(job.model, job.engine, job.input_tokens)
    decode_s = decode_seconds(job.model, job.engine, batch, _mean_context(job))
    return prefill_s + job.output_tokens * decode_s / batch


def prefill_seconds(model: TextModel, engine: TextEngine, tokens: int) -> float:
    """One prompt's share of full iterations."""
    together = max(1, engine.token_slots // tokens)
    shape = prefill_shape(tokens, together)
    step_s = step_seconds(model, shape, engine) + engine.iteration_us * 1e-6
    return step_s / together


def decode_seconds(model: TextModel, engine: TextEngine, batch: int, context: int) -> float:
    """One decode iteration of `batch` sequences."""
    host_s = (engine.iteration_us + engine.sequence_us * batch) * 1e-6
    shape = decode_shape(model, batch, context)
    return step_seconds(model, shape, engine) + host_s


def largest_batch(job: TextJob) -> int:
    """Sequences that the cache holds beside the weights, at their mean length or reserved whole."""
    model = job.model
    device, spec = model.device, model.spec
    devices = model.tp * job.pp
    usable = devices * (capacity_bytes(device) * job.engine.memory_share - RUNTIME_BYTES)
    weights = weight_bytes(model.component, model.precision)
    copies = max(1.0, model.tp / heads_of(spec))  # KV heads fewer than shards are held twice
    whole = job.input_tokens + job.output_tokens
    held = whole if job.engine.reserves_output else _mean_context(job)
    each = kv_bytes(spec, held, model.precision) * copies
    free = usable - weights
    if free < each:
        raise CapacityError(
            f"{model.component.name} takes {weights / 1e9:.1f} GB "
            f"and a sequence {each / 1e9:.2f} GB; "
            f"{devices} x {device.name} offer {usable / 1e9:.1f} GB"
        )
    return max(1, int(free / each) // job.pp)


def _mean_context(job: TextJob) -> int:
    return job.input_tokens + job.output_tokens // 2
