"""Pictures that wear adapters: alone or in a mix, and the books of who needs which."""

import queue
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import Placement
from loadsheet.engine.torch_executor import TorchExecutor
from loadsheet.errors import BusyError, ConfigError, ExecutorError
from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.payload import ImagePayload
from loadsheet.runtime.update import Image
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize
from loadsheet.sched.plan import ImageBatch, ImageItem, ImageShape, StepKind, StepPlan
from loadsheet.sched.policies import make_scheduler
from loadsheet.workload.request import ImageRequest

CPU_FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
SIDE = 64
FOX = ImagePayload(
    prompt="a red fox", width=SIDE, height=SIDE, num_steps=4, guidance_scale=3.0, seed=5
)


@pytest.fixture
def dressed(our_folder: Path, random_lora: Callable[..., Path]) -> ImagePipeline:
    """A pipeline with the adapters `glossy` and `flat`."""
    pipeline = open_pipeline(our_folder, CPU_FP32)
    for seed, name in enumerate(("glossy", "flat")):
        pipeline.denoise.adapters.load(name, random_lora(our_folder, name, seed))
    return pipeline


def request(request_id: str, adapter: str | None) -> ImageRequest:
    return ImageRequest(
        request_id=request_id,
        model="m",
        arrival_s=0.0,
        width=SIDE,
        height=SIDE,
        num_steps=FOX.num_steps,
        is_guided=True,
        adapter=adapter,
    )


def served(pipeline: ImagePipeline, wanted: list[tuple[str | None, int]]) -> list[np.ndarray]:
    """Pictures of (adapter, seed) requests that are all on the device loop at once."""
    size = ImageSize(width=SIDE, height=SIDE, state_bytes=1000)
    limits = DeviceLimits(images=(ImageLimits(model="m", sizes=(size,), budget_bytes=10**6),))
    executor = TorchExecutor({}, {"m": ImageEngine(pipeline)})
    loop = DeviceLoop(make_scheduler(limits, "slack"), executor, MonotonicClock())
    inboxes = [queue.SimpleQueue() for _ in wanted]
    for idx, ((adapter, seed), inbox) in enumerate(zip(wanted, inboxes, strict=True)):
        loop.submit(request(str(idx), adapter), replace(FOX, seed=seed), inbox.put)
    loop.start()
    try:
        return [_picture(inbox) for inbox in inboxes]
    finally:
        loop.stop()


def _picture(inbox: "queue.SimpleQueue") -> np.ndarray:
    while not isinstance(update := inbox.get(timeout=60), Image):
        assert not hasattr(update, "message"), update
    return update.pixels_HWC


def test_a_mix_of_adapters_gives_each_what_it_gets_alone(dressed: ImagePipeline) -> None:
    wanted = [(a, s) for s in (1, 2) for a in ("glossy", None, "flat")]
    for (adapter, seed), found in zip(wanted, served(dressed, wanted), strict=True):
        alone = draw(dressed, replace(FOX, seed=seed), lambda i, n: None, adapter)
        assert np.abs(found.astype(int) - alone.astype(int)).max() <= 1


def test_each_adapter_draws_another_picture(dressed: ImagePipeline) -> None:
    pictures = [draw(dressed, FOX, lambda i, n: None, a) for a in (None, "glossy", "flat")]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(pictures[one].astype(int) - pictures[other].astype(int)).max() > 5


def test_an_adapter_in_use_is_not_unloaded(dressed: ImagePipeline) -> None:
    engine = ImageEngine(dressed)
    engine.admit(request("a", "glossy"), FOX)
    engine.admit(request("b", "glossy"), FOX)
    engine.unload_adapter("flat")
    with pytest.raises(BusyError, match="2 accepted images wear adapter 'glossy'"):
        engine.unload_adapter("glossy")
    engine.release("a")
    with pytest.raises(BusyError, match="1 accepted images"):
        engine.unload_adapter("glossy")
    engine.release("b")
    engine.unload_adapter("glossy")
    with pytest.raises(ConfigError, match="'glossy' is not loaded"):
        engine.admit(request("c", "glossy"), FOX)
    with pytest.raises(ConfigError, match="loaded: none"):
        engine.unload_adapter("glossy")


def test_a_plan_that_mixes_adapters_is_an_error_of_the_planner(dressed: ImagePipeline) -> None:
    engine = ImageEngine(dressed)
    items = []
    for name, adapter in (("a", "glossy"), ("b", None)):
        engine.admit(request(name, adapter), FOX)
        items.append(ImageItem(request_id=name, step_idx=0))
    shape = ImageShape(batch=2, width=SIDE, height=SIDE, is_guided=True)
    plan = StepPlan(
        step_id=1,
        kind=StepKind.ENCODE,
        model="m",
        lane=0,
        batch=ImageBatch(items=tuple(items)),
        shape=shape,
        predicted_s=0.0,
    )
    engine.run(plan)
    with pytest.raises(ExecutorError, match="different adapters: glossy, none"):
        engine.run(replace(plan, kind=StepKind.DENOISE))
