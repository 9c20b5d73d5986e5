"""Operators of the convolutional denoisers: Stable Diffusion's U-Net and DDPM's."""

from loadsheet.cost.encoder import full, qkv
from loadsheet.cost.shape import Grid, PictureShape, latent_grid
from loadsheet.cost.tape import Conv, Tape, point
from loadsheet.specs.unet import PixelUNetSpec, UNetSpec


def walk(tape: Tape, spec: UNetSpec, shape: PictureShape, factor: int) -> None:
    """`factor` pixels make one latent pixel. Odd grids round up on the way down; the way up
    returns to the sizes it came from."""
    latent = latent_grid(shape, factor)
    tokens, time_dim = shape.text_tokens, 4 * spec.channels[0]
    _embeddings(tape, spec, shape)
    grid = tape.conv("conv_in", latent, Conv(ci=spec.in_channels, co=spec.channels[0]))
    skips, grids = [spec.channels[0]], []
    for level, channels in enumerate(spec.channels):
        block = tape.at(f"down_blocks.{level}")
        grids.append(grid)
        before = spec.channels[max(level - 1, 0)]
        for index in range(spec.layers_per_block):
            ci = before if index == 0 else channels
            resnet(block.at(f"resnets.{index}"), grid, (ci, channels), time_dim)
            if spec.has_attention_down[level]:
                _transformer(block.at(f"attentions.{index}"), spec, level, grid, tokens)
            skips.append(channels)
        if level < len(spec.channels) - 1:
            down = Conv(ci=channels, co=channels, stride=2)
            grid = block.conv("downsamplers.0.conv", grid, down)
            skips.append(channels)
    coarse = len(spec.channels) - 1
    middle = tape.at("mid_block")
    resnet(middle.at("resnets.0"), grid, (spec.channels[-1],) * 2, time_dim)
    _transformer(middle.at("attentions.0"), spec, coarse, grid, tokens)
    resnet(middle.at("resnets.1"), grid, (spec.channels[-1],) * 2, time_dim)
    current = spec.channels[-1]
    for index, level in enumerate(reversed(range(len(spec.channels)))):
        block, channels = tape.at(f"up_blocks.{index}"), spec.channels[level]
        for layer in range(spec.layers_per_block + 1):
            resnet(block.at(f"resnets.{layer}"), grid, (current + skips.pop(), channels), time_dim)
            if spec.has_attention_up[index]:
                _transformer(block.at(f"attentions.{layer}"), spec, level, grid, tokens)
            current = channels
        if level > 0:
            grid = grids[level - 1]
            block.conv("upsamplers.0.conv", grid, Conv(ci=channels, co=channels))
    tape.norm("conv_norm_out", grid.size, current, 2 * current)
    tape.conv("conv_out", grid, Conv(ci=current, co=spec.out_channels))


def walk_pixels(tape: Tape, spec: PixelUNetSpec, shape: PictureShape, factor: int) -> None:
    grid = latent_grid(shape, factor)
    latent_grid(shape, factor * 2 ** (len(spec.channels) - 1))
    time_dim = 4 * spec.channels[0]
    embed(tape.at("time_embedding"), shape.batch, (spec.channels[0], time_dim))
    grid = tape.conv("conv_in", grid, Conv(ci=spec.in_channels, co=spec.channels[0]))
    skips = [spec.channels[0]]
    for level, channels in enumerate(spec.channels):
        block = tape.at(f"down_blocks.{level}")
        before = spec.channels[max(level - 1, 0)]
        for index in range(spec.layers_per_block):
            ci = before if index == 0 else channels
            resnet(block.at(f"resnets.{index}"), grid, (ci, channels), time_dim)
            if spec.has_attention_down[level]:
                spatial_attention(block.at(f"attentions.{index}"), grid, channels, spec.head_dim)
            skips.append(channels)
        if level < len(spec.channels) - 1:
            down = Conv(ci=channels, co=channels, stride=2)
            grid = block.conv("downsamplers.0.conv", grid, down)
            skips.append(channels)
    middle, last = tape.at("mid_block"), spec.channels[-1]
    resnet(middle.at("resnets.0"), grid, (last, last), time_dim)
    spatial_attention(middle.at("attentions.0"), grid, last, spec.head_dim)
    resnet(middle.at("resnets.1"), grid, (last, last), time_dim)
    current = last
    for index, level in enumerate(reversed(range(len(spec.channels)))):
        block, channels = tape.at(f"up_blocks.{index}"), spec.channels[level]
        for layer in range(spec.layers_per_block + 1):
            resnet(block.at(f"resnets.{layer}"), grid, (current + skips.pop(), channels), time_dim)
            if spec.has_attention_up[index]:
                spatial_attention(block.at(f"attentions.{layer}"), grid, channels, spec.head_dim)
            current = channels
        if level > 0:
            grid = grid.scaled(up=2)
            block.conv("upsamplers.0.conv", grid, Conv(ci=channels, co=channels))
    tape.norm("conv_norm_out", grid.size, current, 2 * current)
    tape.conv("conv_out", grid, Conv(ci=current, co=spec.out_channels))


def resnet(tape: Tape, grid: Grid, channels: tuple[int, int], time_dim: int) -> None:
    """Two 3x3 convolutions around a residual; `time_dim` 0 has no timestep input."""
    ci, co = channels
    tape.norm("norm1", grid.size, ci, 2 * ci)
    tape.conv("conv1", grid, Conv(ci=ci, co=co))
    if time_dim:
        tape.linear("time_emb_proj", grid.batch, (time_dim, co))
    tape.norm("norm2", grid.size, co, 2 * co)
    tape.conv("conv2", grid, Conv(ci=co, co=co))
    if ci != co:
        tape.conv("conv_shortcut", grid, point(ci, co))
    tape.pointwise("add", 2 * grid.size * co, grid.size * co)


def spatial_attention(tape: Tape, grid: Grid, channels: int, head_dim: int) -> None:
    """Self-attention over the pixels of a feature map."""
    tape.norm("group_norm", grid.size, channels, 2 * channels)
    parts = qkv("to_q", "to_k", "to_v", width=channels)
    tape.linear("qkv", grid.size, (channels, 3 * channels), parts=parts)
    dim = head_dim or channels
    shape = full(grid.batch, channels // dim, dim, grid.pixels, grid.pixels)
    tape.attention("attention", shape)
    tape.linear("to_out.0", grid.size, (channels, channels))


def embed(tape: Tape, rows: int, dims: tuple[int, int], *, bias: bool = True) -> None:
    """The two-layer network behind a sinusoidal timestep (or size) embedding."""
    tape.linear("linear_1", rows, dims, bias=bias)
    tape.linear("linear_2", rows, (dims[1], dims[1]), bias=bias)


def _embeddings(tape: Tape, spec: UNetSpec, shape: PictureShape) -> None:
    base, time_dim = spec.channels[0], 4 * spec.channels[0]
    embed(tape.at("time_embedding"), shape.batch, (base, time_dim))
    if spec.time_cond_dim:
        dims = (spec.time_cond_dim, base)
        tape.linear("time_embedding.cond_proj", shape.batch, dims, bias=False)
    if spec.added_dim:
        embed(tape.at("add_embedding"), shape.batch, (spec.added_dim, time_dim))
    if spec.text_dim:
        rows = shape.batch * shape.text_tokens
        tape.linear("encoder_hid_proj", rows, (spec.text_dim, spec.context_dim))


def _transformer(tape: Tape, spec: UNetSpec, level: int, grid: Grid, tokens: int) -> None:
    """Self-attention, cross-attention to `tokens` text states and a GEGLU MLP per block."""
    channels, heads = spec.channels[level], spec.heads[level]
    dim, rows, text = channels // heads, grid.size, grid.batch * tokens
    tape.norm("norm", rows, channels, 2 * channels)
    tape.linear("proj_in", rows, (channels, channels))
    block = tape.at("transformer_blocks.*", spec.transformer_layers[level])
    for index in (1, 2, 3):
        block.norm(f"norm{index}", rows, channels, 2 * channels)
    own, cross = block.at("attn1"), block.at("attn2")
    parts = qkv("to_q", "to_k", "to_v", width=channels)
    own.linear("qkv", rows, (channels, 3 * channels), bias=False, parts=parts)
    own.attention("attention", full(grid.batch, heads, dim, grid.pixels, grid.pixels))
    own.linear("to_out.0", rows, (channels, channels))
    cross.linear("to_q", rows, (channels, channels), bias=False)
    parts = qkv("to_k", "to_v", width=channels)
    cross.linear("kv", text, (spec.context_dim, 2 * channels), bias=False, parts=parts)
    cross.attention("attention", full(grid.batch, heads, dim, grid.pixels, tokens))
    cross.linear("to_out.0", rows, (channels, channels))
    block.linear("ff.net.0.proj", rows, (channels, 8 * channels))
    block.pointwise("ff.net.0.geglu", rows * 8 * channels, rows * 4 * channels)
    block.linear("ff.net.2", rows, (4 * channels, channels))
    tape.linear("proj_out", rows, (channels, channels))
