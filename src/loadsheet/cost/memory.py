"""Predicted bytes by owner, and the largest work that fits beside the weights.

Activations are counted as the largest single operator's inputs and outputs: inference frees a
tensor after its last use, and the widest moment decides. U-Nets also hold their skip tensors.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from loadsheet.cost.components import operators
from loadsheet.cost.decoder import layer_kv_values
from loadsheet.cost.ledger import Ledger, LedgerLine, Owner
from loadsheet.cost.operator import Operator, OpKind
from loadsheet.cost.shape import PictureShape, Span, TokenShape, latent_grid
from loadsheet.errors import ConfigError
from loadsheet.specs.decoder import DecoderSpec, LatentAttention
from loadsheet.specs.pipeline import Component, PipelineSpec, Role
from loadsheet.specs.precision import Precision, stored_bytes
from loadsheet.specs.unet import PixelUNetSpec, UNetSpec

RUNTIME_BYTES = 10**9  # context, libraries and allocator slack of one GPU process; an estimate
_BLOCK_TOKENS = 16


def weight_bytes(component: Component, precision: Precision, tp_size: int = 1) -> int:
    """Matrices in `precision.weights`; norms, embeddings, routers and heads in 16 (or 32) bits.

    Of `tp_size` devices each holds its share of every matrix and all of the small rest."""
    shape = _any_shape(component)
    walked = operators(component, shape, precision)
    return sum(
        -(-stored_bytes(op.params, op.stored_as) // (tp_size if _is_split(op) else 1)) * op.count
        for op in walked
    )


def part_precision(component: Component, precision: Precision) -> Precision:
    """Of a pipeline's component: text encoders and autoencoders stay in 16 bits beside a denoiser
    of fewer."""
    if component.role in (Role.TEXT_ENCODER, Role.VAE_DECODE, Role.VAE_ENCODE):
        return replace(precision, weights=precision.activations)
    return precision


def kv_bytes_per_token(spec: DecoderSpec, precision: Precision) -> int:
    """Cache bytes of one more token over all layers, once no window limits any."""
    return sum(
        group.count * stored_bytes(layer_kv_values(group), precision.kv) for group in spec.layers
    )


def kv_bytes(spec: DecoderSpec, context: int, precision: Precision) -> int:
    """Cache of one sequence in blocks of 16 tokens; layers with a window stop growing there."""
    num_bytes = 0
    for group in spec.layers:
        window = None if isinstance(group.attention, LatentAttention) else group.attention.window
        tokens = context if window is None else min(context, window)
        held = math.ceil(tokens / _BLOCK_TOKENS) * _BLOCK_TOKENS
        num_bytes += group.count * stored_bytes(held * layer_kv_values(group), precision.kv)
    return num_bytes


def activation_bytes(component: Component, shape: TokenShape | PictureShape) -> int:
    """The widest moment of one pass in 16-bit activations."""
    walked = operators(component, shape)
    widest = max(op.num_bytes - op.weight_bytes - op.kv_bytes for op in walked)
    return widest + _skip_bytes(component, walked)


def check_shards(spec: DecoderSpec, tp_size: int) -> None:
    """Tensor parallelism deals whole heads to devices."""
    for group in spec.layers:
        heads = group.attention.heads
        if tp_size < 1 or heads % tp_size:
            raise ConfigError(
                f"tensor parallel {tp_size} cannot deal {heads} heads evenly; "
                f"choose a divisor of {heads}"
            )


def kv_share(spec: DecoderSpec, tp_size: int) -> float:
    """Part of the cache on each device: latent vectors and single heads are kept by all."""
    whole = kept = 0.0
    for group in spec.layers:
        attention, values = group.attention, group.count * layer_kv_values(group)
        heads = 1 if isinstance(attention, LatentAttention) else attention.kv_heads
        whole += values
        kept += values * math.ceil(heads / tp_size) / heads
    return kept / whole


def decoder_ledger(
    name: str,
    component: Component,
    batch: int,
    context: int,
    precision: Precision,
    tp_size: int = 1,
) -> Ledger:
    """One device of a serving process: `batch` sequences of `context` tokens, prefilled 2048 at a
    time, over `tp_size` devices that exchange two hidden states per layer."""
    spec = component.spec
    assert isinstance(spec, DecoderSpec)
    check_shards(spec, tp_size)
    chunk = min(2048, context)
    prefill = TokenShape(tokens=chunk, context=context, span=Span.SERVED)
    decode = TokenShape(tokens=1, context=context, batch=batch, span=Span.SERVED)
    peak = max(activation_bytes(component, shape) for shape in (prefill, decode))
    cache = round(batch * kv_bytes(spec, context, precision) * kv_share(spec, tp_size))
    lines = [
        _line(Owner.WEIGHTS, name, "decoder", weight_bytes(component, precision, tp_size)),
        _line(Owner.KV_BLOCKS, name, "", cache),
        _line(Owner.ACTIVATIONS, name, "", peak),
        _line(Owner.RUNTIME, name, "", RUNTIME_BYTES),
    ]
    if tp_size > 1:
        exchanged = 2 * max(chunk, batch) * spec.hidden_size
        lines.append(_line(Owner.COMMUNICATION, name, "", stored_bytes(exchanged, "bf16")))
    return Ledger(lines=tuple(lines))


def image_ledger(
    name: str,
    pipeline: PipelineSpec,
    components: Iterable[Component],
    shape: PictureShape,
    precision: Precision,
) -> Ledger:
    """`shape.batch` images at once; guidance doubles what the denoiser holds."""
    parts = list(components)
    lines = [
        _line(Owner.WEIGHTS, name, part.label, weight_bytes(part, part_precision(part, precision)))
        for part in parts
        if part.role is not Role.VAE_ENCODE
    ]
    denoiser = next(part for part in parts if part.role is Role.DENOISER)
    guided = PictureShape(
        width=shape.width,
        height=shape.height,
        batch=shape.batch * (2 if pipeline.is_guided else 1),
        text_tokens=shape.text_tokens,
        frames=shape.frames,
    )
    lines.append(_line(Owner.ACTIVATIONS, name, "denoiser", activation_bytes(denoiser, guided)))
    lines.append(_line(Owner.LATENTS, name, "", latent_bytes(pipeline, shape)))
    decoders = [part for part in parts if part.role is Role.VAE_DECODE]
    lines += [_line(Owner.VAE_PEAK, name, "", activation_bytes(vae, shape)) for vae in decoders]
    lines.append(_line(Owner.RUNTIME, name, "", RUNTIME_BYTES))
    return Ledger(lines=tuple(lines))


def latent_bytes(pipeline: PipelineSpec, shape: PictureShape) -> int:
    """Latents, their last prediction and the sampler's history, 32 bits each."""
    grid = latent_grid(shape, 1).scaled(down=pipeline.factor)
    frames = (shape.frames - 1) // pipeline.time_factor + 1
    channels = pipeline.vae.latent_channels if pipeline.vae else 3
    return 3 * 4 * channels * grid.size * frames


def largest(fits: Callable[[int], bool], limit: int = 1 << 24) -> int:
    """The largest count ≥ 0 that fits; `fits` must not turn true again after false."""
    if not fits(1):
        return 0
    low, high = 1, 2
    while high < limit and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _line(owner: Owner, model: str, part: str, num_bytes: int) -> LedgerLine:
    return LedgerLine(owner=owner, model=model, part=part, num_bytes=num_bytes)


def _is_split(op: Operator) -> bool:
    """Matrices and tables are dealt out; vectors, routers and latent down-projections are not."""
    if op.kind in (OpKind.NORM, OpKind.POINTWISE):
        return False
    return not op.name.endswith((".gate", "q_a_proj", "kv_a_proj_with_mqa"))


def _skip_bytes(component: Component, walked: list[Operator]) -> int:
    """What the way down leaves for the way up: the outputs of its convolution blocks."""
    if not isinstance(component.spec, UNetSpec | PixelUNetSpec):
        return 0
    ends = ("conv2", "downsamplers.0.conv")
    kept = (op for op in walked if op.name.startswith("down_blocks") and op.name.endswith(ends))
    return sum(op.bytes_written for op in kept)


def _any_shape(component: Component) -> TokenShape | PictureShape:
    if component.role in (Role.DECODER, Role.ENCODER, Role.TEXT_ENCODER):
        return TokenShape(tokens=1, context=1)
    return PictureShape(width=1024, height=1024)
