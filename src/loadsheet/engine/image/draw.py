"""Text in, pixels out: the whole life of one image as one plain loop.

The engine does the same for many requests at once, a step at a time; tests hold the two equal.
Start reading here.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from loadsheet.engine.image.conditioning import Prompts
from loadsheet.engine.image.latent_decoder import to_pixels
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.samplers import History
from loadsheet.runtime.payload import ImagePayload

OnStep = Callable[[int, int], None]
"""Called with (step_idx, num_steps) after each denoise step."""


def draw(
    pipeline: ImagePipeline, payload: ImagePayload, on_step: OnStep, adapter: str | None = None
) -> npt.NDArray[np.uint8]:
    """Pixels [height, width, 3]. A guidance scale of 1 or less runs the conditional branch only."""
    width, height, num_steps = payload.width, payload.height, payload.num_steps
    schedule, sampler = pipeline.sampling.noise.schedule(num_steps), pipeline.sampling.sampler
    guidance = payload.guidance_scale
    history: Sequence[History] = [()]
    with torch.inference_mode():
        wanted, unwanted = (
            pipeline.encode(Prompts(texts=(text,), width=width, height=height))
            for text in (payload.prompt, payload.negative_prompt)
        )
        x_t = pipeline.unit_noise(payload.seed, width, height) * schedule.init_noise_sigma
        for i in range(num_steps):
            x_in = x_t * schedule.input_scales[i]
            timestep = torch.tensor([schedule.timesteps[i]], device=x_t.device)
            prediction = pipeline.denoise(x_in, timestep, wanted, adapter)
            if guidance > 1:
                unconditional = pipeline.denoise(x_in, timestep, unwanted, adapter)
                prediction = unconditional + guidance * (prediction - unconditional)
            x_t, history = sampler.step(prediction, x_t, [i], [schedule], history)
            on_step(i, num_steps)
        return to_pixels(pipeline.decoder(x_t)[0])
