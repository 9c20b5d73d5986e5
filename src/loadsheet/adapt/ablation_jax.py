"""The decoder in torch and in JAX: do they agree, and how fast is each?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import torch

from loadsheet.adapt.stopwatch import best_seconds
from loadsheet.adapt.study import StudyPlace, StudyTable
from loadsheet.engine.text.decoder import ContiguousAttention, Decoder
from loadsheet.engine.text.generate import generate
from loadsheet.engine.text.jax_decoder import empty_cache, step
from loadsheet.engine.text.jax_generate import JaxDecoder, load_jax_decoder
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.engine.text.weights import load_decoder
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import ConfigError
from loadsheet.runtime.payload import Sampling
from loadsheet.units import format_seconds

_FP32_CPU = Placement(device=torch.device("cpu"), dtype=torch.float32)
_GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JaxConfig:
    """`folder`: any Llama-family folder without biases."""

    name: str = "jax"
    folder: str = ""
    prompt: str = "In the spring of 1861"
    output_tokens: int = 64
    prefill_tokens: int = 256
    repeats: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinCost:
    """CPU seconds in fp32: reading a prompt, one more token after it, the first call beyond that.

    `first_call_s` is where XLA compiles; torch has little to do there.
    """

    framework: str
    prefill_s: float
    token_s: float
    first_call_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """`num_equal` greedy tokens before the two differ, of `num_tokens`."""

    max_logit_difference: float
    num_equal: int
    num_tokens: int


def study_jax(config: JaxConfig, place: StudyPlace) -> StudyTable:
    """Compare, measure, log."""
    if not config.folder:
        raise ConfigError("name a model: --model FOLDER, such as `loadsheet train text` writes")
    folder = Path(config.folder)
    in_torch, in_jax = load_decoder(folder, _FP32_CPU), load_jax_decoder(folder)
    prompt_ids = FolderTokenizer(folder).encode(config.prompt)
    agreement = compare(in_torch, in_jax, prompt_ids, config.output_tokens)
    costs = [
        measure("torch", torch_work(in_torch, config.prefill_tokens), config.repeats),
        measure("jax", jax_work(in_jax, config.prefill_tokens), config.repeats),
    ]
    for cost in costs:
        numbers = {"prefill_s": cost.prefill_s, "token_s": cost.token_s}
        place.run.log(
            config.prefill_tokens, {f"{cost.framework}.{key}": one for key, one in numbers.items()}
        )
    place.run.summary({"agreement": asdict(agreement), "costs": [asdict(cost) for cost in costs]})
    return table(agreement, costs, config)


def compare(
    in_torch: Decoder, in_jax: JaxDecoder, prompt_ids: Sequence[int], num_tokens: int
) -> Agreement:
    """Greedy tokens of both, and the logits of torch's text in both."""
    ours = list(generate(in_torch, prompt_ids, max_output_tokens=num_tokens, sampling=_GREEDY))
    twins = list(in_jax.generate(prompt_ids, max_output_tokens=num_tokens))
    is_equal = [one == other for one, other in zip(ours, twins, strict=True)]
    token_ids = [*prompt_ids, *ours]
    difference = np.abs(torch_logits(in_torch, token_ids) - np.asarray(in_jax.logits(token_ids)))
    return Agreement(
        max_logit_difference=float(difference.max()),
        num_equal=[*is_equal, False].index(False),
        num_tokens=num_tokens,
    )


@torch.inference_mode()
def torch_logits(decoder: Decoder, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
    """Of every position, [N, V]."""
    ids_N, positions_N = torch.tensor(token_ids), torch.arange(len(token_ids))
    hidden_ND = decoder.hidden(ids_N, positions_N, ContiguousAttention(decoder, len(token_ids)))
    logits_NV: npt.NDArray[np.float32] = decoder.logits(hidden_ND).numpy()
    return logits_NV


Work = tuple[Callable[[], object], Callable[[], object]]
"""Reading a prompt; adding a token to it, as often as asked."""


def torch_work(decoder: Decoder, num_tokens: int) -> Work:
    ids_N, positions_N = torch.zeros(num_tokens, dtype=torch.int64), torch.arange(num_tokens)
    last = torch.tensor([num_tokens])

    @torch.inference_mode()
    def prefill() -> ContiguousAttention:
        attention = ContiguousAttention(decoder, num_tokens + 1)
        decoder.logits(decoder.hidden(ids_N, positions_N, attention)[-1:])
        attention.advance(num_tokens)
        return attention

    cached = prefill()

    @torch.inference_mode()
    def token() -> object:
        return decoder.logits(decoder.hidden(ids_N[:1], last, cached))

    return prefill, token


def jax_work(decoder: JaxDecoder, num_tokens: int) -> Work:
    config, weights = decoder.config, decoder.weights
    ids_N, first, last = jnp.zeros(num_tokens, dtype=jnp.int32), jnp.array(0), jnp.array(num_tokens)
    cache = empty_cache(config, num_tokens + 1)

    def prefill() -> object:
        empty = empty_cache(config, num_tokens + 1)
        logits_NV, _ = step(config, weights, empty, ids_N, first)
        return logits_NV.block_until_ready()

    def token() -> object:
        nonlocal cache  # given away and returned
        logits_NV, cache = step(config, weights, cache, ids_N[:1], last)
        return logits_NV.block_until_ready()

    return prefill, token


def measure(framework: str, work: Work, repeats: int) -> TwinCost:
    prefill, token = work
    started_s = time.process_time()
    prefill()
    token()
    first_s = time.process_time() - started_s
    prefill_s, token_s = best_seconds(prefill, repeats), best_seconds(token, 4 * repeats)
    return TwinCost(
        framework=framework,
        prefill_s=prefill_s,
        token_s=token_s,
        first_call_s=max(0.0, first_s - prefill_s - token_s),
    )


def table(agreement: Agreement, costs: Sequence[TwinCost], config: JaxConfig) -> StudyTable:
    prompt = f"{config.prefill_tokens} tokens"
    return StudyTable(
        columns=("", *(cost.framework for cost in costs)),
        rows=(
            (f"read {prompt}", *(format_seconds(cost.prefill_s) for cost in costs)),
            (f"one token after {prompt}", *(format_seconds(cost.token_s) for cost in costs)),
            ("first call beyond that", *(format_seconds(cost.first_call_s) for cost in costs)),
            ("largest difference of logits", "", f"{agreement.max_logit_difference:.1e}"),
            ("equal greedy tokens", "", f"{agreement.num_equal} of {agreement.num_tokens}"),
        ),
    )
