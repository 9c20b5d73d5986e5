"""One sampler step for a batch of images, each at its own step of its own schedule.

Shapes: B images, R = B or 2B rows (conditional and unconditional branch side by side when guided),
C latent channels, H W latent positions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from loadsheet.engine.image.conditioning import concatenate
from loadsheet.engine.image.image_state import ImageState
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.samplers import History, per_image


def denoise_step(
    pipeline: ImagePipeline, states: Sequence[ImageState], *, is_guided: bool
) -> tuple[Tensor, Sequence[History]]:
    """Latents [B, C, H, W] and histories after the step; the states stay as they are.

    All states wear the same adapter.
    """
    x_t_BCHW = torch.cat([state.latents_1CHW for state in states])
    schedules = [state.schedule for state in states]
    idx = [state.step_idx for state in states]
    scales = [s.input_scales[i] for s, i in zip(schedules, idx, strict=True)]
    timesteps = [s.timesteps[i] for s, i in zip(schedules, idx, strict=True)]
    rows = 2 if is_guided else 1
    prediction_RCHW = pipeline.denoise(
        (x_t_BCHW * per_image(scales, x_t_BCHW)).repeat_interleave(rows, dim=0),
        per_image(timesteps, x_t_BCHW).flatten().repeat_interleave(rows),
        concatenate([state.branches for state in states]),
        states[0].order.adapter,
    )
    prediction_BCHW = prediction_RCHW
    if is_guided:
        guidance = [state.order.payload.guidance_scale for state in states]
        prediction_BCHW = guided(prediction_RCHW, per_image(guidance, x_t_BCHW))
    histories = [state.history for state in states]
    return pipeline.sampling.sampler.step(prediction_BCHW, x_t_BCHW, idx, schedules, histories)


def guided(prediction_RCHW: Tensor, scale_B111: Tensor) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022): u + g (c − u), rows c, u, c, u, …"""
    conditional_BCHW, unconditional_BCHW = prediction_RCHW[0::2], prediction_RCHW[1::2]
    return unconditional_BCHW + scale_B111 * (conditional_BCHW - unconditional_BCHW)
