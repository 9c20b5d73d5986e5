"""Convolutional denoisers: the text-conditioned latent U-Net and the pixel U-Net of DDPM."""

from dataclasses import dataclass
from typing import Self

from loadsheet.errors import SpecError
from loadsheet.specs.hf_config import HfConfig

_DOWN = {"DownBlock2D": False, "CrossAttnDownBlock2D": True}
_UP = {"UpBlock2D": False, "CrossAttnUpBlock2D": True}
_PIXEL = {"DownBlock2D": False, "AttnDownBlock2D": True, "UpBlock2D": False, "AttnUpBlock2D": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetSpec:
    """Stable Diffusion's U-Net. Levels run from the finest grid to the coarsest."""

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    layers_per_block: int
    has_attention_down: tuple[bool, ...]
    has_attention_up: tuple[bool, ...]  # from the coarsest level up
    transformer_layers: tuple[int, ...]
    heads: tuple[int, ...]
    context_dim: int
    text_dim: int  # width of the text states before `encoder_hid_proj`; 0 without one
    added_dim: int  # width of pooled text and size embeddings; 0 without them
    time_cond_dim: int  # guidance embedding of distilled models; 0 without one

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        channels = config.integers("block_out_channels")
        levels = len(channels)
        default_heads = config.per_level("attention_head_dim", levels, 8)
        mid = config.text("mid_block_type", "UNetMidBlock2DCrossAttn")
        if mid != "UNetMidBlock2DCrossAttn":
            raise SpecError(f"{config.where}: mid_block_type {mid} is not modelled")
        added = config.text("addition_embed_type", "none")
        if added not in ("none", "text_time"):
            raise SpecError(f"{config.where}: addition_embed_type {added} is not modelled")
        return cls(
            in_channels=config.positive("in_channels", 4),
            out_channels=config.positive("out_channels", 4),
            channels=channels,
            layers_per_block=config.positive("layers_per_block", 2),
            has_attention_down=block_kinds(config, "down_block_types", _DOWN, levels),
            has_attention_up=block_kinds(config, "up_block_types", _UP, levels),
            transformer_layers=config.per_level("transformer_layers_per_block", levels, 1),
            heads=config.per_level("num_attention_heads", levels)
            if config.has("num_attention_heads")
            else default_heads,
            context_dim=config.positive("cross_attention_dim"),
            text_dim=config.integer("encoder_hid_dim", 0),
            added_dim=config.positive("projection_class_embeddings_input_dim")
            if added == "text_time"
            else 0,
            time_cond_dim=config.integer("time_cond_proj_dim", 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelUNetSpec:
    """DDPM's unconditional U-Net, single-purpose attention on coarse levels only."""

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    layers_per_block: int
    has_attention_down: tuple[bool, ...]
    has_attention_up: tuple[bool, ...]
    head_dim: int  # 0: one head over all channels

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        channels = config.integers("block_out_channels")
        return cls(
            in_channels=config.positive("in_channels", 3),
            out_channels=config.positive("out_channels", 3),
            channels=channels,
            layers_per_block=config.positive("layers_per_block", 2),
            has_attention_down=block_kinds(config, "down_block_types", _PIXEL, len(channels)),
            has_attention_up=block_kinds(config, "up_block_types", _PIXEL, len(channels)),
            head_dim=config.integer("attention_head_dim", 0),
        )


def block_kinds(
    config: HfConfig, key: str, known: dict[str, bool], levels: int
) -> tuple[bool, ...]:
    names = config.items(key)
    unknown = [name for name in names if name not in known]
    if unknown or len(names) != levels:
        wanted = ", ".join(known)
        raise SpecError(f"{config.where}: {key} needs {levels} of {wanted}, not {list(names)}")
    return tuple(known[str(name)] for name in names)
