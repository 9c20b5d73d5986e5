"""Operators of Sana (Xie et al. 2024): linear attention over image tokens, convolutional MLP."""

from loadsheet.cost.encoder import full, qkv
from loadsheet.cost.shape import Grid, PictureShape, latent_grid
from loadsheet.cost.tape import Conv, Tape, point
from loadsheet.cost.unet import embed
from loadsheet.specs.dit import SanaSpec


def walk(tape: Tape, spec: SanaSpec, shape: PictureShape, factor: int) -> None:
    grid = latent_grid(shape, factor * spec.patch)
    width, text = spec.heads * spec.head_dim, shape.batch * shape.text_tokens
    patch = (spec.patch**2 * spec.in_channels, width)
    tape.linear("patch_embed.proj", grid.size, patch)
    time = tape.at("time_embed")
    embed(time.at("timestep_embedder"), shape.batch, (256, width))
    if spec.has_guidance:
        embed(time.at("guidance_embedder"), shape.batch, (256, width))
    time.linear("linear", shape.batch, (width, 6 * width))
    tape.linear("caption_projection.linear_1", text, (spec.caption_dim, width))
    tape.linear("caption_projection.linear_2", text, (width, width))
    tape.norm("caption_norm", text, width, width)
    _block(tape.at("transformer_blocks.*", spec.num_layers), spec, grid, shape.text_tokens)
    tape.norm("norm_out", grid.size, width, 2 * width)
    tape.linear("proj_out", grid.size, (width, spec.patch**2 * spec.out_channels))


def mbconv(tape: Tape, grid: Grid, width: int, inner: int) -> None:
    """Widen, filter each channel, gate one half with the other, narrow."""
    tape.conv("conv_inverted", grid, point(width, 2 * inner))
    tape.conv("conv_depth", grid, Conv(ci=2 * inner, co=2 * inner, groups=2 * inner))
    tape.pointwise("gate", grid.size * 2 * inner, grid.size * inner)
    tape.conv("conv_point", grid, point(inner, width, has_bias=False))


def _block(tape: Tape, spec: SanaSpec, grid: Grid, tokens: int) -> None:
    width, rows = spec.heads * spec.head_dim, grid.size
    tape.norm("norm1", rows, width, 6 * width)  # with the block's table of scales and shifts
    own, cross = tape.at("attn1"), tape.at("attn2")
    parts = qkv("to_q", "to_k", "to_v", width=width)
    own.linear("qkv", rows, (width, 3 * width), bias=spec.has_attention_bias, parts=parts)
    heads = grid.batch * spec.heads
    own.matmul("value_key", heads, (spec.head_dim + 1, spec.head_dim, grid.pixels))
    own.matmul("state_query", heads, (spec.head_dim + 1, grid.pixels, spec.head_dim))
    own.linear("to_out.0", rows, (width, width))
    tape.norm("norm2", rows, width, 0)
    inner, text = spec.cross_heads * spec.cross_head_dim, grid.batch * tokens
    cross.linear("to_q", rows, (width, inner))
    parts = qkv("to_k", "to_v", width=inner)
    cross.linear("kv", text, (width, 2 * inner), parts=parts)
    shape = full(grid.batch, spec.cross_heads, spec.cross_head_dim, grid.pixels, tokens)
    cross.attention("attention", shape)
    cross.linear("to_out.0", rows, (inner, width))
    if spec.has_qk_norm:  # over all heads at once, in both attentions
        own.norm("qk_norm", rows, 2 * width, 2 * width)
        cross.norm("qk_norm", rows, 2 * inner, 2 * inner)
    mbconv(tape.at("ff"), grid, width, spec.width)
