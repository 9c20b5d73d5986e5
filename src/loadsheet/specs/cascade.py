"""Stable Cascade's U-Net, used twice: a prior on 24x24 latents and a decoder on 256x256."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from loadsheet.errors import SpecError
from loadsheet.specs.hf_config import HfConfig


class Block(StrEnum):
    RES = "SDCascadeResBlock"
    TIME = "SDCascadeTimestepBlock"
    ATTENTION = "SDCascadeAttnBlock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    channels: int
    heads: int
    blocks: tuple[Block, ...]
    num_down: int
    num_up: int
    down_repeats: int
    up_repeats: int
    attends_to_itself: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeSpec:
    """`levels` run from the finest grid; `is_strided` halves the grid by convolution, otherwise
    `switch` says which levels are resampled."""

    in_channels: int
    out_channels: int
    patch: int
    time_dim: int
    num_time_conditions: int
    context_dim: int
    levels: tuple[Level, ...]
    switch: tuple[bool, ...] | None
    text_dim: int
    pooled_dim: int
    image_dim: int
    clip_tokens: int  # tokens made from each pooled vector
    effnet_channels: int
    pixel_channels: int
    kernel: int

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        switch = config.items("switch_level") if config.has("switch_level") else None
        return cls(
            in_channels=config.positive("in_channels", 16),
            out_channels=config.positive("out_channels", 16),
            patch=config.positive("patch_size", 1),
            time_dim=config.positive("timestep_ratio_embedding_dim", 64),
            num_time_conditions=len(config.items("timestep_conditioning_type", ("sca", "crp"))),
            context_dim=config.positive("conditioning_dim", 2048),
            levels=_levels(config),
            switch=None if switch is None else tuple(bool(item) for item in switch),
            text_dim=config.integer("clip_text_in_channels", 0),
            pooled_dim=config.positive("clip_text_pooled_in_channels", 1280),
            image_dim=config.integer("clip_image_in_channels", 0),
            clip_tokens=config.positive("clip_seq", 4),
            effnet_channels=config.integer("effnet_in_channels", 0),
            pixel_channels=config.integer("pixel_mapper_in_channels", 0),
            kernel=config.positive("kernel_size", 3),
        )


def _levels(config: HfConfig) -> tuple[Level, ...]:
    channels = config.integers("block_out_channels", (2048, 2048))
    count = len(channels)
    heads = [_heads(config, item) for item in config.items("num_attention_heads", (32, 32))]
    down = config.per_level("down_num_layers_per_block", count)
    up = config.per_level("up_num_layers_per_block", count)[::-1]
    down_repeats = config.per_level("down_blocks_repeat_mappers", count, 1)
    up_repeats = config.per_level("up_blocks_repeat_mappers", count, 1)[::-1]
    own = config.fields.get("self_attn", True)
    attends = list(own) if isinstance(own, list | tuple) else [own] * count
    return tuple(
        Level(
            channels=channels[index],
            heads=heads[index],
            blocks=_blocks(config, index),
            num_down=down[index],
            num_up=up[index],
            down_repeats=down_repeats[index],
            up_repeats=up_repeats[index],
            attends_to_itself=bool(attends[index]),
        )
        for index in range(count)
    )


def _blocks(config: HfConfig, level: int) -> tuple[Block, ...]:
    names = config.items("block_types_per_layer", ((tuple(Block)), (tuple(Block))))[level]
    if not isinstance(names, list | tuple) or not set(names) <= set(Block):
        raise SpecError(f"{config.where}: block_types_per_layer has {names!r}")
    return tuple(Block(name) for name in names)


def _heads(config: HfConfig, item: object) -> int:
    """Levels without attention are marked 0 or -1 in the published files."""
    if not isinstance(item, int):
        raise SpecError(f"{config.where}: num_attention_heads has {item!r}")
    return max(item, 0)
