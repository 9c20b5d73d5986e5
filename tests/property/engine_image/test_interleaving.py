"""However the steps of requests are ordered and batched, each gets the image it would get alone."""

from dataclasses import dataclass

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from hypothesis import given, settings
from hypothesis import strategies as st

from loadsheet.engine.image.conditioning import Conditioning, Prompts
from loadsheet.engine.image.denoiser import UNetDenoiser
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.image.latent_decoder import LatentDecoder
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.scheduler_config import read_sampling
from loadsheet.engine.torch_device import Placement
from loadsheet.runtime.payload import ImagePayload
from loadsheet.sched.plan import ImageBatch, ImageItem, ImageShape, StepKind, StepPlan
from loadsheet.workload.request import ImageRequest

SIDE = 32
TOLERANCE = 1e-4  # float32 kernels of another batch size add in another order
SCHEDULERS = {
    "euler": {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"},
    "euler_v": {"_class_name": "EulerDiscreteScheduler", "prediction_type": "v_prediction"},
    "flow": {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0},
    "dpmpp_2m": {"_class_name": "DPMSolverMultistepScheduler", "beta_schedule": "scaled_linear"},
}


def encode(prompts: Prompts) -> Conditioning:
    """A stand-in text encoder: noise seeded by the text."""
    rows = [
        torch.randn(4, 8, generator=torch.Generator().manual_seed(sum(map(ord, text))))
        for text in prompts.texts
    ]
    return Conditioning(tensors={"encoder_hidden_states": torch.stack(rows)})


@pytest.fixture(scope="module", params=SCHEDULERS)
def pipeline(request: pytest.FixtureRequest) -> ImagePipeline:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=SIDE // 2,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(4, 4),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=2,
    )
    return ImagePipeline(
        placement=Placement(device=torch.device("cpu"), dtype=torch.float32),
        encode=encode,
        denoise=UNetDenoiser(unet.eval()),
        decoder=LatentDecoder(vae.eval()),
        sampling=read_sampling(SCHEDULERS[request.param]),
        sizes=((SIDE, SIDE),),
        default_num_steps=4,
        default_guidance_scale=3.0,
        weight_bytes={},
    )


@dataclass(slots=True)
class Job:
    """A request and the steps it has done; -1 before its encoding."""

    payload: ImagePayload
    done: int = -1


def payloads(is_guided: bool) -> st.SearchStrategy[ImagePayload]:
    return st.builds(
        ImagePayload,
        prompt=st.sampled_from(["", "fox", "a cat"]),
        negative_prompt=st.sampled_from(["", "dog"]),
        width=st.just(SIDE),
        height=st.just(SIDE),
        num_steps=st.integers(1, 4),
        guidance_scale=st.sampled_from([1.5, 4.0] if is_guided else [1.0]),
        seed=st.integers(0, 2**63 - 1),
    )


def step(engine: ImageEngine, kind: StepKind, jobs: dict[str, Job], is_guided: bool) -> None:
    shape = ImageShape(batch=len(jobs), width=SIDE, height=SIDE, is_guided=is_guided)
    items = tuple(ImageItem(request_id=key, step_idx=max(j.done, 0)) for key, j in jobs.items())
    plan = StepPlan(
        step_id=0,
        kind=kind,
        model="m",
        lane=0,
        batch=ImageBatch(items=items),
        shape=shape,
        predicted_s=0.0,
    )
    assert engine.run(plan) == ()
    for job in jobs.values():
        job.done += 1


def admit(engine: ImageEngine, key: str, payload: ImagePayload, is_guided: bool) -> None:
    request = ImageRequest(
        request_id=key,
        model="m",
        arrival_s=0.0,
        width=SIDE,
        height=SIDE,
        num_steps=payload.num_steps,
        is_guided=is_guided,
    )
    engine.admit(request, payload)


def latents_alone(pipeline: ImagePipeline, payload: ImagePayload, is_guided: bool) -> torch.Tensor:
    engine, job = ImageEngine(pipeline), Job(payload)
    admit(engine, "alone", payload, is_guided)
    step(engine, StepKind.ENCODE, {"alone": job}, is_guided)
    for _ in range(payload.num_steps):
        step(engine, StepKind.DENOISE, {"alone": job}, is_guided)
    return engine._states["alone"].latents_1CHW


@given(data=st.data(), is_guided=st.booleans())
@settings(max_examples=12, deadline=None)
def test_any_interleaving_of_three_requests_equals_solo_runs(
    pipeline: ImagePipeline, data: st.DataObject, is_guided: bool
) -> None:
    engine = ImageEngine(pipeline)
    jobs = {key: Job(data.draw(payloads(is_guided))) for key in ("a", "b", "c")}
    for key, job in jobs.items():
        admit(engine, key, job.payload, is_guided)
    while open_jobs := {k: j for k, j in jobs.items() if j.done < j.payload.num_steps}:
        keys = sorted(open_jobs)
        chosen = data.draw(st.lists(st.sampled_from(keys), unique=True, min_size=1))
        is_encode = jobs[chosen[0]].done < 0  # the first one decides what the others can join
        batch = {key: jobs[key] for key in chosen if (jobs[key].done < 0) == is_encode}
        step(engine, StepKind.ENCODE if is_encode else StepKind.DENOISE, batch, is_guided)
    for key, job in jobs.items():
        expected = latents_alone(pipeline, job.payload, is_guided)
        found = engine._states[key].latents_1CHW
        scale = max(1.0, expected.abs().max().item())
        assert (found - expected).abs().max().item() <= TOLERANCE * scale
