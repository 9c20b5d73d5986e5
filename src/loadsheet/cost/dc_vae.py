"""Operators of the deep-compression autoencoder (Chen et al. 2024), as Sana uses it."""

from loadsheet.cost.sana import mbconv
from loadsheet.cost.shape import Grid, PictureShape, latent_grid
from loadsheet.cost.tape import Conv, Tape
from loadsheet.specs.vae import DcVaeSpec


def encode(tape: Tape, spec: DcVaeSpec, shape: PictureShape) -> None:
    latent_grid(shape, spec.factor)
    grid = Grid(batch=shape.batch, height=shape.height, width=shape.width)
    root, channels = tape.at("encoder"), spec.encoder_channels
    if spec.encoder_layers[0] > 0:
        root.conv("conv_in", grid, Conv(ci=3, co=channels[0]))
    else:  # the first level only halves the picture
        grid = _down(root.at("conv_in"), spec, grid, (3, channels[1]))
    for level, width in enumerate(channels):
        stage = root.at(f"down_blocks.{level}")
        count = spec.encoder_layers[level]
        _block(stage.at("*", count), grid, width, spec, level, spec.encoder_vit)
        if level < len(channels) - 1 and count > 0:
            grid = _down(stage.at("down"), spec, grid, (width, channels[level + 1]))
    root.conv("conv_out", grid, Conv(ci=channels[-1], co=spec.latent_channels))


def decode(tape: Tape, spec: DcVaeSpec, shape: PictureShape) -> None:
    grid = latent_grid(shape, spec.factor)
    root, channels = tape.at("decoder"), spec.decoder_channels
    root.conv("conv_in", grid, Conv(ci=spec.latent_channels, co=channels[-1]))
    for level in reversed(range(len(channels))):
        width, count = channels[level], spec.decoder_layers[level]
        stage = root.at(f"up_blocks.{level}")
        if level < len(channels) - 1 and count > 0:
            grid = _up(stage.at("up"), spec, grid, (channels[level + 1], width))
        _block(stage.at("*", count), grid, width, spec, level, spec.decoder_vit)
    first = channels[0] if spec.decoder_layers[0] > 0 else channels[1]
    root.norm("norm_out", grid.size, first, 2 * first)
    if spec.decoder_layers[0] > 0:
        root.conv("conv_out", grid, Conv(ci=first, co=3))
    else:
        _up(root.at("conv_out"), spec, grid, (first, 3))


def _block(
    tape: Tape, grid: Grid, width: int, spec: DcVaeSpec, level: int, vit: tuple[bool, ...]
) -> None:
    if tape.times == 0:
        return
    if vit[level]:
        scales = (spec.encoder_scales if vit is spec.encoder_vit else spec.decoder_scales)[level]
        _multiscale_attention(tape.at("attn"), grid, width, spec.head_dim, scales)
        mbconv(tape.at("conv_out"), grid, width, 4 * width)
        tape.norm("conv_out.norm", grid.size, width, 2 * width)
        return
    tape.conv("conv1", grid, Conv(ci=width, co=width))
    tape.conv("conv2", grid, Conv(ci=width, co=width, has_bias=False))
    tape.norm("norm", grid.size, width, 2 * width)


def _multiscale_attention(
    tape: Tape, grid: Grid, width: int, head_dim: int, scales: tuple[int, ...]
) -> None:
    """ReLU linear attention over the features and a depthwise-filtered copy per scale."""
    heads, inner = width // head_dim, width // head_dim * head_dim
    tape.linear("to_qkv", grid.size, (width, 3 * inner), bias=False)
    for index, kernel in enumerate(scales):
        scale = tape.at(f"to_qkv_multiscale.{index}")
        window = Conv(
            ci=3 * inner, co=3 * inner, kernel=(1, kernel, kernel), groups=3 * inner, has_bias=False
        )
        scale.conv("proj_in", grid, window)
        mix = Conv(ci=3 * inner, co=3 * inner, kernel=(1, 1, 1), groups=3 * heads, has_bias=False)
        scale.conv("proj_out", grid, mix)
    groups = grid.batch * heads * (1 + len(scales))
    linear_attention(tape, groups, head_dim, grid.pixels)
    tape.linear("to_out", grid.size, (inner * (1 + len(scales)), width), bias=False)
    tape.norm("norm_out", grid.size, width, 2 * width)


def linear_attention(tape: Tape, groups: int, head_dim: int, tokens: int) -> None:
    """Values padded with a row of ones, times keys, times queries; small maps use the quadratic
    order, where the product of keys and queries is the smaller one."""
    if tokens > head_dim:
        tape.matmul("value_key", groups, (head_dim + 1, head_dim, tokens))
        tape.matmul("state_query", groups, (head_dim + 1, tokens, head_dim))
    else:
        tape.matmul("key_query", groups, (tokens, tokens, head_dim))
        tape.matmul("value_scores", groups, (head_dim, tokens, tokens))


def _down(tape: Tape, spec: DcVaeSpec, grid: Grid, channels: tuple[int, int]) -> Grid:
    ci, co = channels
    if spec.has_shuffle_down:  # convolve on the fine grid, then fold 2x2 pixels into channels
        tape.conv("conv", grid, Conv(ci=ci, co=co // 4))
        return grid.scaled(down=2)
    return tape.conv("conv", grid, Conv(ci=ci, co=co, stride=2))


def _up(tape: Tape, spec: DcVaeSpec, grid: Grid, channels: tuple[int, int]) -> Grid:
    ci, co = channels
    if spec.has_shuffle_up:
        tape.conv("conv", grid, Conv(ci=ci, co=4 * co))
        return grid.scaled(up=2)
    fine = grid.scaled(up=2)
    tape.conv("conv", fine, Conv(ci=ci, co=co))
    return fine
