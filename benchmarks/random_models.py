"""Models with random weights in the shapes of real ones, made where they will run.

The speed of a step does not depend on what the weights say, so neither a hub nor 16 GB of host
memory is needed to measure a large model. Sizes are from the published configs.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from loadsheet.engine.image.denoiser import UNetDenoiser
from loadsheet.engine.image.latent_decoder import LatentDecoder
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.scheduler_config import read_sampling
from loadsheet.engine.image.text_encoder import ClipTextEncoder
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import Decoder, DecoderWeights, Layer
from loadsheet.engine.text.linear import build_linear
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.engine.torch_device import Placement

Draw = Callable[..., Tensor]

_LLAMA_8B = {  # Llama 3.1 8B
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
}
_TINY_TEXT = _LLAMA_8B | {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TEXT_SHAPES = {"llama-8b": _LLAMA_8B, "tiny-text": _TINY_TEXT}


# sequence length of the original; ids that exist in the tiny vocabulary too
_CLIP = {
    "max_position_embeddings": 77,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShape:
    unet: Mapping[str, object]
    vae_widths: tuple[int, ...]
    vae_groups: int
    text: Mapping[str, int]
    num_steps: int


_SD15 = ImageShape(  # Stable Diffusion 1.5, 512 x 512
    unet={"sample_size": 64, "cross_attention_dim": 768},
    vae_widths=(128, 256, 512, 512),
    vae_groups=32,
    text={"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12}
    | {"num_attention_heads": 12, "vocab_size": 49408},
    num_steps=30,
)
_SDXL_UNET = ImageShape(  # SDXL's U-Net and VAE at 1024 x 1024, without its added conditions
    unet={
        "sample_size": 128,
        "cross_attention_dim": 2048,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (5, 10, 20),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
    },
    vae_widths=(128, 256, 512, 512),
    vae_groups=32,
    text={"hidden_size": 2048, "intermediate_size": 5120, "num_hidden_layers": 12}
    | {"num_attention_heads": 16, "vocab_size": 49408},
    num_steps=30,
)
_TINY_IMAGE = ImageShape(
    unet={
        "sample_size": 8,
        "cross_attention_dim": 16,
        "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
    },
    vae_widths=(8, 8, 16, 16),
    vae_groups=4,
    text={"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    | {"num_attention_heads": 2, "vocab_size": 514},
    num_steps=4,
)
IMAGE_SHAPES = {"sd15": _SD15, "sdxl-unet": _SDXL_UNET, "tiny-image": _TINY_IMAGE}


def random_decoder(shape: str, placement: Placement, drawn_on: torch.device, seed: int) -> Decoder:
    """Numbers of size 1/√columns, so that activations keep their size through the layers.

    Drawn on one device and moved to the placement: the same seed gives the same model everywhere.
    """
    config = DecoderConfig.from_hf(TEXT_SHAPES[shape])
    generator = torch.Generator(drawn_on).manual_seed(seed)

    def draw(*sizes: int) -> Tensor:
        dtype = placement.dtype
        numbers = torch.randn(sizes, generator=generator, device=drawn_on, dtype=dtype)
        return (numbers * sizes[-1] ** -0.5).to(placement.device)

    return Decoder(config, _weights(config, draw, placement))


def _weights(config: DecoderConfig, draw: Draw, placement: Placement) -> DecoderWeights:
    size_D, size_F = config.hidden_size, config.ffn_size
    size_X = config.num_heads * config.head_dim
    qkv_rows = size_X + 2 * config.num_kv_heads * config.head_dim
    ones_D = torch.ones(size_D, device=placement.device, dtype=placement.dtype)
    num_numbers = 0

    def counted(*sizes: int) -> Tensor:
        nonlocal num_numbers
        weight = draw(*sizes)
        num_numbers += weight.numel()
        return weight

    layers = tuple(
        Layer(
            attention_norm_D=ones_D,
            qkv=build_linear(counted(qkv_rows, size_D)),
            out=build_linear(counted(size_D, size_X)),
            ffn_norm_D=ones_D,
            gate_up=build_linear(counted(2 * size_F, size_D)),
            down=build_linear(counted(size_D, size_F)),
        )
        for _ in range(config.num_layers)
    )
    embedding_VD = counted(config.vocab_size, size_D)
    head = build_linear(counted(config.vocab_size, size_D))
    return DecoderWeights(
        embedding_VD=embedding_VD,
        layers=layers,
        final_norm_D=ones_D,
        head=head,
        num_bytes=num_numbers * placement.dtype.itemsize,
    )


def blank_tokenizer(folder: Path) -> FolderTokenizer:
    """Every id is a token without text: these models say nothing worth reading."""
    Tokenizer(WordLevel(vocab={"?": 0}, unk_token="?")).save(str(folder / "tokenizer.json"))
    return FolderTokenizer(folder)


def random_pipeline(
    shape: str, placement: Placement, drawn_on: torch.device, seed: int
) -> ImagePipeline:
    """A Stable Diffusion layout, one native size, with words hashed to token ids."""
    image = IMAGE_SHAPES[shape]
    dtype_before = torch.get_default_dtype()
    torch.manual_seed(seed)
    torch.set_default_dtype(placement.dtype)
    try:
        with drawn_on:
            unet = UNet2DConditionModel(**image.unet)
            vae = _vae(image)
            encoder = CLIPTextModel(CLIPTextConfig(**_CLIP, **image.text))
    finally:
        torch.set_default_dtype(dtype_before)
    modules = {"text_encoder": encoder, "unet": unet, "vae": vae}
    for module in modules.values():
        module.eval().requires_grad_(False)
        module.to(placement.device).to(memory_format=torch.channels_last)
    decoder = LatentDecoder(vae)
    side = int(unet.config.sample_size) * decoder.factor
    words = HashedWords(vocab_size=image.text["vocab_size"], device=placement.device)
    return ImagePipeline(
        placement=placement,
        encode=ClipTextEncoder(words, encoder),
        denoise=UNetDenoiser(unet),
        decoder=decoder,
        sampling=read_sampling(
            {
                "_class_name": "EulerDiscreteScheduler",
                "beta_schedule": "scaled_linear",
                "beta_start": 0.00085,
                "beta_end": 0.012,
                "steps_offset": 1,
            }
        ),
        sizes=((side, side),),
        default_num_steps=image.num_steps,
        default_guidance_scale=7.5,
        weight_bytes={
            name: sum(one.nbytes for one in module.parameters()) for name, module in modules.items()
        },
    )


def _vae(image: ImageShape) -> AutoencoderKL:
    levels = len(image.vae_widths)
    return AutoencoderKL(
        block_out_channels=image.vae_widths,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=image.vae_groups,
        scaling_factor=0.18215,
    )


class HashedWords:
    """Texts to token ids [B, 77] without a vocabulary; the same word is always the same id."""

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        self._vocab_size = vocab_size
        self._device = device

    def __call__(self, texts: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        ids_BT = torch.zeros((len(texts), 77), dtype=torch.int64)
        for row, text in enumerate(texts):
            for column, word in enumerate(text.split()[:77]):
                ids_BT[row, column] = zlib.crc32(word.encode()) % self._vocab_size
        return ids_BT.to(self._device), torch.ones_like(ids_BT).to(self._device)
