"""The batched engine draws what the plain loop draws, whatever else is in the batch."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from loadsheet.engine.image.conditioning import Conditioning, Prompts
from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import ConfigError, ExecutorError
from loadsheet.runtime.executor import FailedOutput, ImageOutput, StepOutput
from loadsheet.runtime.payload import ImagePayload
from loadsheet.sched.plan import (
    ImageBatch,
    ImageItem,
    ImageShape,
    StepKind,
    StepPlan,
    TextBatch,
    TextShape,
)
from loadsheet.workload.request import ImageRequest

FOX = ImagePayload(
    prompt="a red fox", width=64, height=64, num_steps=3, guidance_scale=4.0, seed=11
)
CAT = ImagePayload(
    prompt="cat",
    negative_prompt="dog",
    width=64,
    height=64,
    num_steps=5,
    guidance_scale=2.5,
    seed=3,
)


def ignore_step(step_idx: int, num_steps: int) -> None: ...


def admit(engine: ImageEngine, request_id: str, payload: ImagePayload) -> None:
    request = ImageRequest(
        request_id=request_id,
        model="m",
        arrival_s=0.0,
        width=payload.width,
        height=payload.height,
        num_steps=payload.num_steps,
        is_guided=payload.guidance_scale > 1,
    )
    engine.admit(request, payload)


def run(
    engine: ImageEngine,
    kind: StepKind,
    items: dict[str, int],
    *,
    size: tuple[int, int] = (64, 64),
    is_guided: bool = True,
) -> tuple[StepOutput, ...]:
    """One step; `items` maps request ids to step indices."""
    shape = ImageShape(batch=len(items), width=size[0], height=size[1], is_guided=is_guided)
    batch = ImageBatch(
        items=tuple(ImageItem(request_id=key, step_idx=idx) for key, idx in items.items())
    )
    return engine.run(
        StepPlan(step_id=0, kind=kind, model="m", lane=0, batch=batch, shape=shape, predicted_s=0.0)
    )


def pixels_of(outputs: Sequence[StepOutput]) -> dict[str, np.ndarray]:
    assert all(isinstance(output, ImageOutput) for output in outputs)
    return {output.request_id: output.pixels_HWC for output in outputs}


def assert_same_image(found: np.ndarray, expected: np.ndarray, *, levels: int = 1) -> None:
    """Equal up to `levels` of 255: float32 noise may tip a value over a rounding edge."""
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= levels


def test_two_requests_in_step_and_out_of_step_equal_the_plain_loop(
    pipeline: ImagePipeline,
) -> None:
    engine = ImageEngine(pipeline)
    admit(engine, "cat", CAT)
    assert run(engine, StepKind.ENCODE, {"cat": 0}) == ()
    assert run(engine, StepKind.DENOISE, {"cat": 0}) == ()
    admit(engine, "fox", FOX)
    run(engine, StepKind.ENCODE, {"fox": 0})
    run(engine, StepKind.DENOISE, {"fox": 0, "cat": 1})
    run(engine, StepKind.DENOISE, {"cat": 2})
    run(engine, StepKind.DENOISE, {"cat": 3, "fox": 1})
    run(engine, StepKind.DENOISE, {"cat": 4, "fox": 2})
    images = pixels_of(run(engine, StepKind.VAE_DECODE, {"fox": 3, "cat": 5}))
    assert_same_image(images["fox"], draw(pipeline, FOX, ignore_step))
    assert_same_image(images["cat"], draw(pipeline, CAT, ignore_step))
    assert np.abs(images["fox"].astype(int) - images["cat"].astype(int)).max() > 5


def test_unguided_batch_equals_the_plain_loop(pipeline: ImagePipeline) -> None:
    engine = ImageEngine(pipeline)
    payloads = {
        "a": replace(FOX, guidance_scale=1.0),
        "b": replace(CAT, guidance_scale=0.0, num_steps=3),
    }
    for key, payload in payloads.items():
        admit(engine, key, payload)
    run(engine, StepKind.ENCODE, dict.fromkeys(payloads, 0), is_guided=False)
    for idx in range(3):
        run(engine, StepKind.DENOISE, dict.fromkeys(payloads, idx), is_guided=False)
    images = pixels_of(
        run(engine, StepKind.VAE_DECODE, dict.fromkeys(payloads, 3), is_guided=False)
    )
    for key, payload in payloads.items():
        assert_same_image(images[key], draw(pipeline, payload, ignore_step))


def test_seed_prompt_negative_and_guidance_each_change_the_image(
    pipeline: ImagePipeline,
) -> None:
    first = draw(pipeline, CAT, ignore_step)
    assert_same_image(draw(pipeline, CAT, ignore_step), first, levels=0)
    for other in (
        replace(CAT, seed=4),
        replace(CAT, prompt="sky"),
        replace(CAT, negative_prompt=""),
        replace(CAT, guidance_scale=9.0),
    ):
        assert (draw(pipeline, other, ignore_step) != first).any()


def test_draw_reports_every_step(our_pipeline: ImagePipeline) -> None:
    seen: list[tuple[int, int]] = []
    draw(our_pipeline, FOX, lambda idx, num_steps: seen.append((idx, num_steps)))
    assert seen == [(0, 3), (1, 3), (2, 3)]


def test_a_request_that_turns_infinite_fails_alone(our_pipeline: ImagePipeline) -> None:
    engine = ImageEngine(our_pipeline)
    admit(engine, "bad", replace(FOX, guidance_scale=1e38))
    admit(engine, "good", FOX)
    run(engine, StepKind.ENCODE, {"bad": 0, "good": 0})
    assert run(engine, StepKind.DENOISE, {"bad": 0, "good": 0}) == ()  # huge, still finite
    failed = run(engine, StepKind.DENOISE, {"bad": 1, "good": 1})
    assert [output.request_id for output in failed] == ["bad"]
    assert isinstance(failed[0], FailedOutput)
    assert "denoise step 1" in failed[0].message
    engine.release("bad")
    run(engine, StepKind.DENOISE, {"good": 2})
    image = pixels_of(run(engine, StepKind.VAE_DECODE, {"good": 3}))["good"]
    assert_same_image(image, draw(our_pipeline, FOX, ignore_step))


def test_a_decode_that_turns_infinite_fails_alone(our_pipeline: ImagePipeline) -> None:
    engine = ImageEngine(our_pipeline)
    payload = replace(FOX, num_steps=1)
    for key in ("bad", "good"):
        admit(engine, key, payload)
    run(engine, StepKind.ENCODE, {"bad": 0, "good": 0})
    run(engine, StepKind.DENOISE, {"bad": 0, "good": 0})
    state = engine._states["bad"]
    state.latents_1CHW = torch.full_like(state.latents_1CHW, float("inf"))
    bad, good = run(engine, StepKind.VAE_DECODE, {"bad": 1, "good": 1})
    assert isinstance(bad, FailedOutput)
    assert (bad.request_id, "VAE decode" in bad.message) == ("bad", True)
    assert_same_image(pixels_of([good])["good"], draw(our_pipeline, payload, ignore_step))


def test_step_idx_must_be_where_the_request_stands(our_pipeline: ImagePipeline) -> None:
    engine = ImageEngine(our_pipeline)
    admit(engine, "fox", FOX)
    run(engine, StepKind.ENCODE, {"fox": 0})
    with pytest.raises(ExecutorError, match="planned at step 1 but stands at 0 of 3"):
        run(engine, StepKind.DENOISE, {"fox": 1})
    with pytest.raises(ExecutorError, match="cannot be decoded: it stands at step 0 of 3"):
        run(engine, StepKind.VAE_DECODE, {"fox": 3})
    for idx in range(3):
        run(engine, StepKind.DENOISE, {"fox": idx})
    with pytest.raises(ExecutorError, match="planned at step 3 but stands at 3 of 3"):
        run(engine, StepKind.DENOISE, {"fox": 3})


def test_batches_are_of_one_size_and_guidance(sd_pipeline: ImagePipeline) -> None:
    engine = ImageEngine(sd_pipeline)
    admit(engine, "fox", FOX)
    with pytest.raises(ExecutorError, match="its batch is 64x64, guided: False"):
        run(engine, StepKind.ENCODE, {"fox": 0}, is_guided=False)
    with pytest.raises(ExecutorError, match="its batch is 128x64, guided: True"):
        run(engine, StepKind.ENCODE, {"fox": 0}, size=(128, 64))


def test_only_admitted_requests_and_image_steps_run(our_pipeline: ImagePipeline) -> None:
    engine = ImageEngine(our_pipeline)
    with pytest.raises(ExecutorError, match="nobody was planned but is not admitted"):
        run(engine, StepKind.ENCODE, {"nobody": 0})
    admit(engine, "fox", FOX)
    with pytest.raises(ExecutorError, match="fox was planned but"):
        run(engine, StepKind.DENOISE, {"fox": 0})
    engine.release("fox")
    engine.release("fox")
    with pytest.raises(ExecutorError, match="fox was planned but"):
        run(engine, StepKind.ENCODE, {"fox": 0})
    with pytest.raises(ExecutorError, match="runs no text steps"):
        run(engine, StepKind.TEXT, {})
    text = StepPlan(
        step_id=4,
        kind=StepKind.TEXT,
        model="m",
        lane=0,
        batch=TextBatch(decodes=("x",), chunks=(), grants=()),
        shape=TextShape(
            num_decodes=1, decode_context_tokens=4, prefill_tokens=0, prefill_context_tokens=0
        ),
        predicted_s=0.0,
    )
    with pytest.raises(ExecutorError, match="step 4 of kind text is not an image step"):
        engine.run(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 72}, "size is 72x64; this model draws 64x64"),
        ({"seed": -1}, "seed is -1"),
        ({"num_steps": 0}, "num_steps is 0; this model takes 1 to 1000 steps"),
        ({"num_steps": 1001}, "num_steps is 1001"),
    ],
)
def test_admission_refuses_with_the_number(
    our_pipeline: ImagePipeline, change: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        admit(ImageEngine(our_pipeline), "r", replace(FOX, **change))


def test_admission_refuses_a_payload_of_another_request(our_pipeline: ImagePipeline) -> None:
    request = ImageRequest(
        request_id="r",
        model="m",
        arrival_s=0.0,
        width=64,
        height=64,
        num_steps=9,
        is_guided=True,
    )
    with pytest.raises(ConfigError, match="differ in size or steps"):
        ImageEngine(our_pipeline).admit(request, FOX)


def test_state_bytes_count_latents_and_both_branches(
    our_pipeline: ImagePipeline, sd_pipeline: ImagePipeline
) -> None:
    # 8×8×8 latents; 32 tokens × 32 hidden, 32 mask entries of 8 bytes, 32 class labels; two rows
    assert ImageEngine(our_pipeline).state_bytes(64, 64) == 2048 + 2 * (4096 + 256 + 128)
    # 4×8×16 latents; 77 tokens × 16 hidden; two rows
    assert ImageEngine(sd_pipeline).state_bytes(128, 64) == 2048 + 2 * 77 * 16 * 4


def test_state_bytes_are_what_a_started_request_holds(pipeline: ImagePipeline) -> None:
    engine = ImageEngine(pipeline)
    for key in ("a", "b"):
        admit(engine, key, FOX)
    run(engine, StepKind.ENCODE, {"a": 0, "b": 0})
    run(engine, StepKind.DENOISE, {"a": 0, "b": 0})
    state = engine._states["a"]
    tensors = [state.latents_1CHW, *state.branches.tensors.values(), *state.history]
    held = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
    assert held == engine.state_bytes(64, 64)


def test_empty_negative_prompt_is_encoded_once(our_pipeline: ImagePipeline) -> None:
    seen: list[tuple[str, ...]] = []

    def encode(prompts: Prompts) -> Conditioning:
        seen.append(prompts.texts)
        return our_pipeline.encode(prompts)

    engine = ImageEngine(replace(our_pipeline, encode=encode))
    for key, payload in (("a", FOX), ("b", FOX), ("c", CAT)):
        admit(engine, key, payload)
    run(engine, StepKind.ENCODE, {"a": 0})
    run(engine, StepKind.ENCODE, {"b": 0, "c": 0})
    assert seen == [("",), ("a red fox",), ("a red fox", "cat", "dog")]


def test_bf16_batch_stays_near_bf16_alone(our_folder, sd_folder) -> None:
    """Kernels of another batch size may round differently; 8 mantissa bits, 5 steps, 2 networks."""
    for folder in (our_folder, sd_folder):
        pipeline = open_pipeline(
            folder, Placement(device=torch.device("cpu"), dtype=torch.bfloat16)
        )
        engine = ImageEngine(pipeline)
        payloads = {"a": CAT, "b": replace(FOX, num_steps=5), "c": replace(CAT, seed=8)}
        for key, payload in payloads.items():
            admit(engine, key, payload)
        run(engine, StepKind.ENCODE, dict.fromkeys(payloads, 0))
        for idx in range(5):
            run(engine, StepKind.DENOISE, dict.fromkeys(payloads, idx))
        images = pixels_of(run(engine, StepKind.VAE_DECODE, dict.fromkeys(payloads, 5)))
        for key, payload in payloads.items():
            assert_same_image(images[key], draw(pipeline, payload, ignore_step), levels=8)
