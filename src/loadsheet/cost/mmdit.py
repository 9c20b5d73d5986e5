"""Operators of one denoise step of two-stream diffusion Transformers."""

from loadsheet.cost.dit import mlp
from loadsheet.cost.encoder import full, qkv
from loadsheet.cost.shape import PictureShape, latent_grid
from loadsheet.cost.tape import Tape
from loadsheet.cost.unet import embed
from loadsheet.specs.mmdit import Flux2Spec, FluxSpec, QwenImageSpec, Sd3Spec

_SINUSOID = 256


def sd3(tape: Tape, spec: Sd3Spec, shape: PictureShape, factor: int) -> None:
    grid = latent_grid(shape, factor * spec.patch)
    width, batch = spec.heads * spec.head_dim, shape.batch
    tape.linear("pos_embed.proj", grid.size, (spec.patch**2 * spec.in_channels, width))
    time = tape.at("time_text_embed")
    embed(time.at("timestep_embedder"), batch, (_SINUSOID, width))
    embed(time.at("text_embedder"), batch, (spec.pooled_dim, width))
    text = batch * shape.text_tokens
    tape.linear("context_embedder", text, (spec.joint_dim, spec.caption_dim))
    streams = (grid.pixels, shape.text_tokens)
    last = spec.num_layers - 1
    for is_dual in (True, False):
        inner = [i for i in range(last) if (i in spec.dual_layers) == is_dual]
        if inner:
            block = tape.at("transformer_blocks.*", len(inner))
            _sd3_block(block, spec, (batch, *streams), is_dual=is_dual, is_last=False)
    _sd3_block(
        tape.at(f"transformer_blocks.{last}"),
        spec,
        (batch, *streams),
        is_dual=last in spec.dual_layers,
        is_last=True,
    )
    _final(tape, (batch, grid.size), (width, spec.patch**2 * spec.out_channels))


def flux(tape: Tape, spec: FluxSpec, shape: PictureShape, factor: int) -> None:
    """Two latent pixels to a side make one token."""
    grid = latent_grid(shape, 2 * factor)
    width, batch = spec.heads * spec.head_dim, shape.batch
    text = batch * shape.text_tokens
    tape.linear("x_embedder", grid.size, (spec.in_channels, width))
    time = tape.at("time_text_embed")
    embed(time.at("timestep_embedder"), batch, (_SINUSOID, width))
    if spec.has_guidance:
        embed(time.at("guidance_embedder"), batch, (_SINUSOID, width))
    embed(time.at("text_embedder"), batch, (spec.pooled_dim, width))
    tape.linear("context_embedder", text, (spec.joint_dim, width))
    double = tape.at("transformer_blocks.*", spec.num_double)
    for name in ("norm1", "norm1_context"):
        double.linear(f"{name}.linear", batch, (width, 6 * width))
    streams = (batch, grid.pixels, shape.text_tokens)
    _joint(double.at("attn"), streams, (spec.heads, spec.head_dim))
    _stream_mlps(double, streams, (width, 4 * width))
    single = tape.at("single_transformer_blocks.*", spec.num_single)
    rows, tokens = grid.size + text, grid.pixels + shape.text_tokens
    single.linear("norm.linear", batch, (width, 3 * width))
    single.norm("norm.norm", rows, width, 0)
    single.linear("proj_mlp", rows, (width, 4 * width))
    single.pointwise("act_mlp", rows * 4 * width, rows * 4 * width)
    parts = qkv("to_q", "to_k", "to_v", width=width)
    single.linear("attn.qkv", rows, (width, 3 * width), parts=parts)
    single.norm("attn.qk_norm", rows, 2 * width, 2 * spec.head_dim)
    single.attention("attn", full(batch, spec.heads, spec.head_dim, tokens, tokens))
    single.linear("proj_out", rows, (5 * width, width))
    _final(tape, (batch, grid.size), (width, spec.out_channels))


def flux2(tape: Tape, spec: Flux2Spec, shape: PictureShape, factor: int) -> None:
    grid = latent_grid(shape, 2 * factor)
    width, batch = spec.heads * spec.head_dim, shape.batch
    text = batch * shape.text_tokens
    time = tape.at("time_guidance_embed")
    embed(time.at("timestep_embedder"), batch, (spec.time_dim, width), bias=False)
    if spec.has_guidance:
        embed(time.at("guidance_embedder"), batch, (spec.time_dim, width), bias=False)
    for name, sets in (("double_stream_modulation_img", 2), ("double_stream_modulation_txt", 2)):
        tape.linear(f"{name}.linear", batch, (width, 3 * sets * width), bias=False)
    tape.linear("single_stream_modulation.linear", batch, (width, 3 * width), bias=False)
    tape.linear("x_embedder", grid.size, (spec.in_channels, width), bias=False)
    tape.linear("context_embedder", text, (spec.joint_dim, width), bias=False)
    double = tape.at("transformer_blocks.*", spec.num_double)
    streams = (batch, grid.pixels, shape.text_tokens)
    _joint(double.at("attn"), streams, (spec.heads, spec.head_dim), bias=False)
    for name, rows in (("ff", grid.size), ("ff_context", text)):
        _gated(double.at(name), rows, (width, spec.width))
    single = tape.at("single_transformer_blocks.*", spec.num_single)
    rows, tokens = grid.size + text, grid.pixels + shape.text_tokens
    single.norm("norm", rows, width, 0)
    fused = (width, 3 * width + 2 * spec.width)
    single.linear("attn.to_qkv_mlp_proj", rows, fused, bias=False)
    single.norm("attn.qk_norm", rows, 2 * width, 2 * spec.head_dim)
    single.attention("attn", full(batch, spec.heads, spec.head_dim, tokens, tokens))
    single.pointwise("attn.mlp_act", rows * 2 * spec.width, rows * spec.width)
    single.linear("attn.to_out", rows, (width + spec.width, width), bias=False)
    _final(tape, (batch, grid.size), (width, spec.out_channels), bias=False)


def qwen_image(tape: Tape, spec: QwenImageSpec, shape: PictureShape, factor: int) -> None:
    grid = latent_grid(shape, factor * spec.patch)
    width, batch = spec.heads * spec.head_dim, shape.batch
    text = batch * shape.text_tokens
    embed(tape.at("time_text_embed.timestep_embedder"), batch, (_SINUSOID, width))
    tape.norm("txt_norm", text, spec.joint_dim, spec.joint_dim)
    tape.linear("img_in", grid.size, (spec.in_channels, width))
    tape.linear("txt_in", text, (spec.joint_dim, width))
    block = tape.at("transformer_blocks.*", spec.num_layers)
    for name in ("img_mod.1", "txt_mod.1"):
        block.linear(name, batch, (width, 6 * width))
    streams = (batch, grid.pixels, shape.text_tokens)
    _joint(block.at("attn"), streams, (spec.heads, spec.head_dim))
    _stream_mlps(block, streams, (width, 4 * width), names=("img_mlp", "txt_mlp"))
    _final(tape, (batch, grid.size), (width, spec.patch**2 * spec.out_channels))


def _sd3_block(
    tape: Tape, spec: Sd3Spec, streams: tuple[int, int, int], *, is_dual: bool, is_last: bool
) -> None:
    """The last block reads the text stream but does not write it."""
    batch, pixels, _ = streams
    width, heads = spec.heads * spec.head_dim, (spec.heads, spec.head_dim)
    tape.linear("norm1.linear", batch, (width, (9 if is_dual else 6) * width))
    tape.linear("norm1_context.linear", batch, (width, (2 if is_last else 6) * width))
    attention = tape.at("attn")
    _joint(attention, streams, heads, has_norm=spec.has_qk_norm, keeps_text=not is_last)
    if is_dual:
        own, rows = tape.at("attn2"), batch * pixels
        parts = qkv("to_q", "to_k", "to_v", width=width)
        own.linear("qkv", rows, (width, 3 * width), parts=parts)
        if spec.has_qk_norm:
            own.norm("qk_norm", rows, 2 * width, 2 * spec.head_dim)
        own.attention("attention", full(batch, *heads, pixels, pixels))
        own.linear("to_out.0", rows, (width, width))
    _stream_mlps(tape, streams, (width, 4 * width), keeps_text=not is_last)


def _joint(
    tape: Tape,
    streams: tuple[int, int, int],
    heads: tuple[int, int],
    *,
    bias: bool = True,
    has_norm: bool = True,
    keeps_text: bool = True,
) -> None:
    """Both streams project their own queries, keys and values, then attend as one sequence."""
    batch, pixels, tokens = streams
    width, image, text = heads[0] * heads[1], batch * pixels, batch * tokens
    tape.norm("norm_in", image + text, width, 0)
    parts = qkv("to_q", "to_k", "to_v", width=width)
    tape.linear("qkv", image, (width, 3 * width), bias=bias, parts=parts)
    parts = qkv("add_q_proj", "add_k_proj", "add_v_proj", width=width)
    tape.linear("added_qkv", text, (width, 3 * width), bias=bias, parts=parts)
    if has_norm:
        tape.norm("qk_norm", image, 2 * width, 2 * heads[1])
        tape.norm("added_qk_norm", text, 2 * width, 2 * heads[1])
    tape.attention("attention", full(batch, *heads, pixels + tokens, pixels + tokens))
    tape.linear("to_out.0", image, (width, width), bias=bias)
    if keeps_text:
        tape.linear("to_add_out", text, (width, width), bias=bias)


def _stream_mlps(
    tape: Tape,
    streams: tuple[int, int, int],
    dims: tuple[int, int],
    *,
    names: tuple[str, str] = ("ff", "ff_context"),
    keeps_text: bool = True,
) -> None:
    batch, pixels, tokens = streams
    mlp(tape.at(names[0]), batch * pixels, dims)
    if keeps_text:
        mlp(tape.at(names[1]), batch * tokens, dims)


def _gated(tape: Tape, rows: int, dims: tuple[int, int]) -> None:
    width, inner = dims
    tape.norm("norm", rows, width, 0)
    tape.linear("linear_in", rows, (width, 2 * inner), bias=False)
    tape.pointwise("act", rows * 2 * inner, rows * inner)
    tape.linear("linear_out", rows, (inner, width), bias=False)


def _final(tape: Tape, rows: tuple[int, int], dims: tuple[int, int], *, bias: bool = True) -> None:
    batch, pixels = rows
    width, out = dims
    tape.linear("norm_out.linear", batch, (width, 2 * width), bias=bias)
    tape.norm("norm_out.norm", pixels, width, 0)
    tape.linear("proj_out", pixels, (width, out), bias=bias)
