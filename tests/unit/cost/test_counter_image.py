"""Our walks against FlopCounterMode on small image models of the published classes.

Everything runs on the meta device: shapes and dispatch, no arithmetic.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import diffusers
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from loadsheet.cost import cascade
from loadsheet.cost.components import operators, params
from loadsheet.cost.module_cost import module_costs
from loadsheet.cost.operator import total
from loadsheet.cost.shape import PictureShape
from loadsheet.specs.from_hf import from_hf
from loadsheet.specs.pipeline import Component, Role

pytestmark = [pytest.mark.counter, pytest.mark.filterwarnings("ignore")]

B, T = 2, 20
SHAPE = PictureShape(width=256, height=128, batch=B, text_tokens=T)
WIDE, HIGH = 32, 16  # its f8 latent


def r(*sizes: int):
    return torch.randn(*sizes, device="meta")


def ones(*sizes: int):
    return torch.ones(*sizes, device="meta")


@dataclass(frozen=True)
class Case:
    """A configuration and the inputs of its forward pass at SHAPE."""

    fields: dict
    inputs: Callable[[], tuple[tuple, dict]]
    shape: PictureShape = SHAPE
    factor: int = 8
    time_factor: int = 1
    prepare: Callable = field(default=lambda model: None)


def joint(rows: int, channels: int, text: int, ids: int) -> dict:
    return {
        "hidden_states": r(B, rows, channels),
        "encoder_hidden_states": r(B, T, text),
        "timestep": ones(B),
        "img_ids": r(rows, ids),
        "txt_ids": r(T, ids),
    }


def lumina_rope(model) -> None:
    """The real embedder reads mask values, which meta tensors do not have."""

    def rope(count: int):
        return torch.zeros(B, count, 8, dtype=torch.complex64, device="meta")

    class Rope(torch.nn.Module):
        def forward(self, x, mask):
            patches = x.view(B, 16, HIGH // 2, 2, WIDE // 2, 2).permute(0, 2, 4, 3, 5, 1)
            tokens = HIGH * WIDE // 4
            lengths = [T] * B, [T + tokens] * B
            flat = patches.flatten(3).flatten(1, 2)
            return flat, rope(T), rope(tokens), rope(T + tokens), *lengths

    model.rope_embedder = Rope()


UNET = {
    "_class_name": "UNet2DConditionModel",
    "block_out_channels": [32, 64, 64],
    "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "cross_attention_dim": 48,
    "attention_head_dim": [2, 4, 4],
    "norm_num_groups": 8,
}
SDXL = {
    **UNET,
    "transformer_layers_per_block": [1, 2, 3],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 40 + 6 * 8,
    "encoder_hid_dim": 56,
    "encoder_hid_dim_type": "text_proj",
    "time_cond_proj_dim": 24,
}
HEADS = {"num_attention_heads": 4, "attention_head_dim": 16}
SD3 = {
    "_class_name": "SD3Transformer2DModel",
    **HEADS,
    "sample_size": 32,
    "num_layers": 3,
    "joint_attention_dim": 48,
    "caption_projection_dim": 64,
    "pooled_projection_dim": 40,
    "pos_embed_max_size": 32,
}
HUNYUAN = {
    "_class_name": "HunyuanDiT2DModel",
    **HEADS,
    "in_channels": 4,
    "patch_size": 2,
    "hidden_size": 64,
    "num_layers": 6,
    "mlp_ratio": 4.3637,
    "cross_attention_dim": 48,
    "cross_attention_dim_t5": 32,
    "pooled_projection_dim": 40,
    "text_len": 7,
    "text_len_t5": 11,
    "use_style_cond_and_image_meta_size": True,
}
CASCADE = {
    "_class_name": "StableCascadeUNet",
    "conditioning_dim": 32,
    "block_out_channels": [32, 64],
    "num_attention_heads": [2, 4],
    "down_num_layers_per_block": [1, 2],
    "up_num_layers_per_block": [2, 1],
    "up_blocks_repeat_mappers": [2, 1],
    "clip_text_in_channels": 24,
    "clip_text_pooled_in_channels": 24,
    "clip_image_in_channels": 20,
    "switch_level": [False],
}
WAN = {
    "_class_name": "WanTransformer3DModel",
    **HEADS,
    "text_dim": 48,
    "ffn_dim": 96,
    "num_layers": 2,
}


def unet_inputs(cross: int, **more) -> tuple[tuple, dict]:
    return (r(B, 4, HIGH, WIDE), ones(B), r(B, T, cross)), more


CASES = {
    "sd": Case(UNET, lambda: unet_inputs(48)),
    "sdxl": Case(
        SDXL,
        lambda: unet_inputs(
            56,
            added_cond_kwargs={"text_embeds": r(B, 40), "time_ids": r(B, 6)},
            timestep_cond=r(B, 24),
        ),
    ),
    "ddpm": Case(
        {
            "_class_name": "UNet2DModel",
            "block_out_channels": [32, 64],
            "layers_per_block": 1,
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
            "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
            "norm_num_groups": 8,
            "attention_head_dim": 8,
        },
        lambda: ((r(B, 3, 128, 256), ones(B)), {}),
        factor=1,
    ),
    "dit": Case(
        {
            "_class_name": "DiTTransformer2DModel",
            **HEADS,
            "in_channels": 4,
            "out_channels": 8,
            "num_layers": 2,
            "sample_size": 32,
            "num_embeds_ada_norm": 10,
        },
        lambda: ((r(B, 4, 32, 32), ones(B)), {"class_labels": ones(B).long()}),
        shape=PictureShape(width=256, height=256, batch=B),
    ),
    "pixart": Case(
        {
            "_class_name": "PixArtTransformer2DModel",
            "num_attention_heads": 4,
            "attention_head_dim": 18,
            "cross_attention_dim": 72,
            "num_layers": 2,
            "caption_channels": 48,
        },
        lambda: (
            (r(B, 4, HIGH, WIDE), r(B, T, 48), ones(B)),
            {"added_cond_kwargs": {"resolution": r(B, 2), "aspect_ratio": r(B, 1)}},
        ),
    ),
    "hunyuan": Case(
        HUNYUAN,
        lambda: (
            (r(B, 4, HIGH, WIDE), ones(B)),
            {
                "encoder_hidden_states": r(B, 7, 48),
                "text_embedding_mask": ones(B, 7),
                "encoder_hidden_states_t5": r(B, 11, 32),
                "text_embedding_mask_t5": ones(B, 11),
                "image_meta_size": r(B, 6),
                "style": ones(B).long() * 0,
                "image_rotary_emb": (r(HIGH * WIDE // 4, 16), r(HIGH * WIDE // 4, 16)),
            },
        ),
    ),
    "sana": Case(
        {
            "_class_name": "SanaTransformer2DModel",
            **HEADS,
            "num_layers": 2,
            "num_cross_attention_heads": 2,
            "cross_attention_head_dim": 32,
            "cross_attention_dim": 64,
            "caption_channels": 48,
            "qk_norm": "rms_norm_across_heads",
            "guidance_embeds": True,
        },
        lambda: ((r(B, 32, HIGH, WIDE), r(B, T, 48), ones(B)), {"guidance": ones(B)}),
    ),
    "lumina": Case(
        {
            "_class_name": "Lumina2Transformer2DModel",
            "hidden_size": 64,
            "num_layers": 2,
            "num_refiner_layers": 1,
            "num_attention_heads": 4,
            "num_kv_heads": 2,
            "multiple_of": 48,
            "cap_feat_dim": 40,
            "axes_dim_rope": [4, 6, 6],
        },
        lambda: ((r(B, 16, HIGH, WIDE), ones(B), r(B, T, 40), ones(B, T).bool()), {}),
        prepare=lumina_rope,
    ),
    "wan": Case(
        {**WAN, "in_channels": 36, "image_dim": 40, "added_kv_proj_dim": 64},
        lambda: ((r(B, 36, 3, HIGH, WIDE), ones(B), r(B, 512, 48), r(B, 257, 40)), {}),
        shape=PictureShape(width=256, height=128, batch=B, text_tokens=512, frames=9),
        time_factor=4,
    ),
    "sd3": Case(
        SD3,
        lambda: ((r(B, 16, HIGH, WIDE), r(B, T, 48), r(B, 40), ones(B)), {}),
    ),
    "sd3.5": Case(
        {**SD3, "qk_norm": "rms_norm", "dual_attention_layers": [0, 1]},
        lambda: ((r(B, 16, HIGH, WIDE), r(B, T, 48), r(B, 40), ones(B)), {}),
    ),
    "flux": Case(
        {
            "_class_name": "FluxTransformer2DModel",
            **HEADS,
            "num_layers": 2,
            "num_single_layers": 3,
            "joint_attention_dim": 48,
            "pooled_projection_dim": 40,
            "guidance_embeds": True,
            "axes_dims_rope": [4, 6, 6],
        },
        lambda: (
            (),
            {**joint(128, 64, 48, 3), "pooled_projections": r(B, 40), "guidance": ones(B)},
        ),
    ),
    "flux2": Case(
        {
            "_class_name": "Flux2Transformer2DModel",
            **HEADS,
            "num_layers": 2,
            "num_single_layers": 3,
            "joint_attention_dim": 48,
            "axes_dims_rope": [4, 4, 4, 4],
        },
        lambda: ((), {**joint(128, 128, 48, 4), "guidance": ones(B)}),
    ),
    "qwen-image": Case(
        {
            "_class_name": "QwenImageTransformer2DModel",
            **HEADS,
            "num_layers": 2,
            "joint_attention_dim": 48,
            "axes_dims_rope": [4, 6, 6],
        },
        lambda: (
            (r(B, 128, 64), r(B, T, 48), None, ones(B)),
            {"img_shapes": [[(1, 8, 16)]] * B},
        ),
    ),
    "cascade": Case(
        CASCADE,
        lambda: (
            (r(B, 16, 24, 24), ones(B), r(B, 1, 24)),
            {"clip_text": r(B, T, 24), "clip_img": r(B, 1, 20)},
        ),
        shape=PictureShape(width=1024, height=1024, batch=B, text_tokens=T),
    ),
}
BLOCKS = ["ResBlock", "ResBlock", "EfficientViTBlock"]
KL = {"block_out_channels": [32, 64], "layers_per_block": 1, "norm_num_groups": 8}
VAES = {
    "kl": {
        "_class_name": "AutoencoderKL",
        **KL,
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
    },
    "vq": {
        "_class_name": "VQModel",
        **KL,
        "num_vq_embeddings": 64,
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
    },
    "dc": {
        "_class_name": "AutoencoderDC",
        "encoder_block_types": BLOCKS,
        "decoder_block_types": BLOCKS,
        "encoder_block_out_channels": [32, 64, 64],
        "decoder_block_out_channels": [32, 64, 64],
        "encoder_layers_per_block": [0, 1, 2],
        "decoder_layers_per_block": [0, 1, 2],
        "encoder_qkv_multiscales": [[], [], [5]],
        "decoder_qkv_multiscales": [[], [], [3, 5]],
    },
    "wan": {"_class_name": "AutoencoderKLWan", "base_dim": 16, "z_dim": 4},
    "wan2.2": {
        "_class_name": "AutoencoderKLWan",
        "base_dim": 16,
        "decoder_base_dim": 24,
        "z_dim": 4,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
    },
}


def build(fields: dict):
    kind = fields["_class_name"]
    cls = (
        diffusers.models.unets.unet_stable_cascade.StableCascadeUNet
        if kind == "StableCascadeUNet"
        else getattr(diffusers, kind)
    )
    with torch.device("meta"):
        return cls(**{key: value for key, value in fields.items() if key[0] != "_"}).eval()


def counted(run: Callable[[], object]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def num_params(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", CASES)
def test_denoiser(name):
    case = CASES[name]
    model = build(case.fields)
    expected_params = num_params(model)
    case.prepare(model)
    ours = Component(
        name=name,
        role=Role.DENOISER,
        spec=from_hf(case.fields),
        factor=case.factor,
        time_factor=case.time_factor,
    )
    sums = total(operators(ours, case.shape))
    args, kwargs = case.inputs()
    assert counted(lambda: model(*args, **kwargs)) == sums.flops
    assert expected_params == sums.params


@pytest.mark.parametrize("name", ["sd", "sdxl", "ddpm", "dit", "pixart", "sd3"])
def test_rows_are_paths_of_the_published_class(name):
    case = CASES[name]
    known = {re.sub(r"\.\d+", ".*", path) for path, _ in build(case.fields).named_modules()}
    part = Component(name=name, role=Role.DENOISER, spec=from_hf(case.fields), factor=case.factor)
    rows = [row for row in module_costs(operators(part, case.shape)) if row.params]
    paths = {re.sub(r"\.\d+", ".*", row.path) for row in rows}
    assert paths - known <= {"pos_embed"}


@pytest.mark.parametrize("name", VAES)
@pytest.mark.parametrize("frames", [1, 9])
def test_vae(name, frames):
    fields = VAES[name]
    model, spec = build(fields), from_hf(fields)
    encoder, decoder = (
        Component(name=name, role=role, spec=spec) for role in (Role.VAE_ENCODE, Role.VAE_DECODE)
    )
    is_video = "Wan" in fields["_class_name"]
    shape = PictureShape(width=64, height=32, batch=B, frames=frames if is_video else 1)
    picture = r(B, 3, frames, 32, 64) if is_video else r(B, 3, 32, 64)
    assert counted(lambda: model.encode(picture)) == total(operators(encoder, shape)).flops
    time = [(frames - 1) // 4 + 1] if is_video else []
    z = r(B, spec.latent_channels, *time, 32 // spec.factor, 64 // spec.factor)
    assert counted(lambda: model.decode(z)) == total(operators(decoder, shape)).flops
    assert num_params(model) == params(encoder) + params(decoder)


def test_cascade_latent_follows_the_picture():
    spec = from_hf(CASCADE)
    assert cascade.latent_of(spec, PictureShape(width=1024, height=1024)).height == 24
