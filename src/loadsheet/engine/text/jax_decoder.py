"""The decoder's twin in JAX: the same mathematics from the same folder, as pure functions.

torch's `decoder.py` holds weights in an object and lets attention own the cache; here weights and
cache are arguments and results, so that XLA compiles a whole step into one program.

Shape letters: N new tokens, T positions of the cache, D hidden size, V vocabulary, H query heads, K
key/value heads, G = H / K, E size of a head, L layers.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from loadsheet.engine.text.config import DecoderConfig


class JaxLayer(NamedTuple):
    attention_norm_D: Array
    qkv_OD: Array  # queries, keys, values: (H + 2K) * E rows
    out_DX: Array
    ffn_norm_D: Array
    gate_up_OD: Array
    down_DF: Array


class JaxWeights(NamedTuple):
    embedding_VD: Array
    layers: tuple[JaxLayer, ...]
    final_norm_D: Array
    head_VD: Array
    inv_freq_E: Array  # rotary frequencies, once for each half of a head


class JaxCache(NamedTuple):
    keys_LTKE: Array
    values_LTKE: Array


def empty_cache(config: DecoderConfig, max_tokens: int) -> JaxCache:
    shape = (config.num_layers, max_tokens, config.num_kv_heads, config.head_dim)
    return JaxCache(jnp.zeros(shape), jnp.zeros(shape))


@partial(jax.jit, static_argnames="config", donate_argnames="cache")
def step(
    config: DecoderConfig, weights: JaxWeights, cache: JaxCache, ids_N: Array, start: Array
) -> tuple[Array, JaxCache]:
    """Logits [N, V] of tokens at positions start … start + N − 1, and the cache with them in it.

    Compiled once for each N. `cache` is given away: its memory holds the new one.
    """
    positions_N = start + jnp.arange(len(ids_N))
    angles_NE = positions_N[:, None] * weights.inv_freq_E
    rotation = jnp.cos(angles_NE)[:, None], jnp.sin(angles_NE)[:, None]
    x_ND = weights.embedding_VD[ids_N]
    for layer_idx, layer in enumerate(weights.layers):
        normed_ND = rms_norm(x_ND, layer.attention_norm_D, config.norm_eps)
        q_NHE, k_NKE, v_NKE = heads(config, normed_ND @ layer.qkv_OD.T, rotation)
        cache = write(cache, layer_idx, start, k_NKE, v_NKE)
        mixed_NX = attend(q_NHE, cache.keys_LTKE[layer_idx], cache.values_LTKE[layer_idx], start)
        x_ND = x_ND + mixed_NX @ layer.out_DX.T
        gate_up = rms_norm(x_ND, layer.ffn_norm_D, config.norm_eps) @ layer.gate_up_OD.T
        gate_NF, up_NF = jnp.split(gate_up, 2, axis=-1)
        x_ND = x_ND + (jax.nn.silu(gate_NF) * up_NF) @ layer.down_DF.T
    return rms_norm(x_ND, weights.final_norm_D, config.norm_eps) @ weights.head_VD.T, cache


def heads(
    config: DecoderConfig, qkv_NO: Array, rotation: tuple[Array, Array]
) -> tuple[Array, Array, Array]:
    """Queries, keys (both rotated to their positions) and values."""
    num_q, num_kv = config.num_heads, config.num_kv_heads
    all_NJE = qkv_NO.reshape(len(qkv_NO), num_q + 2 * num_kv, config.head_dim)
    qk_NJE, v_NKE = jnp.split(all_NJE, [num_q + num_kv], axis=1)
    q_NHE, k_NKE = jnp.split(apply_rope(qk_NJE, *rotation), [num_q], axis=1)
    return q_NHE, k_NKE, v_NKE


def write(cache: JaxCache, layer_idx: int, start: Array, k_NKE: Array, v_NKE: Array) -> JaxCache:
    place = (layer_idx, start, 0, 0)
    return JaxCache(
        jax.lax.dynamic_update_slice(cache.keys_LTKE, k_NKE[None], place),
        jax.lax.dynamic_update_slice(cache.values_LTKE, v_NKE[None], place),
    )


def attend(q_NHE: Array, keys_TKE: Array, values_TKE: Array, start: Array) -> Array:
    """softmax(q kᵀ / √E + mask) v over the whole cache: what lies ahead is masked, not cut off."""
    num_tokens, _, size_E = q_NHE.shape
    q_NKGE = q_NHE.reshape(num_tokens, keys_TKE.shape[1], -1, size_E)
    scores_KGNT = jnp.einsum("nkge,tke->kgnt", q_NKGE, keys_TKE) * size_E**-0.5
    is_seen_NT = jnp.arange(len(keys_TKE)) <= start + jnp.arange(num_tokens)[:, None]
    weights_KGNT = jax.nn.softmax(jnp.where(is_seen_NT, scores_KGNT, -jnp.inf), axis=-1)
    return jnp.einsum("kgnt,tke->nkge", weights_KGNT, values_TKE).reshape(num_tokens, -1)


def rms_norm(x_ND: Array, weight_D: Array, eps: float) -> Array:
    return x_ND * jax.lax.rsqrt(jnp.mean(x_ND**2, axis=-1, keepdims=True) + eps) * weight_D


def apply_rope(x_NJE: Array, cos_N1E: Array, sin_N1E: Array) -> Array:
    first, second = jnp.split(x_NJE, 2, axis=-1)
    return x_NJE * cos_N1E + jnp.concatenate([-second, first], axis=-1) * sin_N1E
