"""Autoencoders between pixels and latents."""

from dataclasses import dataclass
from typing import Self

from loadsheet.errors import SpecError
from loadsheet.specs.hf_config import HfConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class KlVaeSpec:
    """The convolutional autoencoder of latent diffusion, with KL or vector-quantised latents."""

    channels: tuple[int, ...]
    layers_per_block: int
    latent_channels: int
    has_quant_conv: bool
    has_post_quant_conv: bool
    has_mid_attention: bool
    num_codes: int  # 0: KL

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        is_vq = config.text("_class_name", "AutoencoderKL") == "VQModel"
        return cls(
            channels=config.integers("block_out_channels"),
            layers_per_block=config.positive("layers_per_block", 1),
            latent_channels=config.positive("latent_channels", 3 if is_vq else 4),
            has_quant_conv=config.flag("use_quant_conv", True),
            has_post_quant_conv=config.flag("use_post_quant_conv", True),
            has_mid_attention=config.flag("mid_block_add_attention", True),
            num_codes=config.positive("num_vq_embeddings", 256) if is_vq else 0,
        )

    @property
    def factor(self) -> int:
        """Pixels per latent pixel, per side."""
        return int(2 ** (len(self.channels) - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class DcVaeSpec:
    """Deep-compression autoencoder (Sana): f32 latents, linear attention on the coarse levels."""

    latent_channels: int
    head_dim: int
    encoder_channels: tuple[int, ...]
    encoder_layers: tuple[int, ...]
    encoder_vit: tuple[bool, ...]
    decoder_channels: tuple[int, ...]
    decoder_layers: tuple[int, ...]
    decoder_vit: tuple[bool, ...]
    encoder_scales: tuple[tuple[int, ...], ...]
    decoder_scales: tuple[tuple[int, ...], ...]
    has_shuffle_down: bool
    has_shuffle_up: bool

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        encoder = config.integers("encoder_block_out_channels", (128, 256, 512, 512, 1024, 1024))
        decoder = config.integers("decoder_block_out_channels", (128, 256, 512, 512, 1024, 1024))
        return cls(
            latent_channels=config.positive("latent_channels", 32),
            head_dim=config.positive("attention_head_dim", 32),
            encoder_channels=encoder,
            encoder_layers=config.integers("encoder_layers_per_block", (2, 2, 2, 3, 3, 3)),
            encoder_vit=_vit(config, "encoder_block_types", len(encoder)),
            decoder_channels=decoder,
            decoder_layers=config.integers("decoder_layers_per_block", (3, 3, 3, 3, 3, 3)),
            decoder_vit=_vit(config, "decoder_block_types", len(decoder)),
            encoder_scales=_scales(config, "encoder_qkv_multiscales"),
            decoder_scales=_scales(config, "decoder_qkv_multiscales"),
            has_shuffle_down=config.text("downsample_block_type", "pixel_unshuffle")
            == "pixel_unshuffle",
            has_shuffle_up=config.text("upsample_block_type", "pixel_shuffle") == "pixel_shuffle",
        )

    @property
    def factor(self) -> int:
        return int(2 ** (len(self.encoder_channels) - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class WanVaeSpec:
    """Causal video autoencoder of Wan, also Qwen-Image's with a single frame."""

    latent_channels: int
    encoder_dim: int
    decoder_dim: int
    multipliers: tuple[int, ...]
    num_res_blocks: int
    halves_time: tuple[bool, ...]  # per downsampling, from the finest grid
    is_residual: bool
    in_channels: int
    out_channels: int
    patch: int

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        base = config.positive("base_dim", 96)
        halves = config.items("temperal_downsample", (False, True, True))
        return cls(
            latent_channels=config.positive("z_dim", 16),
            encoder_dim=base,
            decoder_dim=config.positive("decoder_base_dim", base),
            multipliers=config.integers("dim_mult", (1, 2, 4, 4)),
            num_res_blocks=config.positive("num_res_blocks", 2),
            halves_time=tuple(bool(item) for item in halves),
            is_residual=config.flag("is_residual", False),
            in_channels=config.positive("in_channels", config.positive("input_channels", 3)),
            out_channels=config.positive("out_channels", 3),
            patch=config.positive("patch_size", 1),
        )

    @property
    def factor(self) -> int:
        return int(2 ** (len(self.multipliers) - 1)) * self.patch

    @property
    def time_factor(self) -> int:
        return int(2 ** sum(self.halves_time))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaellaVaeSpec:
    """The small vector-quantised autoencoder under Stable Cascade and Würstchen (f4)."""

    latent_channels: int
    width: int
    levels: int
    num_blocks: int
    num_codes: int
    shuffle: int

    @classmethod
    def from_hf(cls, config: HfConfig) -> Self:
        return cls(
            latent_channels=config.positive("latent_channels", 4),
            width=config.positive("embed_dim", 384),
            levels=config.positive("levels", 2),
            num_blocks=config.positive("bottleneck_blocks", 12),
            num_codes=config.positive("num_vq_embeddings", 8192),
            shuffle=config.positive("up_down_scale_factor", 2),
        )

    @property
    def factor(self) -> int:
        return int(self.shuffle * 2 ** (self.levels - 1))


def _vit(config: HfConfig, key: str, levels: int) -> tuple[bool, ...]:
    value = config.fields.get(key, "ResBlock")
    names = list(value) if isinstance(value, list | tuple) else [value] * levels
    if len(names) != levels or not set(names) <= {"ResBlock", "EfficientViTBlock"}:
        raise SpecError(f"{config.where}: {key} is {value!r}")
    return tuple(name == "EfficientViTBlock" for name in names)


def _scales(config: HfConfig, key: str) -> tuple[tuple[int, ...], ...]:
    rows = config.items(key, ((), (), (), (5,), (5,), (5,)))
    return tuple(tuple(int(item) for item in row) for row in rows if isinstance(row, list | tuple))
