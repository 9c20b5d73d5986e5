"""Emoji art of two concepts in the layout of the real archives, and a tiny text encoder."""

import io
import json
import tarfile
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from loadsheet.adapt import art, gallery

BODIES = {
    "pear": {"body": '<circle cx="8" cy="8" r="6" fill="#00ff00"/>'},
    "key": {"body": '<rect x="2" y="6" width="6" height="4" fill="#884400"/>'},
}
NAMES = {
    "🍐": {"name": "pear", "group": "Food & Drink"},
    "🔑": {"name": "key", "group": "Objects"},
    "🇹🇩": {"name": "flag Chad", "group": "Flags"},
}
ICONS = {
    "noto": {"prefix": "noto", "icons": BODIES},
    "fluent-emoji-flat": {"prefix": "flat", "icons": {"pear": BODIES["pear"]}},
    "noto-v1": {"prefix": "blob", "icons": {}},
}


@pytest.fixture
def art_folder(tmp_path, monkeypatch):
    """Archives like the real ones, with these few drawings, and no check of their hashes."""
    monkeypatch.setattr(art, "verify", lambda package, archive: None)
    contents = {
        art.EMOJI_NAMES: {"data-by-emoji.json": NAMES},
        art.EMOJI_KEYWORDS: {"dist/emoji-en-US.json": {"🍐": ["fruit"]}},
    } | {package: {"icons.json": ICONS[style]} for style, package in gallery.ART_BY_STYLE.items()}
    for package, files in contents.items():
        with tarfile.open(tmp_path / package.file_name, "w:gz") as tar:
            for name, data in files.items():
                body = json.dumps(data).encode()
                info = tarfile.TarInfo(f"package/{name}")
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    return tmp_path


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """BERT with one layer of MiniLM's width, drawn at random, and a vocabulary of a few words."""
    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "pear", "key", "emoji"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=384,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def write_diffusion_folder():
    """`write(folder, "sd" or "xl", prediction)`: a random pipeline of 32x32 pixels."""
    return _write_diffusion_folder


def _write_diffusion_folder(folder: Path, layout: str, prediction: str) -> Path:
    torch.manual_seed(0)
    parts = {
        "vae": AutoencoderKL(
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            norm_num_groups=4,
        ),
        "text_encoder": CLIPTextModel(_clip_config(16)),
        "tokenizer": _clip_tokenizer(folder.parent / "letters"),
        "scheduler": EulerDiscreteScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            prediction_type=prediction,
            steps_offset=1,
        ),
    }
    told = {}
    if layout == "xl":
        parts["text_encoder_2"] = CLIPTextModelWithProjection(_clip_config(16, projection_dim=12))
        parts["tokenizer_2"] = parts["tokenizer"]
        told = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 6 * 4 + 12,
        }
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32 if layout == "xl" else 16,
        attention_head_dim=4,
        norm_num_groups=4,
        **told,
    )
    if layout == "xl":
        StableDiffusionXLPipeline(unet=unet, **parts).save_pretrained(folder)
    else:
        StableDiffusionPipeline(
            unet=unet, safety_checker=None, feature_extractor=None, **parts
        ).save_pretrained(folder)
    return folder


def _clip_config(width: int, **options: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        **options,
    )


def _clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's byte alphabet without merges."""
    folder.mkdir(exist_ok=True)
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: idx for idx, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)
