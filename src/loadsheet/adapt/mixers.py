"""Three ways to let tokens know of each other, at equal parameters, on the same batches.

    attention   the decoder as it serves
    linear      the same decoder, its softmax replaced by a feature map (arXiv:2006.16236)
    lstm        `RecurrentModel`: state instead of attention and feed-forward parts

The first two have exactly the same parameters; the LSTM's width is chosen to match.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from loadsheet.adapt.ablation_kv_cache import cached_logits, fill
from loadsheet.adapt.recurrent_model import RecurrentModel, State
from loadsheet.adapt.stopwatch import best_seconds
from loadsheet.adapt.text_attention import LinearCache, linear_attention, tiled_attention
from loadsheet.adapt.text_model import TextModel
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import ContiguousAttention
from loadsheet.errors import ConfigError

TOLERANCE = 0.02
"""Largest relative difference of parameters that still counts as equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextCost:
    """CPU seconds at one context: of one generated token, and of training on one token."""

    mixer: str
    context: int
    token_s: float
    train_token_s: float


def build_mixers(config: DecoderConfig, seed: int) -> dict[str, nn.Module]:
    """All three from the same seed; raises ConfigError when their sizes differ too much."""
    torch.manual_seed(seed)
    attention = TextModel(config, tiled_attention)
    torch.manual_seed(seed)
    linear = TextModel(config, linear_attention)
    torch.manual_seed(seed)
    lstm = RecurrentModel(config, attention.num_parameters())
    wanted, found = attention.num_parameters(), num_parameters(lstm)
    if abs(found - wanted) > TOLERANCE * wanted:
        raise ConfigError(
            f"the LSTM has {found:,} parameters, the decoder {wanted:,}: more than "
            f"{TOLERANCE:.0%} apart; give a larger hidden_size"
        )
    return {"attention": attention, "linear": linear, "lstm": lstm}


def num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def measure_contexts(
    mixers: dict[str, nn.Module], contexts: Sequence[int], repeats: int = 3
) -> Iterator[ContextCost]:
    """Each mixer at each context, fp32. Training costs are per token of one row that long."""
    for context in sorted(set(contexts)):
        ids = torch.randint(2, (context + 1,), generator=torch.Generator().manual_seed(context))
        for name, module in mixers.items():
            yield ContextCost(
                mixer=name,
                context=context,
                token_s=best_seconds(token_work(module, name, ids), repeats),
                train_token_s=best_seconds(train_work(module, ids), 1) / context,
            )


def token_work(module: nn.Module, mixer: str, ids_N: Tensor) -> Callable[[], object]:
    """The step that reads the last of `ids_N`; what is before it has been read."""
    if isinstance(module, RecurrentModel):
        return _recurrent_work(module, ids_N)
    assert isinstance(module, TextModel)
    return _cached_work(module, ids_N) if mixer == "attention" else _linear_work(module, ids_N)


@torch.inference_mode()
def _recurrent_work(module: RecurrentModel, ids_N: Tensor) -> Callable[[], object]:
    states: list[State] = module.step(ids_N[None, :-1], None)[1]

    @torch.inference_mode()
    def work() -> object:
        return module.step(ids_N[None, -1:], states)

    return work


@torch.inference_mode()
def _cached_work(module: TextModel, ids_N: Tensor) -> Callable[[], object]:
    decoder = module.decoder()
    attention = ContiguousAttention(decoder, len(ids_N))
    fill(decoder, attention, ids_N[:-1])

    @torch.inference_mode()
    def work() -> object:
        return cached_logits(decoder, attention, ids_N)

    return work


@torch.inference_mode()
def _linear_work(module: TextModel, ids_N: Tensor) -> Callable[[], object]:
    decoder, cache = module.decoder(), LinearCache(module.config.num_layers)
    last = torch.tensor([len(ids_N) - 1])
    decoder.hidden(ids_N[:-1], torch.arange(len(ids_N) - 1), cache)

    @torch.inference_mode()
    def work() -> object:
        # the state moves on each time: to other numbers, at the same cost
        return decoder.logits(decoder.hidden(ids_N[-1:], last, cache))

    return work


def train_work(module: nn.Module, ids_N: Tensor) -> Callable[[], object]:
    """Forward and backward over one row."""

    def work() -> object:
        module.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(module(ids_N[None, :-1]), ids_N[1:])
        loss.backward()
        return loss

    return work
