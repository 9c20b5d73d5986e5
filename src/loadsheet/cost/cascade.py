"""Operators of Stable Cascade's U-Net (Pernias et al. 2023)."""

from loadsheet.cost.encoder import qkv
from loadsheet.cost.operator import AttentionShape
from loadsheet.cost.shape import Grid, PictureShape
from loadsheet.cost.tape import Conv, Tape, point
from loadsheet.errors import ConfigError
from loadsheet.specs.cascade import Block, CascadeSpec, Level

_PRIOR_PIXELS = 42.67  # pixels per latent pixel of the prior: 1024 make 24
_PRIOR_TO_DECODER = 10.67  # the decoder's latent per pixel of the prior's: 24 make 256


def latent_of(spec: CascadeSpec, shape: PictureShape) -> Grid:
    """Prior and decoder take different latents of the same picture."""
    prior = [-(-side * 100 // round(_PRIOR_PIXELS * 100)) for side in (shape.height, shape.width)]
    rows, columns = prior
    if spec.effnet_channels:  # the decoder is conditioned on the prior's output
        rows, columns = (int(side * _PRIOR_TO_DECODER) for side in prior)
    halvings = spec.patch * 2 ** sum(spec.switch or (True,) * (len(spec.levels) - 1))
    if rows % halvings or columns % halvings:
        raise ConfigError(
            f"{shape.width}x{shape.height} makes a latent of {columns}x{rows}, which is not a "
            f"multiple of {halvings}; use sides such as 1024 or 1536"
        )
    return Grid(batch=shape.batch, height=rows, width=columns)


def walk(tape: Tape, spec: CascadeSpec, shape: PictureShape, factor: int) -> None:
    """`factor` is fixed by the pair of networks and not used."""
    del factor
    grid = latent_of(spec, shape).scaled(down=spec.patch)
    tokens = _conditioning(tape, spec, shape)
    first = spec.levels[0].channels
    tape.conv("embedding.1", grid, point(spec.in_channels * spec.patch**2, first))
    if spec.effnet_channels:
        _mapper(tape.at("effnet_mapper"), grid, (spec.effnet_channels, first))
    if spec.pixel_channels:
        blank = Grid(batch=shape.batch, height=8, width=8)
        _mapper(tape.at("pixels_mapper"), blank, (spec.pixel_channels, first))
    for index, level in enumerate(spec.levels):
        if index > 0:
            before = spec.levels[index - 1].channels
            grid = _down(tape.at(f"down_downscalers.{index}"), spec, grid, (before, index))
        stage = tape.at(f"down_blocks.{index}")
        _stage(stage, spec, level, (level.num_down, level.down_repeats, 0), grid, tokens)
    for index in reversed(range(len(spec.levels))):
        level, stage = spec.levels[index], tape.at(f"up_blocks.{index}")
        skip = level.channels if index < len(spec.levels) - 1 else 0
        _stage(stage, spec, level, (level.num_up, level.up_repeats, skip), grid, tokens)
        if index > 0:
            grid = _up(tape.at(f"up_upscalers.{index}"), spec, grid, index)
    tape.norm("clf.0", grid.size, first, 0)
    tape.conv("clf.1", grid, point(first, spec.out_channels * spec.patch**2))


def _conditioning(tape: Tape, spec: CascadeSpec, shape: PictureShape) -> int:
    """Text and image vectors become tokens; returns how many."""
    wide = spec.context_dim * spec.clip_tokens
    tape.linear("clip_txt_pooled_mapper", shape.batch, (spec.pooled_dim, wide))
    tokens = spec.clip_tokens
    if spec.text_dim and spec.image_dim:
        text = shape.batch * shape.text_tokens
        tape.linear("clip_txt_mapper", text, (spec.text_dim, spec.context_dim))
        tape.linear("clip_img_mapper", shape.batch, (spec.image_dim, wide))
        tokens += spec.clip_tokens + shape.text_tokens
    tape.norm("clip_norm", shape.batch * tokens, spec.context_dim, 0)
    return tokens


def _stage(
    tape: Tape,
    spec: CascadeSpec,
    level: Level,
    layout: tuple[int, int, int],
    grid: Grid,
    tokens: int,
) -> None:
    """All blocks of a level run `repeats` times with the same weights, a 1x1 between rounds.

    Weights count once: the repeats are written as operators without parameters."""
    layers, repeats, skip = layout
    for index in range(layers):
        for kind in level.blocks:
            has_skip = skip if index == 0 and kind is level.blocks[0] else 0
            _block(tape.at(f"{index}"), spec, level, (kind, has_skip), grid, tokens)
    for round_idx in range(repeats - 1):
        mapper = point(level.channels, level.channels)
        tape.conv(f"repeat_mappers.{round_idx}", grid, mapper)
        again = Tape(tape.precision, [], tape.prefix, tape.times)
        for index in range(layers):
            for kind in level.blocks:
                has_skip = skip if index == 0 and kind is level.blocks[0] else 0
                _block(again.at(f"{index}"), spec, level, (kind, has_skip), grid, tokens)
        tape.operators.extend(again.without_params())


def _block(
    tape: Tape,
    spec: CascadeSpec,
    level: Level,
    kind: tuple[Block, int],
    grid: Grid,
    tokens: int,
) -> None:
    channels, (block, skip) = level.channels, kind
    if block is Block.RES:
        _res(tape, grid, (channels, skip), spec.kernel)
    elif block is Block.TIME:
        for index in range(1 + spec.num_time_conditions):
            tape.linear(f"mapper{index or ''}", grid.batch, (spec.time_dim, 2 * channels))
        tape.pointwise("modulate", grid.size * channels, grid.size * channels)
    else:
        _attention(tape, spec, level, grid, tokens)


def _res(tape: Tape, grid: Grid, channels: tuple[int, int], kernel: int) -> None:
    width, skip = channels
    window = Conv(ci=width, co=width, kernel=(1, kernel, kernel), groups=width)
    tape.conv("depthwise", grid, window)
    tape.norm("norm", grid.size, width, 0)
    tape.linear("channelwise.0", grid.size, (width + skip, 4 * width))
    tape.norm("channelwise.2", grid.size, 4 * width, 8 * width)
    tape.linear("channelwise.4", grid.size, (4 * width, width))


def _attention(tape: Tape, spec: CascadeSpec, level: Level, grid: Grid, tokens: int) -> None:
    """Queries from the picture; keys from the picture (if it attends to itself) and the tokens."""
    width, own = level.channels, grid.pixels if level.attends_to_itself else 0
    tape.linear("kv_mapper.1", grid.batch * tokens, (spec.context_dim, width))
    tape.norm("norm", grid.size, width, 0)
    inner, dim = tape.at("attention"), width // level.heads
    inner.linear("to_q", grid.size, (width, width))
    parts = qkv("to_k", "to_v", width=width)
    inner.linear("kv", grid.batch * (own + tokens), (width, 2 * width), parts=parts)
    shape = AttentionShape(
        batch=grid.batch,
        heads=level.heads,
        kv_heads=level.heads,
        qk_dim=dim,
        value_dim=dim,
        tokens=grid.pixels,
        context=own + tokens,
        pairs=grid.pixels * (own + tokens),
    )
    inner.attention("attention", shape)
    inner.linear("to_out.0", grid.size, (width, width))


def _down(tape: Tape, spec: CascadeSpec, grid: Grid, level: tuple[int, int]) -> Grid:
    before, index = level
    width = spec.levels[index].channels
    tape.norm("0", grid.size, before, 0)
    if spec.switch is None:
        window = Conv(ci=before, co=width, kernel=(1, 2, 2), stride=2)
        return tape.conv("1", grid, window)
    tape.conv("1.blocks.0", grid, point(before, width))
    return grid.scaled(down=2) if spec.switch[index - 1] else grid


def _up(tape: Tape, spec: CascadeSpec, grid: Grid, index: int) -> Grid:
    width, after = spec.levels[index].channels, spec.levels[index - 1].channels
    tape.norm("0", grid.size, width, 0)
    if spec.switch is None:  # a transposed convolution: each input pixel meets every weight
        tape.conv("1", grid, Conv(ci=width, co=after, kernel=(1, 2, 2)))
        return grid.scaled(up=2)
    fine = grid.scaled(up=2) if spec.switch[index - 1] else grid
    tape.conv("1.blocks.1", fine, point(width, after))
    return fine


def _mapper(tape: Tape, grid: Grid, channels: tuple[int, int]) -> None:
    ci, co = channels
    tape.conv("0", grid, point(ci, 4 * co))
    tape.conv("2", grid, point(4 * co, co))
