"""Pictures of many prompts at once, for judging: the engine's own denoiser, sampler and decoder.

What is judged is what is served: the same pipeline, with an adapter read back from its file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from loadsheet.adapt.encoded_images import CaptionStates
from loadsheet.engine.image.conditioning import Conditioning, concatenate
from loadsheet.engine.image.denoise_step import guided
from loadsheet.engine.image.latent_decoder import to_pixels
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.samplers import History, per_image

MAX_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRequest:
    """One picture per (text, seed); equal seeds start from equal noise."""

    texts: tuple[str, ...]
    seeds: tuple[int, ...]
    num_steps: int
    guidance_scale: float


@torch.inference_mode()
def draw_pictures(
    pipeline: ImagePipeline, request: PictureRequest, adapter: str | None = None
) -> npt.NDArray[np.uint8]:
    """uint8 [N, H, W, 3] at the pipeline's native size."""
    states = CaptionStates.encode(pipeline, request.texts)
    chunks = []
    for start in range(0, len(request.texts), MAX_BATCH):
        part = slice(start, start + MAX_BATCH)
        latents = _latents(
            pipeline, states, request, request.texts[part], request.seeds[part], adapter
        )
        chunks.append(np.stack([to_pixels(one) for one in pipeline.decoder(latents)]))
    return np.concatenate(chunks)


def _latents(
    pipeline: ImagePipeline,
    states: CaptionStates,
    request: PictureRequest,
    texts: Sequence[str],
    seeds: Sequence[int],
    adapter: str | None,
) -> Tensor:
    count, (width, height) = len(texts), pipeline.sizes[0]
    schedule = pipeline.sampling.noise.schedule(request.num_steps)
    both = _on_device(pipeline, concatenate([states.of(texts), states.of([""] * count)]))
    noise = [pipeline.unit_noise(seed, width, height) for seed in seeds]
    x_BCHW = torch.cat(noise) * schedule.init_noise_sigma
    scale = per_image([request.guidance_scale] * count, x_BCHW)
    history: Sequence[History] = [()] * count
    for step_idx in range(request.num_steps):
        x_in = x_BCHW * schedule.input_scales[step_idx]
        timesteps = torch.full((2 * count,), schedule.timesteps[step_idx], device=x_in.device)
        answer = pipeline.denoise(torch.cat([x_in, x_in]), timesteps, both, adapter)
        # rows c, c, …, u, u, … here; `guided` takes c, u, c, u, …
        rows = torch.stack(answer.chunk(2), dim=1).flatten(0, 1)
        x_BCHW, history = pipeline.sampling.sampler.step(
            guided(rows, scale), x_BCHW, [step_idx] * count, [schedule] * count, history
        )
    return x_BCHW


def _on_device(pipeline: ImagePipeline, conditioning: Conditioning) -> Conditioning:
    device, dtype = pipeline.placement.device, pipeline.placement.dtype
    return Conditioning(
        tensors={
            name: tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
            for name, tensor in conditioning.tensors.items()
        }
    )
