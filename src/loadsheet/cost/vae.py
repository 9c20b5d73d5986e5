"""Operators of the autoencoders, pixels to latents and back."""

from loadsheet.cost.shape import Grid, PictureShape, latent_grid
from loadsheet.cost.tape import Conv, Tape, point
from loadsheet.cost.unet import resnet, spatial_attention
from loadsheet.specs.vae import KlVaeSpec, PaellaVaeSpec


def kl_encode(tape: Tape, spec: KlVaeSpec, shape: PictureShape) -> None:
    latent_grid(shape, spec.factor)
    grid = Grid(batch=shape.batch, height=shape.height, width=shape.width)
    root = tape.at("encoder")
    root.conv("conv_in", grid, Conv(ci=3, co=spec.channels[0]))
    current = spec.channels[0]
    for level, channels in enumerate(spec.channels):
        block = root.at(f"down_blocks.{level}")
        for index in range(spec.layers_per_block):
            resnet(block.at(f"resnets.{index}"), grid, (current, channels), 0)
            current = channels
        if level < len(spec.channels) - 1:
            down = Conv(ci=channels, co=channels, stride=2)
            grid = block.conv("downsamplers.0.conv", grid, down)
    _middle(root.at("mid_block"), spec, grid)
    moments = spec.latent_channels * (1 if spec.num_codes else 2)  # KL: mean and variance
    root.norm("conv_norm_out", grid.size, current, 2 * current)
    root.conv("conv_out", grid, Conv(ci=current, co=moments))
    if spec.has_quant_conv:
        tape.conv("quant_conv", grid, point(moments, moments))


def kl_decode(tape: Tape, spec: KlVaeSpec, shape: PictureShape) -> None:
    grid = latent_grid(shape, spec.factor)
    if spec.num_codes:
        table = (spec.num_codes, spec.latent_channels)
        tape.embedding("quantize.embedding", grid.size, table)
    if spec.has_post_quant_conv:
        tape.conv("post_quant_conv", grid, point(spec.latent_channels, spec.latent_channels))
    root, current = tape.at("decoder"), spec.channels[-1]
    root.conv("conv_in", grid, Conv(ci=spec.latent_channels, co=current))
    _middle(root.at("mid_block"), spec, grid)
    for index, channels in enumerate(reversed(spec.channels)):
        block = root.at(f"up_blocks.{index}")
        for layer in range(spec.layers_per_block + 1):
            resnet(block.at(f"resnets.{layer}"), grid, (current, channels), 0)
            current = channels
        if index < len(spec.channels) - 1:
            grid = grid.scaled(up=2)
            block.conv("upsamplers.0.conv", grid, Conv(ci=channels, co=channels))
    root.norm("conv_norm_out", grid.size, current, 2 * current)
    root.conv("conv_out", grid, Conv(ci=current, co=3))


def _middle(tape: Tape, spec: KlVaeSpec, grid: Grid) -> None:
    last = spec.channels[-1]
    resnet(tape.at("resnets.0"), grid, (last, last), 0)
    if spec.has_mid_attention:
        spatial_attention(tape.at("attentions.0"), grid, last, 0)
    resnet(tape.at("resnets.1"), grid, (last, last), 0)


def paella_encode(tape: Tape, spec: PaellaVaeSpec, shape: PictureShape) -> None:
    latent_grid(shape, spec.factor)
    grid = Grid(batch=shape.batch, height=shape.height, width=shape.width).scaled(down=spec.shuffle)
    widths = _widths(spec)
    tape.conv("in_block.1", grid, point(3 * spec.shuffle**2, widths[0]))
    for level, width in enumerate(widths):
        if level > 0:
            down = Conv(ci=widths[level - 1], co=width, kernel=(1, 4, 4), stride=2)
            grid = tape.conv(f"down_blocks.{2 * level - 1}", grid, down)
        _mixing(tape.at(f"down_blocks.{2 * level}"), grid, width)
    last = point(widths[-1], spec.latent_channels, has_bias=False)
    tape.conv("down_blocks.out", grid, last)
    tape.norm("down_blocks.norm", grid.size, spec.latent_channels, 2 * spec.latent_channels)


def paella_decode(tape: Tape, spec: PaellaVaeSpec, shape: PictureShape) -> None:
    """Latents are used as they are, without a look-up in the codebook, as the pipeline does."""
    grid = latent_grid(shape, spec.factor)
    widths = _widths(spec)[::-1]
    table = (spec.num_codes, spec.latent_channels)
    tape.embedding("vquantizer.embedding", 0, table)
    tape.conv("up_blocks.0.0", grid, point(spec.latent_channels, widths[0]))
    for level, width in enumerate(widths):
        blocks = spec.num_blocks if level == 0 else 1
        _mixing(tape.at(f"up_blocks.level{level}.*", blocks), grid, width)
        if level < len(widths) - 1:
            # a transposed 4x4 convolution: each input pixel meets every weight once
            up = Conv(ci=width, co=widths[level + 1], kernel=(1, 4, 4))
            tape.conv(f"up_blocks.level{level}.upsample", grid, up)
            grid = grid.scaled(up=2)
    tape.conv("out_block.0", grid, point(widths[-1], 3 * spec.shuffle**2))


def _widths(spec: PaellaVaeSpec) -> list[int]:
    return [spec.width // 2 ** (spec.levels - 1 - level) for level in range(spec.levels)]


def _mixing(tape: Tape, grid: Grid, width: int) -> None:
    tape.norm("norm1", grid.size, width, 0)
    tape.conv("depthwise.1", grid, Conv(ci=width, co=width, groups=width))
    tape.norm("norm2", grid.size, width, 0)
    tape.linear("channelwise.0", grid.size, (width, 4 * width))
    tape.linear("channelwise.2", grid.size, (4 * width, width))
    tape.pointwise("gammas", grid.size * width, grid.size * width, params=6)
