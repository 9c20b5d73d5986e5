"""A Hugging Face folder as JAX arrays, and greedy generation: the twin of `generate.py`."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import torch
from jax import Array
from torch import Tensor

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import Layer, Linear, rope_inv_freq
from loadsheet.engine.text.jax_decoder import JaxLayer, JaxWeights, empty_cache, step
from loadsheet.engine.text.linear import PlainLinear
from loadsheet.engine.text.weights import load_parts
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import SpecError

_FP32_CPU = Placement(device=torch.device("cpu"), dtype=torch.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class JaxDecoder:
    config: DecoderConfig
    weights: JaxWeights

    def logits(self, token_ids: Sequence[int]) -> Array:
        """Of every position of one sequence, [N, V]."""
        cache = empty_cache(self.config, len(token_ids))
        logits_NV: Array
        logits_NV, _ = step(self.config, self.weights, cache, jnp.array(token_ids), jnp.array(0))
        return logits_NV

    def generate(
        self,
        prompt_ids: Sequence[int],
        *,
        max_output_tokens: int,
        eos_ids: Collection[int] = (),
    ) -> Iterator[int]:
        """Greedy token ids; an end-of-sequence token ends the iteration unseen.

        Two programs are compiled for a prompt's length: one reads it, one adds a token.
        """
        cache = empty_cache(self.config, len(prompt_ids) + max_output_tokens)
        new_ids, start = jnp.array(prompt_ids), 0
        for _ in range(max_output_tokens):
            logits_NV, cache = step(self.config, self.weights, cache, new_ids, jnp.array(start))
            token_id = int(logits_NV[-1].argmax())
            if token_id in eos_ids:
                return
            yield token_id
            new_ids, start = jnp.array([token_id]), start + len(new_ids)


def load_jax_decoder(folder: Path) -> JaxDecoder:
    """In fp32, read and checked by the engine's own reader."""
    config, weights = load_parts(folder, _FP32_CPU, PlainLinear)
    if config.has_qkv_bias or config.has_out_bias:
        raise SpecError("the JAX decoder has no biases; supported: Llama-family folders without")
    return JaxDecoder(
        config=config,
        weights=JaxWeights(
            embedding_VD=_array(weights.embedding_VD),
            layers=tuple(map(_layer, weights.layers)),
            final_norm_D=_array(weights.final_norm_D),
            head_VD=_matrix(weights.head),
            inv_freq_E=_array(rope_inv_freq(config).repeat(2)),
        ),
    )


def _layer(layer: Layer) -> JaxLayer:
    return JaxLayer(
        attention_norm_D=_array(layer.attention_norm_D),
        qkv_OD=_matrix(layer.qkv),
        out_DX=_matrix(layer.out),
        ffn_norm_D=_array(layer.ffn_norm_D),
        gate_up_OD=_matrix(layer.gate_up),
        down_DF=_matrix(layer.down),
    )


def _matrix(linear: Linear) -> Array:
    assert isinstance(linear, PlainLinear)
    return _array(linear.weight_OI)


def _array(tensor: Tensor) -> Array:
    return jnp.asarray(tensor.numpy())
