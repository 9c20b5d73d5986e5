"""Diffusion Transformers with a text stream and an image stream that attend jointly."""

from dataclasses import dataclass
from typing import Self

from loadsheet.specs.hf_config import HfConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Sd3Spec:
    """Stable Diffusion 3 and 3.5; the last block drops the text stream's output."""

    in_channels: int
    out_channels: int
    num_layers: int
    heads: int
    head_dim: int
    patch: int
    caption_dim: int
    joint_dim: int
    pooled_dim: int
    has_qk_norm: bool
    dual_layers: tuple[int, ...]  # blocks with a second, image-only attention

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        in_channels = config.positive("in_channels", 16)
        return cls(
            in_channels=in_channels,
            out_channels=config.positive("out_channels", in_channels),
            num_layers=config.positive("num_layers", 18),
            heads=config.positive("num_attention_heads", 18),
            head_dim=config.positive("attention_head_dim", 64),
            patch=config.positive("patch_size", 2),
            caption_dim=config.positive("caption_projection_dim", 1152),
            joint_dim=config.positive("joint_attention_dim", 4096),
            pooled_dim=config.positive("pooled_projection_dim", 2048),
            has_qk_norm=config.has("qk_norm"),
            dual_layers=config.integers("dual_attention_layers", ()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxSpec:
    """Flux.1: double-stream blocks, then single-stream blocks with MLP and attention abreast."""

    in_channels: int
    out_channels: int
    num_double: int
    num_single: int
    heads: int
    head_dim: int
    joint_dim: int
    pooled_dim: int
    has_guidance: bool

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        in_channels = config.positive("in_channels", 64)
        return cls(
            in_channels=in_channels,
            out_channels=config.positive("out_channels", in_channels),
            num_double=config.positive("num_layers", 19),
            num_single=config.positive("num_single_layers", 38),
            heads=config.positive("num_attention_heads", 24),
            head_dim=config.positive("attention_head_dim", 128),
            joint_dim=config.positive("joint_attention_dim", 4096),
            pooled_dim=config.positive("pooled_projection_dim", 768),
            has_guidance=config.flag("guidance_embeds", False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flux2Spec:
    """Flux.2: modulation shared by all blocks of a kind, gated MLPs, no biases."""

    in_channels: int
    out_channels: int
    num_double: int
    num_single: int
    heads: int
    head_dim: int
    joint_dim: int
    time_dim: int
    width: int
    has_guidance: bool

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        in_channels = config.positive("in_channels", 128)
        heads = config.positive("num_attention_heads", 48)
        head_dim = config.positive("attention_head_dim", 128)
        return cls(
            in_channels=in_channels,
            out_channels=config.positive("out_channels", in_channels),
            num_double=config.positive("num_layers", 8),
            num_single=config.positive("num_single_layers", 48),
            heads=heads,
            head_dim=head_dim,
            joint_dim=config.positive("joint_attention_dim", 15360),
            time_dim=config.positive("timestep_guidance_channels", 256),
            width=int(heads * head_dim * config.number("mlp_ratio", 3.0)),
            has_guidance=config.flag("guidance_embeds", True),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QwenImageSpec:
    """Qwen-Image: 60 double-stream blocks, both streams kept to the end."""

    in_channels: int
    out_channels: int
    num_layers: int
    heads: int
    head_dim: int
    joint_dim: int
    patch: int

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        in_channels = config.positive("in_channels", 64)
        return cls(
            in_channels=in_channels,
            out_channels=config.positive("out_channels", 16),
            num_layers=config.positive("num_layers", 60),
            heads=config.positive("num_attention_heads", 24),
            head_dim=config.positive("attention_head_dim", 128),
            joint_dim=config.positive("joint_attention_dim", 3584),
            patch=config.positive("patch_size", 2),
        )
