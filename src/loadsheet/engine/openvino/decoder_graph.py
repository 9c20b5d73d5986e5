"""The Llama-family decoder of `engine.text.decoder` as an OpenVINO graph of one ragged step.

    inputs   token_ids [N]; cos, sin [N, 1, 1, E] of their positions; past_lens [S]; begins [S + 1];
             blocks [B] and block_begins [S + 1], the block tables end to end; max_context; rows
             [R]; key and value cache blocks
    output   logits [R, V], of the chosen rows only

Attention is OpenVINO's paged attention operator, which appends the new keys and values to their
blocks and attends, decodes and chunks of prefill in one call. Its long tail of inputs belongs to
features that are off here (sliding windows, biases, cache eviction).
"""

import math

import numpy as np
import openvino as ov
from openvino import Node, Type
from openvino import opset13 as ops
from openvino.op import _PagedAttentionExtension

from loadsheet.engine.openvino.graph import (
    Value,
    as_f32,
    constant,
    empty,
    integers,
    number,
    parameter,
    scalar,
    split_last,
    widened,
)
from loadsheet.engine.openvino.weight_file import WeightFile

_ALL = slice(None)
BLOCK_TOKENS = 32  # what the CPU plugin's kernels are written for

_INTS = {
    "token_ids": [-1],
    "past_lens": [-1],
    "begins": [-1],
    "blocks": [-1],
    "block_begins": [-1],
    "max_context": [],
    "rows": [-1],
}


def decoder_graph(weights: WeightFile, cache_type: Type) -> ov.Model:
    """The graph over the weights' memory; keep `weights` as long as it is compiled from."""
    return _Builder(weights, cache_type).build()


class _Builder:
    def __init__(self, weights: WeightFile, cache_type: Type) -> None:
        self._weights = weights
        self._config = weights.config
        self._cache_type = cache_type
        angles = [-1, 1, 1, self._config.head_dim]
        self._inputs = {
            **{name: parameter(name, Type.i32, dims) for name, dims in _INTS.items()},
            **{name: parameter(name, Type.f32, angles) for name in ("cos", "sin")},
        }
        self._caches: list[Node] = []

    def build(self) -> ov.Model:
        config = self._config
        rotation = self._inputs["cos"], self._inputs["sin"]
        table = widened(self._constant("embedding"))
        x_ND = ops.gather(table, self._inputs["token_ids"], integers(0))
        for layer_idx in range(config.num_layers):
            x_ND = ops.add(x_ND, self._attention_block(layer_idx, x_ND, rotation))
            x_ND = ops.add(x_ND, self._ffn_block(layer_idx, x_ND))
        x_RD = ops.gather(x_ND, self._inputs["rows"], integers(0))
        logits_RV = self._linear(self._rms_norm(x_RD, "final_norm"), "head")
        result = ops.result(as_f32(logits_RV))
        return ov.Model([result], [*self._inputs.values(), *self._caches], "decoder")

    def _attention_block(self, idx: int, x_ND: Value, rotation: tuple[Node, Node]) -> Node:
        config = self._config
        size_X, size_Y = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        x_ND = self._rms_norm(x_ND, f"{idx}.attention_norm")
        # queries and keys turn together; values apart, so that splitting them copies nothing
        qk_NZ = self._linear(x_ND, f"{idx}.qkv", slice(0, size_X + size_Y))
        v_NY = self._linear(x_ND, f"{idx}.qkv", slice(size_X + size_Y, None))
        qk_NZ = self._rope(qk_NZ, config.num_heads + config.num_kv_heads, rotation)
        q_NX, k_NY = split_last(qk_NZ, [size_X, size_Y])
        seen_NX = self._attend(idx, q_NX, k_NY, v_NY)
        return self._linear(ops.reshape(seen_NX, integers([-1, size_X]), False), f"{idx}.out")

    def _ffn_block(self, idx: int, x_ND: Value) -> Node:
        """Two products: one and a split of its columns would copy them."""
        x_ND = self._rms_norm(x_ND, f"{idx}.ffn_norm")
        size_F = self._config.ffn_size
        gate_NF = self._linear(x_ND, f"{idx}.gate_up", slice(0, size_F))
        up_NF = self._linear(x_ND, f"{idx}.gate_up", slice(size_F, None))
        return self._linear(ops.multiply(ops.swish(gate_NF), up_NF), f"{idx}.down")

    def _attend(self, idx: int, q_NX: Value, k_NY: Value, v_NY: Value) -> Value:
        config, inputs = self._config, self._inputs
        shape = [-1, config.num_kv_heads, BLOCK_TOKENS, config.head_dim]
        caches = [
            parameter(f"{kind}_cache.{idx}", self._cache_type, shape) for kind in ("key", "value")
        ]
        self._caches += caches
        ints, floats = empty(Type.i32), empty(Type.f32)
        arguments = [
            *(q_NX, k_NY, v_NY),
            *caches,
            *(inputs[name] for name in ("past_lens", "begins", "blocks", "block_begins")),
            number(1 / math.sqrt(config.head_dim)),
            scalar(0),  # sliding window
            floats,  # ALiBi slopes
            inputs["max_context"],
            ints,  # score aggregation window
            *(ints, ints, floats),  # rotation of evicted blocks
            *(floats, scalar(0), scalar(0)),  # sparse prefill: threshold, block, stride
            floats,  # attention sinks
            *(scalar(0), ints, ints, ints),  # cache eviction by diversity
            ints,  # token types
            *(empty(Type.u8), ints),  # biases among queries
        ]
        attention = _PagedAttentionExtension(
            [one if isinstance(one, ov.Output) else one.output(0) for one in arguments]
        )
        info = attention.get_rt_info()  # how the plugin learns the cache's layout
        info["num_k_heads"] = info["num_v_heads"] = config.num_kv_heads
        info["k_head_size"] = info["v_head_size"] = config.head_dim
        return attention.output(0)

    def _rope(self, x_NZ: Value, num_heads: int, rotation: tuple[Node, Node]) -> Node:
        """Queries and keys at once. Written as the plugin's one operator for it is recognised: four
        axes, the last named 3, and the second half negated by a product."""
        cos_N11E, sin_N11E = rotation
        size_E = self._config.head_dim
        x_NH1E = ops.reshape(x_NZ, integers([-1, num_heads, 1, size_E]), False)
        halves = ops.variadic_split(x_NH1E, integers(3), integers([size_E // 2] * 2)).outputs()
        turned_NH1E = ops.concat([ops.multiply(halves[1], number(-1.0)), halves[0]], -1)
        rotated = ops.add(ops.multiply(x_NH1E, cos_N11E), ops.multiply(turned_NH1E, sin_N11E))
        return ops.reshape(rotated, integers([-1, num_heads * size_E]), False)

    def _rms_norm(self, x_ND: Value, name: str) -> Node:
        mean_square = ops.reduce_mean(ops.multiply(x_ND, x_ND), integers([-1]), keep_dims=True)
        root = ops.sqrt(ops.add(mean_square, number(self._config.norm_eps)))
        return ops.multiply(
            ops.multiply(x_ND, ops.divide(number(1.0), root)), widened(self._constant(name))
        )

    def _linear(self, x_NI: Value, name: str, outputs: slice = _ALL) -> Node:
        stored_OI = self._constant(name, outputs)
        if name in self._weights.scales:  # the plugin knows int8 by this pattern, unmarked
            scales_O1 = constant(self._weights.scales[name][outputs])
            weight_OI = ops.multiply(as_f32(stored_OI), scales_O1)
        else:
            weight_OI = widened(stored_OI)
        product = ops.matmul(x_NI, weight_OI, False, True)
        bias = f"{name}.bias"
        if bias not in self._weights.arrays:
            return product
        return ops.add(product, widened(self._constant(bias, outputs)))

    def _constant(self, name: str, outputs: slice = _ALL) -> Node:
        array = self._weights.arrays[name][outputs]
        return constant(array, Type.bf16 if array.dtype == np.uint16 else None)
