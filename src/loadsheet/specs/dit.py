"""Diffusion Transformers with one stream of image tokens."""

from dataclasses import dataclass
from typing import Self

from loadsheet.specs.hf_config import HfConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DiTSpec:
    """DiT (Peebles & Xie 2022), class-conditional. diffusers stores the timestep and label
    embedders in every block, so its parameter count exceeds the paper's (750 M against 675 M)."""

    in_channels: int
    out_channels: int
    num_layers: int
    heads: int
    head_dim: int
    patch: int
    num_classes: int

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        in_channels = config.positive("in_channels", 4)
        return cls(
            in_channels=in_channels,
            out_channels=config.positive("out_channels", in_channels),
            num_layers=config.positive("num_layers", 28),
            heads=config.positive("num_attention_heads", 16),
            head_dim=config.positive("attention_head_dim", 72),
            patch=config.positive("patch_size", 2),
            num_classes=config.positive("num_embeds_ada_norm", 1000),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PixArtSpec:
    """PixArt-α and Σ: DiT with cross-attention to T5 and one shared modulation network."""

    in_channels: int
    out_channels: int
    num_layers: int
    heads: int
    head_dim: int
    patch: int
    caption_dim: int
    has_size_conditions: bool  # resolution and aspect ratio beside the timestep

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        is_large = config.positive("sample_size", 128) == 128
        return cls(
            in_channels=config.positive("in_channels", 4),
            out_channels=config.positive("out_channels", 8),
            num_layers=config.positive("num_layers", 28),
            heads=config.positive("num_attention_heads", 16),
            head_dim=config.positive("attention_head_dim", 72),
            patch=config.positive("patch_size", 2),
            caption_dim=config.positive("caption_channels", 4096),
            has_size_conditions=config.flag("use_additional_conditions", is_large),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HunyuanDiTSpec:
    """HunyuanDiT: cross-attention to BERT and T5 tokens at once, long skips in the second half."""

    in_channels: int
    out_channels: int
    num_layers: int
    heads: int
    head_dim: int
    patch: int
    width: int
    context_dim: int
    t5_dim: int
    pooled_dim: int
    bert_tokens: int
    t5_tokens: int
    has_style: bool  # up to version 1.1

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        in_channels = config.positive("in_channels", 4)
        heads = config.positive("num_attention_heads", 16)
        head_dim = config.positive("attention_head_dim", 88)
        doubles = config.flag("learn_sigma", True)
        return cls(
            in_channels=in_channels,
            out_channels=in_channels * (2 if doubles else 1),
            num_layers=config.positive("num_layers", 40),
            heads=heads,
            head_dim=head_dim,
            patch=config.positive("patch_size", 2),
            width=int(heads * head_dim * config.number("mlp_ratio", 4.0)),
            context_dim=config.positive("cross_attention_dim", 1024),
            t5_dim=config.positive("cross_attention_dim_t5", 2048),
            pooled_dim=config.positive("pooled_projection_dim", 1024),
            bert_tokens=config.positive("text_len", 77),
            t5_tokens=config.positive("text_len_t5", 256),
            has_style=config.flag("use_style_cond_and_image_meta_size", True),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SanaSpec:
    """Sana: linear self-attention, convolutional MLP, 32-fold latents."""

    in_channels: int
    out_channels: int
    num_layers: int
    heads: int
    head_dim: int
    cross_heads: int
    cross_head_dim: int
    patch: int
    caption_dim: int
    width: int
    has_attention_bias: bool
    has_qk_norm: bool
    has_guidance: bool

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        in_channels = config.positive("in_channels", 32)
        heads = config.positive("num_attention_heads", 70)
        head_dim = config.positive("attention_head_dim", 32)
        return cls(
            in_channels=in_channels,
            out_channels=config.positive("out_channels", in_channels),
            num_layers=config.positive("num_layers", 20),
            heads=heads,
            head_dim=head_dim,
            cross_heads=config.positive("num_cross_attention_heads", 20),
            cross_head_dim=config.positive("cross_attention_head_dim", 112),
            patch=config.positive("patch_size", 1),
            caption_dim=config.positive("caption_channels", 2304),
            width=int(heads * head_dim * config.number("mlp_ratio", 2.5)),
            has_attention_bias=config.flag("attention_bias", False),
            has_qk_norm=config.has("qk_norm"),
            has_guidance=config.flag("guidance_embeds", False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lumina2Spec:
    """Lumina-Image 2: text and image in one sequence after short refiners, grouped-query heads."""

    in_channels: int
    out_channels: int
    hidden_size: int
    num_layers: int
    num_refiners: int
    heads: int
    kv_heads: int
    width: int
    patch: int
    caption_dim: int

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        config.multiple("hidden_size", "num_attention_heads")
        hidden = config.positive("hidden_size", 2304)
        in_channels = config.positive("in_channels", 16)
        wide, step = 4 * hidden, config.positive("multiple_of", 256)
        if config.has("ffn_dim_multiplier"):
            wide = int(config.number("ffn_dim_multiplier") * wide)
        return cls(
            in_channels=in_channels,
            out_channels=config.positive("out_channels", in_channels),
            hidden_size=hidden,
            num_layers=config.positive("num_layers", 26),
            num_refiners=config.positive("num_refiner_layers", 2),
            heads=config.positive("num_attention_heads", 24),
            kv_heads=config.positive("num_kv_heads", 8),
            width=-(-wide // step) * step,
            patch=config.positive("patch_size", 2),
            caption_dim=config.positive("cap_feat_dim", 1024),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WanSpec:
    """Wan 2.x video: self-attention over all frames, cross-attention to umT5."""

    in_channels: int
    out_channels: int
    num_layers: int
    heads: int
    head_dim: int
    width: int
    text_dim: int
    time_dim: int
    patch: tuple[int, int, int]  # frames, rows, columns
    has_cross_norm: bool
    image_dim: int  # CLIP image states of image-to-video; 0 without them

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        frames, rows, columns = config.integers("patch_size", (1, 2, 2))
        in_channels = config.positive("in_channels", 16)
        return cls(
            in_channels=in_channels,
            out_channels=config.positive("out_channels", 16),
            num_layers=config.positive("num_layers", 40),
            heads=config.positive("num_attention_heads", 40),
            head_dim=config.positive("attention_head_dim", 128),
            width=config.positive("ffn_dim", 13824),
            text_dim=config.positive("text_dim", 4096),
            time_dim=config.positive("freq_dim", 256),
            patch=(frames, rows, columns),
            has_cross_norm=config.flag("cross_attn_norm", True),
            image_dim=config.integer("image_dim", 0),
        )
