"""What the KV cache buys: seconds for token n with it, and without.

With the cache a step computes one token and reads n keys and values; without, it computes all n
tokens again to throw away n − 1 results.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from loadsheet.adapt.chart import Panel, write_chart
from loadsheet.adapt.stopwatch import best_seconds
from loadsheet.adapt.study import StudyPlace, StudyTable
from loadsheet.adapt.text_attention import WholeSequences, sdpa_attention
from loadsheet.adapt.text_config import DecoderShape
from loadsheet.adapt.text_model import TextModel
from loadsheet.engine.text.decoder import ContiguousAttention, Decoder
from loadsheet.errors import ConfigError
from loadsheet.units import format_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class KvCacheConfig:
    """Weights are random: a step takes as long with any."""

    name: str = "kv-cache"
    model: DecoderShape = DecoderShape()
    vocab_size: int = 4096
    contexts: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024, 2048)
    repeats: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCost:
    """CPU seconds of the one step that reads `context` tokens and yields the next."""

    context: int
    cached_s: float
    recomputed_s: float


def study_kv_cache(config: KvCacheConfig, place: StudyPlace) -> StudyTable:
    """Measure, log, draw."""
    torch.manual_seed(place.seed)
    shape = config.model.config(config.vocab_size, max(config.contexts))
    costs = []
    for cost in measure_kv_cache(TextModel(shape).decoder(), config.contexts, config.repeats):
        place.run.log(cost.context, {"cached_s": cost.cached_s, "recomputed_s": cost.recomputed_s})
        costs.append(cost)
    lines = {
        "with the cache": [(cost.context, 1e3 * cost.cached_s) for cost in costs],
        "without": [(cost.context, 1e3 * cost.recomputed_s) for cost in costs],
    }
    panel = Panel(
        x_label="tokens read before it",
        y_label="CPU ms for one token",
        lines=lines,
        is_log_x=True,
        is_log_y=True,
    )
    write_chart(place.figure("kv-cache"), "KV cache: time of token n", [panel])
    place.run.summary({"costs": [asdict(cost) for cost in costs]})
    return StudyTable(
        columns=("context", "with cache", "without", "ratio"),
        rows=tuple(
            (
                f"{cost.context}",
                format_seconds(cost.cached_s),
                format_seconds(cost.recomputed_s),
                f"{cost.recomputed_s / cost.cached_s:.1f}",
            )
            for cost in costs
        ),
    )


@torch.inference_mode()
def measure_kv_cache(
    decoder: Decoder, contexts: Sequence[int], repeats: int = 3
) -> Iterator[TokenCost]:
    """From the shortest context to the longest."""
    if min(contexts) < 1:
        raise ConfigError(f"a context of {min(contexts)} tokens yields nothing; give 1 or more")
    ids_N = torch.randint(decoder.config.vocab_size, (max(contexts),), device=decoder.device)
    attention = ContiguousAttention(decoder, max(contexts))
    for context in sorted(set(contexts)):
        fill(decoder, attention, ids_N[: context - 1])
        ids = ids_N[:context]
        yield TokenCost(
            context=context,
            cached_s=best_seconds(lambda x=ids: cached_logits(decoder, attention, x), repeats),  # type: ignore[misc]
            recomputed_s=best_seconds(lambda x=ids: recomputed_logits(decoder, x), repeats),  # type: ignore[misc]
        )


def fill(decoder: Decoder, attention: ContiguousAttention, ids_N: Tensor) -> None:
    """Cache what of `ids_N` is not cached yet."""
    positions_N = torch.arange(attention.num_cached, len(ids_N), device=decoder.device)
    if len(positions_N):
        decoder.hidden(ids_N[positions_N], positions_N, attention)
        attention.advance(len(positions_N))


def cached_logits(decoder: Decoder, attention: ContiguousAttention, ids_N: Tensor) -> Tensor:
    """Logits after `ids_N`, all but the last of which are cached; may be repeated."""
    last = torch.tensor([len(ids_N) - 1], device=decoder.device)
    return decoder.logits(decoder.hidden(ids_N[-1:], last, attention))


def recomputed_logits(decoder: Decoder, ids_N: Tensor) -> Tensor:
    """The same from nothing, with torch's fused attention."""
    positions_N = torch.arange(len(ids_N), device=decoder.device)
    attention = WholeSequences(len(ids_N), sdpa_attention)
    return decoder.logits(decoder.hidden(ids_N, positions_N, attention)[-1:])
