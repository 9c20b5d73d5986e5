"""Operators of Wan 2.x: the video Transformer and its causal autoencoder."""

from loadsheet.cost.dit import mlp, self_attention
from loadsheet.cost.encoder import full, qkv
from loadsheet.cost.shape import Grid, PictureShape, latent_grid
from loadsheet.cost.tape import Conv, Tape, point
from loadsheet.cost.unet import embed
from loadsheet.errors import ConfigError
from loadsheet.specs.dit import WanSpec
from loadsheet.specs.vae import WanVaeSpec

IMAGE_TOKENS = 257  # CLIP ViT-H states of an image-to-video prompt picture
_CAUSAL = (3, 3, 3)


def latent_frames(frames: int, factor: int) -> int:
    """The first frame stands alone, then `factor` frames make one."""
    if (frames - 1) % factor:
        low = (frames - 1) // factor * factor + 1
        raise ConfigError(
            f"frames {frames} is not a multiple of {factor} plus 1; nearest: {low}, {low + factor}"
        )
    return (frames - 1) // factor + 1


def walk(tape: Tape, spec: WanSpec, shape: PictureShape, factor: int, time_factor: int) -> None:
    frames, rows, columns = spec.patch
    if rows != columns:
        raise ConfigError(f"patches of {rows}x{columns} are not square")
    plane = latent_grid(shape, factor * rows)
    grid = plane.with_frames(latent_frames(shape.frames, time_factor) // frames)
    width, batch = spec.heads * spec.head_dim, shape.batch
    patch = frames * rows * columns
    tape.linear("patch_embedding", grid.size, (patch * spec.in_channels, width))
    condition = tape.at("condition_embedder")
    embed(condition.at("time_embedder"), batch, (spec.time_dim, width))
    condition.linear("time_proj", batch, (width, 6 * width))
    text = batch * shape.text_tokens
    condition.linear("text_embedder.linear_1", text, (spec.text_dim, width))
    condition.linear("text_embedder.linear_2", text, (width, width))
    if spec.image_dim:
        image = condition.at("image_embedder")
        image.norm("norm1", batch * IMAGE_TOKENS, spec.image_dim, 2 * spec.image_dim)
        image.linear("ff.net.0.proj", batch * IMAGE_TOKENS, (spec.image_dim, spec.image_dim))
        image.linear("ff.net.2", batch * IMAGE_TOKENS, (spec.image_dim, width))
        image.norm("norm2", batch * IMAGE_TOKENS, width, 2 * width)
    _block(tape.at("blocks.*", spec.num_layers), spec, grid, shape.text_tokens)
    tape.norm("norm_out", grid.size, width, 2 * width)
    tape.linear("proj_out", grid.size, (width, patch * spec.out_channels))


def _block(tape: Tape, spec: WanSpec, grid: Grid, tokens: int) -> None:
    heads, width = (spec.heads, spec.head_dim), spec.heads * spec.head_dim
    tape.norm("norm1", grid.size, width, 6 * width)  # with the table of scales and shifts
    self_attention(tape.at("attn1"), grid, heads)
    tape.norm("attn1.qk_norm", grid.size, 2 * width, 2 * width)
    tape.norm("norm2", grid.size, width, 2 * width if spec.has_cross_norm else 0)
    cross = tape.at("attn2")
    cross.linear("to_q", grid.size, (width, width))
    _keys(cross, grid, heads, ("to_k", "to_v"), tokens)
    cross.norm("qk_norm", grid.size, 2 * width, 2 * width)
    if spec.image_dim:
        _keys(cross, grid, heads, ("add_k_proj", "add_v_proj"), IMAGE_TOKENS)
        cross.norm("norm_added_k", grid.batch * IMAGE_TOKENS, width, width)
    cross.linear("to_out.0", grid.size, (width, width))
    tape.norm("norm3", grid.size, width, 0)
    mlp(tape.at("ffn"), grid.size, (width, spec.width))


def _keys(
    tape: Tape, grid: Grid, heads: tuple[int, int], names: tuple[str, str], tokens: int
) -> None:
    width = heads[0] * heads[1]
    parts = qkv(*names, width=width)
    tape.linear(names[0][:-2], grid.batch * tokens, (width, 2 * width), parts=parts)
    tape.attention(f"{names[0]}.attention", full(grid.batch, *heads, grid.pixels, tokens))


def encode(tape: Tape, spec: WanVaeSpec, shape: PictureShape) -> None:
    """Frames run in chunks: the first alone, then `time_factor` at a time, with cached context."""
    latent_grid(shape, spec.factor)
    latent_frames(shape.frames, spec.time_factor)
    grid = Grid(
        batch=shape.batch,
        height=shape.height // spec.patch,
        width=shape.width // spec.patch,
        frames=shape.frames,
    )
    root, dim = tape.at("encoder"), spec.encoder_dim
    widths = [dim * multiplier for multiplier in (1, *spec.multipliers)]
    _causal(root, "conv_in", grid, (spec.in_channels, widths[0]))
    for level, co in enumerate(widths[1:]):
        stage, ci = root.at(f"down_blocks.{level}"), widths[level]
        for index in range(spec.num_res_blocks):
            _residual(stage.at(f"resnets.{index}"), grid, (ci, co))
            ci = co
        if level < len(spec.multipliers) - 1:
            grid = _downsample(stage.at("downsampler"), spec, grid, level, co)
    _middle(root.at("mid_block"), grid, widths[-1])
    root.norm("norm_out", grid.size, widths[-1], widths[-1])
    moments = 2 * spec.latent_channels
    _causal(root, "conv_out", grid, (widths[-1], moments))
    tape.conv("quant_conv", grid, point(moments, moments))


def decode(tape: Tape, spec: WanVaeSpec, shape: PictureShape) -> None:
    plane = latent_grid(shape, spec.factor)
    grid = plane.with_frames(latent_frames(shape.frames, spec.time_factor))
    z, dim = spec.latent_channels, spec.decoder_dim
    tape.conv("post_quant_conv", grid, point(z, z))
    root = tape.at("decoder")
    multipliers = (spec.multipliers[-1], *spec.multipliers[::-1])
    widths = [dim * multiplier for multiplier in multipliers]
    _causal(root, "conv_in", grid, (z, widths[0]))
    _middle(root.at("mid_block"), grid, widths[0])
    doubles = spec.halves_time[::-1]
    for level, co in enumerate(widths[1:]):
        stage, ci = root.at(f"up_blocks.{level}"), widths[level]
        if level > 0 and not spec.is_residual:
            ci //= 2  # the upsampler before has halved the channels
        for index in range(spec.num_res_blocks + 1):
            _residual(stage.at(f"resnets.{index}"), grid, (ci, co))
            ci = co
        if level < len(spec.multipliers) - 1:
            out = co if spec.is_residual else co // 2
            grid = _upsample(stage.at("upsampler"), grid, (co, out), in_time=doubles[level])
    root.norm("norm_out", grid.size, widths[-1], widths[-1])
    _causal(root, "conv_out", grid, (widths[-1], spec.out_channels))


def _residual(tape: Tape, grid: Grid, channels: tuple[int, int]) -> None:
    ci, co = channels
    tape.norm("norm1", grid.size, ci, ci)
    _causal(tape, "conv1", grid, (ci, co))
    tape.norm("norm2", grid.size, co, co)
    _causal(tape, "conv2", grid, (co, co))
    if ci != co:
        tape.conv("conv_shortcut", grid, point(ci, co))


def _middle(tape: Tape, grid: Grid, width: int) -> None:
    """Attention looks at one frame at a time, with a single head."""
    _residual(tape.at("resnets.0"), grid, (width, width))
    attention = tape.at("attentions.0")
    attention.norm("norm", grid.size, width, width)
    attention.conv("to_qkv", grid, point(width, 3 * width))
    pixels = grid.height * grid.width
    attention.attention("attention", full(grid.batch * grid.frames, 1, width, pixels, pixels))
    attention.conv("proj", grid, point(width, width))
    _residual(tape.at("resnets.1"), grid, (width, width))


def _downsample(tape: Tape, spec: WanVaeSpec, grid: Grid, level: int, width: int) -> Grid:
    plane = Grid(batch=grid.batch * grid.frames, height=grid.height, width=grid.width)
    out = tape.conv("resample.1", plane, Conv(ci=width, co=width, stride=2))
    half = Grid(batch=grid.batch, height=out.height, width=out.width, frames=grid.frames)
    if not spec.halves_time[level]:
        return half
    after = (grid.frames - 1) // 2  # the first frame has no partner
    time = Conv(ci=width, co=width, kernel=(3, 1, 1))
    tape.conv("time_conv", half.with_frames(after), time)
    return half.with_frames(after + 1)


def _upsample(tape: Tape, grid: Grid, channels: tuple[int, int], *, in_time: bool) -> Grid:
    """Time doubles for all but the first frame, before rows and columns do."""
    ci, co = channels
    frames = grid.frames
    if in_time:
        time = Conv(ci=ci, co=2 * ci, kernel=(3, 1, 1))
        tape.conv("time_conv", grid.with_frames(frames - 1), time)
        frames = 2 * (frames - 1) + 1
    fine = grid.with_frames(frames).scaled(up=2)
    plane = Grid(batch=grid.batch * frames, height=fine.height, width=fine.width)
    tape.conv("resample.1", plane, Conv(ci=ci, co=co))
    return fine


def _causal(tape: Tape, name: str, grid: Grid, channels: tuple[int, int]) -> None:
    ci, co = channels
    tape.conv(name, grid, Conv(ci=ci, co=co, kernel=_CAUSAL))
