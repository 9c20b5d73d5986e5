"""Is what a device computes right? Tiny random models in fp32, served together, against the CPU.

logits          the decoder's numbers on the device and on the CPU
mixed text      greedy tokens served in a mix = the plain loop alone, on the same device
mixed images    pixels served in a mix = the plain loop alone, on the same device
CPU images      pixels on the device and on the CPU
"""

import queue
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from coserve_load import IMAGES, TEXT, Engines, TimedExecutor
from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.text.decoder import ContiguousAttention, Decoder
from loadsheet.engine.text.generate import generate
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.engine.text.text_model import TorchTextModel
from loadsheet.engine.torch_device import Placement
from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.payload import ImagePayload, Sampling, TextPayload
from loadsheet.runtime.update import Failed, Image, Rejected, Token, Update
from loadsheet.sched.policies import make_scheduler
from loadsheet.workload.request import ImageRequest, TextRequest
from random_models import blank_tokenizer, random_decoder, random_pipeline

CPU = torch.device("cpu")
GREEDY = Sampling(temperature=0.0)
PROMPT_LENGTHS = (1, 7, 16, 17, 200)
OUTPUT_TOKENS = 24
IMAGE_STEPS = (3, 4, 6)
MAX_LOGIT_DIFFERENCE = 1e-3
MAX_LEVEL_DIFFERENCE = 1  # of 255: rounding to a pixel may fall to the other side
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    name: str
    found: float
    limit: float

    @property
    def is_ok(self) -> bool:
        return self.found <= self.limit


def check_device(device: torch.device) -> list[Check]:
    """fp32 means fp32 here: the convolutions of a GPU would otherwise run in TF32."""
    tf32_before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        return _check(device)
    finally:
        torch.backends.cudnn.allow_tf32 = tf32_before


def _check(device: torch.device) -> list[Check]:
    decoders = {one: _decoder(one) for one in (CPU, device)}
    pipelines = {one: _pipeline(one) for one in (CPU, device)}
    prompts, orders = _prompts(), _orders(pipelines[device])
    tokens, pixels = _serve_mixed(decoders[device], pipelines[device], prompts, orders)
    alone = [_generate(decoders[device], prompt) for prompt in prompts]
    drawn = [draw(pipelines[device], order, _ignore) for order in orders]
    on_cpu = [draw(pipelines[CPU], order, _ignore) for order in orders]
    num_wrong = sum(mine != plain for mine, plain in zip(tokens, alone, strict=True))
    logit_difference = (_logits(decoders[device]) - _logits(decoders[CPU])).abs().max()
    return [
        Check(name="logits", found=float(logit_difference), limit=MAX_LOGIT_DIFFERENCE),
        Check(name="mixed text", found=num_wrong, limit=0),
        Check(name="mixed images", found=_levels(pixels, drawn), limit=MAX_LEVEL_DIFFERENCE),
        Check(name="CPU images", found=_levels(drawn, on_cpu), limit=MAX_LEVEL_DIFFERENCE),
    ]


def _decoder(device: torch.device) -> Decoder:
    return random_decoder("tiny-text", _fp32(device), CPU, seed=1)


def _pipeline(device: torch.device) -> ImagePipeline:
    return random_pipeline("tiny-image", _fp32(device), CPU, seed=2)


def _fp32(device: torch.device) -> Placement:
    return Placement(device=device, dtype=torch.float32)


def _prompts() -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(3)
    return [
        tuple(torch.randint(512, (length,), generator=generator).tolist())
        for length in PROMPT_LENGTHS
    ]


def _orders(pipeline: ImagePipeline) -> list[ImagePayload]:
    width, height = pipeline.sizes[0]
    return [
        ImagePayload(
            prompt=f"picture number {num_steps}",
            width=width,
            height=height,
            num_steps=num_steps,
            guidance_scale=5.0,
            seed=num_steps,
        )
        for num_steps in IMAGE_STEPS
    ]


def _serve_mixed(
    decoder: Decoder,
    pipeline: ImagePipeline,
    prompts: list[tuple[int, ...]],
    orders: list[ImagePayload],
) -> tuple[list[list[int]], list[np.ndarray]]:
    """All requests at once through scheduler, loop and engines."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = blank_tokenizer(Path(folder))
    engines = Engines(
        text=TextEngine(TorchTextModel(decoder, num_blocks=256), tokenizer),
        images=ImageEngine(pipeline),
    )
    executor = TimedExecutor(engines.text, engines.images)
    loop = DeviceLoop(make_scheduler(engines.limits()), executor, MonotonicClock())
    loop.start()
    try:
        texts = [_submit_text(loop, idx, prompt) for idx, prompt in enumerate(prompts)]
        images = [_submit_image(loop, idx, order) for idx, order in enumerate(orders)]
        return [_tokens(updates) for updates in texts], [_pixels(updates) for updates in images]
    finally:
        loop.stop()


def _submit_text(
    loop: DeviceLoop, idx: int, prompt: tuple[int, ...]
) -> "queue.SimpleQueue[Update]":
    updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
    request = TextRequest(
        request_id=f"text-{idx}",
        model=TEXT,
        arrival_s=loop.now_s(),
        prompt_tokens=len(prompt),
        max_output_tokens=OUTPUT_TOKENS,
    )
    payload = TextPayload(
        prompt_ids=prompt,
        sampling=GREEDY,
        max_output_tokens=OUTPUT_TOKENS,
        is_eos_ignored=True,
    )
    loop.submit(request, payload, updates.put)
    return updates


def _submit_image(loop: DeviceLoop, idx: int, order: ImagePayload) -> "queue.SimpleQueue[Update]":
    updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
    request = ImageRequest(
        request_id=f"image-{idx}",
        model=IMAGES,
        arrival_s=loop.now_s(),
        width=order.width,
        height=order.height,
        num_steps=order.num_steps,
        is_guided=True,
    )
    loop.submit(request, order, updates.put)
    return updates


def _tokens(updates: "queue.SimpleQueue[Update]") -> list[int]:
    token_ids: list[int] = []
    while True:
        update = _next(updates)
        if isinstance(update, Token):
            token_ids.append(update.token_id)
            if update.finish_reason is not None:
                return token_ids


def _pixels(updates: "queue.SimpleQueue[Update]") -> np.ndarray:
    while True:
        update = _next(updates)
        if isinstance(update, Image):
            return update.pixels_HWC


def _next(updates: "queue.SimpleQueue[Update]") -> Update:
    update = updates.get(timeout=TIMEOUT_S)
    if isinstance(update, Failed):
        raise RuntimeError(update.message)
    if isinstance(update, Rejected):
        raise RuntimeError(update.rejection.message)
    return update


def _generate(decoder: Decoder, prompt: tuple[int, ...]) -> list[int]:
    return list(generate(decoder, prompt, max_output_tokens=OUTPUT_TOKENS, sampling=GREEDY))


@torch.inference_mode()
def _logits(decoder: Decoder) -> torch.Tensor:
    ids_N = torch.arange(64, device=decoder.device)
    attention = ContiguousAttention(decoder, len(ids_N))
    return decoder.logits(decoder.hidden(ids_N, ids_N, attention)).cpu()


def _levels(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return float(max(np.abs(a.astype(int) - b.astype(int)).max() for a, b in pairs))


def _ignore(step_idx: int, num_steps: int) -> None:
    del step_idx, num_steps
