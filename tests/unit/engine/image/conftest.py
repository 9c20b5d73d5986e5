"""Tiny pipeline folders of every layout: random weights, vocabularies written here, no network."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
)

from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import Placement

CPU_FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="session")
def sd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sd")
    torch.manual_seed(1)
    _write_unet(folder, sample_size=16, channels=4, cross_attention_dim=16)
    # without "scaling_factor" in the file, SD 1.x's 0.18215 applies
    _write_vae(folder, latent_channels=4, norm_num_groups=4)
    text_config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    CLIPTextModel(text_config).save_pretrained(folder / "text_encoder")
    _write_clip_tokenizer(folder / "tokenizer")
    _write_json(
        folder / "scheduler" / "scheduler_config.json",
        {
            "_class_name": "PNDMScheduler",
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "num_train_timesteps": 1000,
            "set_alpha_to_one": False,
            "skip_prk_steps": True,
            "steps_offset": 1,
        },
    )
    _write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    return folder


@pytest.fixture(scope="session")
def xl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xl")
    torch.manual_seed(4)
    _write_unet(
        folder,
        sample_size=16,
        channels=4,
        cross_attention_dim=16 + 24,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 12,
        use_linear_projection=True,
    )
    _write_vae(folder, latent_channels=4, norm_num_groups=4, scaling_factor=0.13025)
    first = _clip_config(hidden_size=16)
    CLIPTextModel(first).save_pretrained(folder / "text_encoder")
    second = _clip_config(hidden_size=24, projection_dim=12)
    CLIPTextModelWithProjection(second).save_pretrained(folder / "text_encoder_2")
    for name in ("tokenizer", "tokenizer_2"):
        _write_clip_tokenizer(folder / name)
    _write_json(
        folder / "scheduler" / "scheduler_config.json",
        {
            "_class_name": "EulerDiscreteScheduler",
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "num_train_timesteps": 1000,
            "prediction_type": "epsilon",
            "steps_offset": 1,
            "timestep_spacing": "leading",
        },
    )
    _write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionXLPipeline",
            "force_zeros_for_empty_prompt": True,
            "scheduler": ["diffusers", "EulerDiscreteScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    return folder


def _clip_config(**options: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=514,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        **options,
    )


@pytest.fixture(scope="session")
def our_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    torch.manual_seed(2)
    _write_unet(
        folder,
        sample_size=8,
        channels=8,
        cross_attention_dim=32,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=32,
    )
    _write_vae(folder, latent_channels=8, norm_num_groups=8, scaling_factor=1.3, shift_factor=0.2)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    text_config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=48,
    )
    BertModel(text_config, add_pooling_layer=False).save_pretrained(folder / "text_encoder")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.txt").write_text("\n".join(words))
    _write_json(folder / "tokenizer" / "tokenizer_config.json", {"do_lower_case": True})
    _write_json(
        folder / "scheduler" / "scheduler_config.json",
        {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 1.5},
    )
    _write_json(
        folder / "model_index.json",
        {
            "_class_name": "LoadsheetTextToImagePipeline",
            "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
            "text_encoder": ["transformers", "BertModel"],
            "tokenizer": ["transformers", "BertTokenizerFast"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            "loadsheet": {
                "default_num_steps": 20,
                "default_guidance_scale": 3,
                "text_max_length": 32,
                "conditioning": "minilm-tokens+pooled",
                "native_size": [64, 64],
            },
        },
    )
    return folder


@pytest.fixture(scope="session")
def sd_pipeline(sd_folder: Path) -> ImagePipeline:
    return open_pipeline(sd_folder, CPU_FP32)


@pytest.fixture(scope="session")
def our_pipeline(our_folder: Path) -> ImagePipeline:
    return open_pipeline(our_folder, CPU_FP32)


@pytest.fixture(scope="session")
def xl_pipeline(xl_folder: Path) -> ImagePipeline:
    return open_pipeline(xl_folder, CPU_FP32)


@pytest.fixture(params=["sd_pipeline", "xl_pipeline", "our_pipeline"])
def pipeline(request: pytest.FixtureRequest) -> ImagePipeline:
    """Every layout in turn."""
    opened: ImagePipeline = request.getfixturevalue(request.param)
    return opened


def _write_unet(folder: Path, *, sample_size: int, channels: int, **options: object) -> None:
    unet = UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=4,
        **options,
    )
    unet.save_pretrained(folder / "unet")


def _write_vae(folder: Path, **options: object) -> None:
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        **options,
    )
    vae.save_pretrained(folder / "vae")


def _write_clip_tokenizer(folder: Path) -> None:
    """CLIP's byte alphabet without merges: one token per letter."""
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    _write_json(folder / "vocab.json", {token: idx for idx, token in enumerate(tokens)})
    (folder / "merges.txt").write_text("#version: 0.2\n")
    _write_json(
        folder / "tokenizer_config.json",
        {"model_max_length": 77, "pad_token": "<|endoftext|>"},
    )


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def random_lora(tmp_path: Path) -> Callable[..., Path]:
    """Writes a random adapter of rank 2 for the attention of a folder's U-Net."""

    def write(folder: Path, name: str, seed: int) -> Path:
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
        unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
        generator = torch.Generator().manual_seed(seed)
        pairs = {
            key: 0.3 * torch.randn(tensor.shape, generator=generator)
            for key, tensor in get_peft_model_state_dict(unet).items()
        }
        StableDiffusionLoraLoaderMixin.save_lora_weights(tmp_path / name, unet_lora_layers=pairs)
        return tmp_path / name

    return write
