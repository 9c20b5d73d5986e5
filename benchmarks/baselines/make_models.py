"""Random-weight models for speed comparisons: a Llama decoder and a Stable Diffusion pipeline.

Weights are random, so only speed may be compared, never quality. `tiny` starts in seconds and is
for trying the launchers; `small` has the shape of SmolLM2-135M and of a 35 M parameter U-Net at
256x256, sizes at which a laptop CPU shows real contention.

    python benchmarks/baselines/make_models.py --size tiny OUT
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    unet: tuple[int, int, int]
    vae: tuple[int, ...]
    text: int
    latent: int


SIZES = {
    "tiny": Size(
        hidden=64, layers=2, heads=4, kv_heads=2, vocab=512,
        unet=(32, 32, 64), vae=(32, 32, 32, 32), text=32, latent=8,
    ),
    "small": Size(
        hidden=576, layers=30, heads=9, kv_heads=3, vocab=49152,
        unet=(128, 256, 384), vae=(32, 64, 128, 128), text=256, latent=32,
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    asked = parser.parse_args()
    torch.manual_seed(0)
    make_decoder(SIZES[asked.size], asked.out / "text")
    make_pipeline(SIZES[asked.size], asked.out / "image")
    print(f"{asked.out}/text and {asked.out}/image are ready")


def make_decoder(size: Size, folder: Path) -> None:
    """A byte-level vocabulary: every byte is a token, the rest of the table is never produced."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {"<|end|>": 0, **{letter: index + 1 for index, letter in enumerate(alphabet)}}
    vocab |= {f"<|unused{index}|>": index for index in range(len(vocab), size.vocab)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>"
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=size.vocab,
        hidden_size=size.hidden,
        intermediate_size=size.hidden * 8 // 3,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def make_pipeline(size: Size, folder: Path) -> None:
    tokenizer = clip_tokenizer(folder / "tokenizer")
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=size.text,
            intermediate_size=4 * size.text,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=size.latent,
        layers_per_block=1,
        block_out_channels=size.unet,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=size.text,
        attention_head_dim=8,
    )
    vae = AutoencoderKL(
        latent_channels=4,
        sample_size=8 * size.latent,
        block_out_channels=size.vae,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def clip_tokenizer(folder: Path) -> CLIPTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [
        *alphabet,
        *(f"{letter}</w>" for letter in alphabet),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


if __name__ == "__main__":
    main()
