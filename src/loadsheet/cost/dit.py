"""Operators of one denoise step of single-stream diffusion Transformers."""

from loadsheet.cost.encoder import full, qkv
from loadsheet.cost.operator import AttentionShape
from loadsheet.cost.shape import Grid, PictureShape, latent_grid
from loadsheet.cost.tape import Tape
from loadsheet.cost.unet import embed
from loadsheet.specs.dit import DiTSpec, HunyuanDiTSpec, Lumina2Spec, PixArtSpec

_SINUSOID = 256  # width of the sinusoidal timestep features


def dit(tape: Tape, spec: DiTSpec, shape: PictureShape, factor: int) -> None:
    """The final layer reuses the first block's embedder once more."""
    grid = latent_grid(shape, factor * spec.patch)
    width, batch = spec.heads * spec.head_dim, shape.batch
    tape.linear("pos_embed.proj", grid.size, (spec.patch**2 * spec.in_channels, width))
    block = tape.at("transformer_blocks.*", spec.num_layers)
    norm = block.at("norm1")
    _class_embed(norm.at("emb"), batch, spec, width)
    norm.linear("linear", batch, (width, 6 * width))
    norm.norm("norm", grid.size, width, 0)
    self_attention(block.at("attn1"), grid, (spec.heads, spec.head_dim))
    block.norm("norm3", grid.size, width, 0)
    mlp(block.at("ff"), grid.size, (width, 4 * width))
    again = tape.at("transformer_blocks.0.norm1.emb (final layer)")
    again.matmul("linear_1", 1, (batch, width, _SINUSOID))
    again.matmul("linear_2", 1, (batch, width, width))
    tape.linear("proj_out_1", batch, (width, 2 * width))
    tape.norm("norm_out", grid.size, width, 0)
    tape.linear("proj_out_2", grid.size, (width, spec.patch**2 * spec.out_channels))


def pixart(tape: Tape, spec: PixArtSpec, shape: PictureShape, factor: int) -> None:
    grid = latent_grid(shape, factor * spec.patch)
    width, batch, tokens = spec.heads * spec.head_dim, shape.batch, shape.text_tokens
    tape.linear("pos_embed.proj", grid.size, (spec.patch**2 * spec.in_channels, width))
    single = tape.at("adaln_single")
    embed(single.at("emb.timestep_embedder"), batch, (_SINUSOID, width))
    if spec.has_size_conditions:  # height and width in one, their ratio in the other
        embed(single.at("emb.resolution_embedder"), 2 * batch, (_SINUSOID, width // 3))
        embed(single.at("emb.aspect_ratio_embedder"), batch, (_SINUSOID, width // 3))
    single.linear("linear", batch, (width, 6 * width))
    caption = tape.at("caption_projection")
    caption.linear("linear_1", batch * tokens, (spec.caption_dim, width))
    caption.linear("linear_2", batch * tokens, (width, width))
    block = tape.at("transformer_blocks.*", spec.num_layers)
    block.norm("norm1", grid.size, width, 6 * width)  # with the table of scales and shifts
    self_attention(block.at("attn1"), grid, (spec.heads, spec.head_dim))
    cross_attention(block.at("attn2"), grid, (spec.heads, spec.head_dim), (tokens, width))
    block.norm("norm2", grid.size, width, 0)
    mlp(block.at("ff"), grid.size, (width, 4 * width))
    tape.norm("norm_out", grid.size, width, 2 * width)
    tape.linear("proj_out", grid.size, (width, spec.patch**2 * spec.out_channels))


def hunyuan(tape: Tape, spec: HunyuanDiTSpec, shape: PictureShape, factor: int) -> None:
    """The prompt always fills its padded length: learned padding stands in for missing tokens."""
    grid = latent_grid(shape, factor * spec.patch)
    width, batch = spec.heads * spec.head_dim, shape.batch
    tokens = spec.bert_tokens + spec.t5_tokens
    tape.linear("pos_embed.proj", grid.size, (spec.patch**2 * spec.in_channels, width))
    text = tape.at("text_embedder")
    text.linear("linear_1", batch * spec.t5_tokens, (spec.t5_dim, 4 * spec.t5_dim))
    text.linear("linear_2", batch * spec.t5_tokens, (4 * spec.t5_dim, spec.context_dim))
    padding = tokens * spec.context_dim
    tape.pointwise("text_embedding_padding", padding, padding, params=padding)
    _hunyuan_condition(tape.at("time_extra_emb"), spec, batch, width)
    skips = spec.num_layers - spec.num_layers // 2 - 1
    long = tape.at("blocks.*", skips)
    if skips:
        long.norm("skip_norm", grid.size, 2 * width, 4 * width)
        long.linear("skip_linear", grid.size, (2 * width, width))
    block = tape.at("blocks.*", spec.num_layers)
    block.linear("norm1.linear", batch, (width, width))
    for index in (1, 2, 3):
        block.norm(f"norm{index}", grid.size, width, 2 * width)
    heads = (spec.heads, spec.head_dim)
    self_attention(block.at("attn1"), grid, heads)
    block.norm("attn1.qk_norm", grid.size, 2 * width, 4 * spec.head_dim)
    cross_attention(block.at("attn2"), grid, heads, (tokens, spec.context_dim))
    block.norm("attn2.qk_norm", grid.size, 2 * width, 4 * spec.head_dim)
    mlp(block.at("ff"), grid.size, (width, spec.width))
    tape.linear("norm_out.linear", batch, (width, 2 * width))
    tape.norm("norm_out.norm", grid.size, width, 0)
    tape.linear("proj_out", grid.size, (width, spec.patch**2 * spec.out_channels))


def lumina2(tape: Tape, spec: Lumina2Spec, shape: PictureShape, factor: int) -> None:
    grid = latent_grid(shape, factor * spec.patch)
    width, batch, tokens = spec.hidden_size, shape.batch, shape.text_tokens
    condition = min(width, 1024)
    tape.linear("x_embedder", grid.size, (spec.patch**2 * spec.in_channels, width))
    time = tape.at("time_caption_embed")
    embed(time.at("timestep_embedder"), batch, (_SINUSOID, condition))
    time.norm("caption_embedder.0", batch * tokens, spec.caption_dim, spec.caption_dim)
    time.linear("caption_embedder.1", batch * tokens, (spec.caption_dim, width))
    refiners = spec.num_refiners
    _lumina_block(tape.at("context_refiner.*", refiners), spec, (batch, tokens), modulated=False)
    _lumina_block(tape.at("noise_refiner.*", refiners), spec, (batch, grid.pixels), modulated=True)
    joint = (batch, tokens + grid.pixels)
    _lumina_block(tape.at("layers.*", spec.num_layers), spec, joint, modulated=True)
    rows = batch * joint[1]  # text positions are dropped only after the last projection
    tape.linear("norm_out.linear_1", batch, (condition, width))
    tape.norm("norm_out.norm", rows, width, 0)
    tape.linear("norm_out.linear_2", rows, (width, spec.patch**2 * spec.out_channels))


def self_attention(tape: Tape, grid: Grid, heads: tuple[int, int]) -> None:
    width = heads[0] * heads[1]
    parts = qkv("to_q", "to_k", "to_v", width=width)
    tape.linear("qkv", grid.size, (width, 3 * width), parts=parts)
    tape.attention("attention", full(grid.batch, *heads, grid.pixels, grid.pixels))
    tape.linear("to_out.0", grid.size, (width, width))


def cross_attention(tape: Tape, grid: Grid, heads: tuple[int, int], text: tuple[int, int]) -> None:
    """`text` is the number of text tokens and their width."""
    width, (tokens, dim) = heads[0] * heads[1], text
    tape.linear("to_q", grid.size, (width, width))
    parts = qkv("to_k", "to_v", width=width)
    tape.linear("kv", grid.batch * tokens, (dim, 2 * width), parts=parts)
    tape.attention("attention", full(grid.batch, *heads, grid.pixels, tokens))
    tape.linear("to_out.0", grid.size, (width, width))


def mlp(tape: Tape, rows: int, dims: tuple[int, int]) -> None:
    width, inner = dims
    tape.linear("net.0.proj", rows, (width, inner))
    tape.pointwise("net.0.act", rows * inner, rows * inner)
    tape.linear("net.2", rows, (inner, width))


def _class_embed(tape: Tape, batch: int, spec: DiTSpec, width: int) -> None:
    embed(tape.at("timestep_embedder"), batch, (_SINUSOID, width))
    table = (spec.num_classes + 1, width)  # one more for "no class"
    tape.embedding("class_embedder.embedding_table", batch, table)


def _hunyuan_condition(tape: Tape, spec: HunyuanDiTSpec, batch: int, width: int) -> None:
    """Timestep, and the T5 states pooled by one attention query."""
    embed(tape.at("timestep_embedder"), batch, (_SINUSOID, width))
    pool, dim, tokens = tape.at("pooler"), spec.t5_dim, spec.t5_tokens + 1
    pool.pointwise("positional_embedding", 0, 0, params=tokens * dim)
    pool.linear("q_proj", batch, (dim, dim))
    parts = qkv("k_proj", "v_proj", width=dim)
    pool.linear("kv", batch * tokens, (dim, 2 * dim), parts=parts)
    pool.attention("attention", full(batch, 8, dim // 8, 1, tokens))
    pool.linear("c_proj", batch, (dim, spec.pooled_dim))
    extra = spec.pooled_dim
    if spec.has_style:
        tape.embedding("style_embedder", batch, (1, width))
        extra += _SINUSOID * 6 + width  # original size, target size and crop
    tape.linear("extra_embedder.linear_1", batch, (extra, 4 * width))
    tape.linear("extra_embedder.linear_2", batch, (4 * width, width))


def _lumina_block(
    tape: Tape, spec: Lumina2Spec, sequence: tuple[int, int], *, modulated: bool
) -> None:
    if tape.times == 0:
        return
    batch, tokens = sequence
    rows, width = batch * tokens, spec.hidden_size
    dim = width // spec.heads
    if modulated:
        tape.linear("norm1.linear", batch, (min(width, 1024), 4 * width))
    for name in ("norm1", "ffn_norm1", "norm2", "ffn_norm2"):
        tape.norm(name, rows, width, width)
    attention, kv = tape.at("attn"), spec.kv_heads * dim
    attention.linear("qkv", rows, (width, width + 2 * kv), bias=False)
    attention.norm("qk_norm", rows, width + kv, 2 * dim)
    shape = AttentionShape(
        batch=batch,
        heads=spec.heads,
        kv_heads=spec.kv_heads,
        qk_dim=dim,
        value_dim=dim,
        tokens=tokens,
        context=tokens,
        pairs=tokens * tokens,
    )
    attention.attention("attention", shape)
    attention.linear("to_out.0", rows, (width, width), bias=False)
    ff = tape.at("feed_forward")
    ff.linear("linear_1+3", rows, (width, 2 * spec.width), bias=False)
    ff.pointwise("act", rows * 2 * spec.width, rows * spec.width)
    ff.linear("linear_2", rows, (spec.width, width), bias=False)
