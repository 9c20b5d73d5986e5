"""A grid of samples, some seeds for each prompt: the way to judge an image model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image, ImageDraw

from loadsheet.adapt.denoiser import generate
from loadsheet.adapt.model_folder import SamplingConfig
from loadsheet.adapt.stage_progress import OnCount, nothing
from loadsheet.adapt.text import TextEncoder

PROMPTS = (
    "a red apple",
    "cat face",
    "a dog",
    "rocket",
    "pizza",
    "sunflower",
    "a house",
    "penguin",
    "a car",
    "a tree",
    "heart",
    "fish",
    "soccer ball",
    "a hamburger",
    "umbrella",
    "a smiley",
    "strawberry",
    "an airplane",
    "butterfly",
    "a guitar",
    "snowman",
    "a cup of coffee",
    "a flat emoji of a red apple",
    "a flat emoji of cat face",
    "a flat emoji of heart",
    "a dolphin in the sea",
    "violin",
    "camel",
    "mango",
    "an old man",
)
LABEL_HEIGHT = 16
PROMPTS_ACROSS = 3


@torch.no_grad()
def sample_images(
    models: tuple[AutoencoderKL, UNet2DConditionModel],
    encoder: TextEncoder,
    prompts: Sequence[str],
    num_seeds: int,
    sampling: SamplingConfig,
    on_drawn: OnCount = nothing,
) -> npt.NDArray[np.uint8]:
    """uint8 [prompts, seeds, H, W, 3]; seed k starts from the same noise for every prompt."""
    autoencoder, denoiser = models
    channels, side = denoiser.config["in_channels"], denoiser.config["sample_size"]
    noise = torch.randn(num_seeds, channels, side, side, generator=torch.Generator().manual_seed(0))
    empty = encoder([""] * num_seeds)
    rows = []
    for prompt in prompts:
        latents = generate(
            denoiser,
            encoder([prompt] * num_seeds),
            empty,
            noise,
            sampling,
        )
        pixels_BCHW = autoencoder.decode(latents).sample.float().clamp(-1, 1)
        images = ((pixels_BCHW + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
        rows.append(images.numpy())
        on_drawn(len(rows), len(prompts))
    return np.stack(rows)


def contact_sheet(prompts: Sequence[str], images: npt.NDArray[np.uint8]) -> Image.Image:
    """Cells of one prompt each (label above, seeds side by side), PROMPTS_ACROSS cells per line."""
    num_seeds, side = images.shape[1], images.shape[2]
    cell_width, cell_height = num_seeds * side + 8, side + LABEL_HEIGHT
    lines = -(-len(prompts) // PROMPTS_ACROSS)
    sheet = Image.new("RGB", (cell_width * PROMPTS_ACROSS, cell_height * lines), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (prompt, row) in enumerate(zip(prompts, images, strict=True)):
        left, top = (i % PROMPTS_ACROSS) * cell_width, (i // PROMPTS_ACROSS) * cell_height
        draw.text((left + 4, top + 2), prompt, fill="black")
        sheet.paste(Image.fromarray(np.concatenate(list(row), axis=1)), (left, top + LABEL_HEIGHT))
    return sheet
