"""What every Executor promises, driven by plans of the real scheduler.

A new executor joins by a line in EXECUTORS.
"""

import itertools
import queue
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from loadsheet.engine.cpu_cores import cores_of_process
from loadsheet.engine.image.conditioning import Conditioning
from loadsheet.engine.image.denoiser import UNetDenoiser
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.image.latent_decoder import LatentDecoder
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.scheduler_config import read_sampling
from loadsheet.engine.openvino.text_model import OpenVinoTextModel
from loadsheet.engine.openvino.weight_file import WeightFile, read_weights, write_weights
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import Decoder, DecoderWeights, Layer
from loadsheet.engine.text.detokenizer import Detokenizer
from loadsheet.engine.text.linear import PlainLinear
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.engine.text.text_model import TorchTextModel
from loadsheet.engine.torch_device import Placement
from loadsheet.engine.torch_executor import TorchExecutor
from loadsheet.errors import LoadsheetError
from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.executor import (
    Executor,
    FinishReason,
    ImageOutput,
    StepResult,
    TextOutput,
)
from loadsheet.runtime.payload import ImagePayload, Payload, Sampling, TextPayload
from loadsheet.runtime.update import Failed, Image, Rejected, Token, Update
from loadsheet.sched.event import Arrived, Cancelled, StepFinished
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import StepPlan
from loadsheet.sched.policies import make_scheduler
from loadsheet.workload.request import ImageRequest, Request, TextRequest

TALKER, PAINTER = "talker", "painter"
SIDE = 16
CPU = Placement(device=torch.device("cpu"), dtype=torch.float32)
LIMITS = DeviceLimits(
    text=(TextLimits(model=TALKER, num_blocks=64, block_tokens=32, max_chunk_tokens=7),),
    images=(
        ImageLimits(
            model=PAINTER,
            sizes=(ImageSize(width=SIDE, height=SIDE, state_bytes=1000),),
            budget_bytes=10_000,
        ),
    ),
)


CONFIG = DecoderConfig.from_hf(
    {
        "model_type": "llama",
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
    }
)


def torch_executor() -> TorchExecutor:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG, random_weights(CONFIG))
    model = TorchTextModel(decoder, num_blocks=64, block_tokens=32)
    return TorchExecutor({TALKER: TextEngine(model, Letters())}, {PAINTER: painter()})


def openvino_executor() -> TorchExecutor:
    torch.manual_seed(0)
    cores = cores_of_process()
    model = OpenVinoTextModel(
        stored(random_weights(CONFIG)),
        precision="fp32",
        num_blocks=64,
        shares=cores.shares(0),
    )
    texts = {TALKER: TextEngine(model, Letters())}
    return TorchExecutor(texts, {PAINTER: painter()}, cores=cores)


def stored(weights: DecoderWeights) -> WeightFile:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        write_weights(weights, "fp32", path)
        return read_weights(path, CONFIG)  # mapped: the name may go


def painter() -> ImageEngine:
    return ImageEngine(image_pipeline())


def random_weights(config: DecoderConfig) -> DecoderWeights:
    def linear(out_size: int, in_size: int) -> PlainLinear:
        return PlainLinear(torch.randn(out_size, in_size) * 0.3, None)

    layers = tuple(
        Layer(
            attention_norm_D=torch.ones(16),
            qkv=linear(32, 16),
            out=linear(16, 16),
            ffn_norm_D=torch.ones(16),
            gate_up=linear(48, 16),
            down=linear(16, 24),
        )
        for _ in range(config.num_layers)
    )
    return DecoderWeights(
        embedding_VD=torch.randn(32, 16),
        layers=layers,
        final_norm_D=torch.ones(16),
        head=linear(32, 16),
        num_bytes=0,
    )


class Letters:
    """A tokenizer of one letter per token."""

    eos_ids = frozenset[int]()

    def detokenizer(self) -> Detokenizer:
        return Detokenizer(lambda ids: "".join(chr(97 + token_id) for token_id in ids))


class Blend(nn.Module):
    """A denoiser whose answer can be computed in the head."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, x, t, *, strength, return_dict):
        return (self.one * x * strength[..., None, None] - t.view(-1, 1, 1, 1) / 999,)


def image_pipeline() -> ImagePipeline:
    vae = AutoencoderKL(
        block_out_channels=(4, 4),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=2,
        norm_num_groups=2,
        mid_block_add_attention=False,
    )
    return ImagePipeline(
        placement=CPU,
        encode=lambda prompts: Conditioning(
            tensors={"strength": torch.tensor([[len(text) / 10] for text in prompts.texts])}
        ),
        denoise=UNetDenoiser(Blend()),
        decoder=LatentDecoder(vae.eval()),
        sampling=read_sampling({"_class_name": "FlowMatchEulerDiscreteScheduler"}),
        sizes=((SIDE, SIDE),),
        default_num_steps=4,
        default_guidance_scale=3.0,
        weight_bytes={},
    )


EXECUTORS: dict[str, Callable[[], Executor]] = {
    "torch": torch_executor,
    "openvino": openvino_executor,
}


@pytest.fixture(params=EXECUTORS)
def executor(request) -> Executor:
    return EXECUTORS[request.param]()


@dataclass
class Drive:
    """Scheduler and executor without threads; time is a count of steps."""

    executor: Executor
    policy: str = "slack"
    now_s: float = 0.0
    outputs: dict[str, list] = field(default_factory=dict)
    plans: list[StepPlan] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = make_scheduler(LIMITS, self.policy)

    def submit(self, request: Request, payload: Payload) -> None:
        assert self.scheduler.on_event(Arrived(request=request), self.now_s) is None
        self.executor.admit(request, payload)
        self.outputs[request.request_id] = []

    def cancel(self, request_id: str) -> None:
        self.scheduler.on_event(Cancelled(request_id=request_id), self.now_s)
        self.executor.release(request_id)

    def step(self) -> bool:
        plan = self.scheduler.plan(self.now_s)
        if not isinstance(plan, StepPlan):
            return False
        result = self.executor.run(plan)
        assert result.duration_s >= 0
        self.plans.append(plan)
        self.now_s += 0.01
        ended = []
        for output in result.outputs:
            assert output.request_id in plan.request_ids()
            self.outputs[output.request_id].append(output)
            is_last = isinstance(output, TextOutput) and output.finish_reason is not None
            if is_last:
                ended.append(output.request_id)
            if is_last or isinstance(output, ImageOutput):
                self.executor.release(output.request_id)
        self.scheduler.on_event(
            StepFinished(step_id=plan.step_id, duration_s=0.01, ended=tuple(ended)), self.now_s
        )
        return True

    def run(self) -> None:
        for _ in range(1000):
            if not self.step():
                return
        raise AssertionError("work never ended")


def text(name: str, prompt_tokens: int = 9, output_tokens: int = 5) -> tuple[Request, Payload]:
    request = TextRequest(
        request_id=name,
        model=TALKER,
        arrival_s=0.0,
        prompt_tokens=prompt_tokens,
        max_output_tokens=output_tokens,
    )
    payload = TextPayload(
        prompt_ids=tuple(idx % 32 for idx in range(prompt_tokens)),
        sampling=Sampling(temperature=0.0),
        max_output_tokens=output_tokens,
    )
    return request, payload


def image(name: str, num_steps: int = 4, guidance: float = 3.0) -> tuple[Request, Payload]:
    request = ImageRequest(
        request_id=name,
        model=PAINTER,
        arrival_s=0.0,
        width=SIDE,
        height=SIDE,
        num_steps=num_steps,
        is_guided=guidance > 1,
    )
    payload = ImagePayload(
        prompt="a cat",
        width=SIDE,
        height=SIDE,
        num_steps=num_steps,
        guidance_scale=guidance,
        seed=5,
    )
    return request, payload


@pytest.mark.parametrize("policy", ["slack", "round-robin"])
def test_every_request_gets_all_of_its_outputs_and_one_end(executor, policy):
    drive = Drive(executor, policy)
    for idx in range(3):
        drive.submit(*text(f"t{idx}", prompt_tokens=3 + 8 * idx, output_tokens=2 + idx))
        drive.submit(*image(f"i{idx}", num_steps=2 + idx, guidance=1.0 + idx))
    drive.run()
    for idx in range(3):
        tokens = drive.outputs[f"t{idx}"]
        assert len(tokens) == 2 + idx
        assert [one.finish_reason for one in tokens[:-1]] == [None] * (1 + idx)
        assert tokens[-1].finish_reason is FinishReason.LENGTH
        [picture] = drive.outputs[f"i{idx}"]
        assert picture.pixels_HWC.shape == (SIDE, SIDE, 3)
        assert picture.pixels_HWC.dtype == "uint8"


def test_a_request_served_in_a_mix_equals_the_request_served_alone(executor):
    alone = {}
    for request, payload in (text("t"), image("i")):
        drive = Drive(executor)
        drive.submit(request, payload)
        drive.run()
        alone.update(drive.outputs)
    drive = Drive(executor)
    for item in (image("x", 6), text("y", 17, 9), text("t"), image("i"), text("z", 2, 3)):
        drive.submit(*item)
    drive.run()
    assert [one.token_id for one in drive.outputs["t"]] == [one.token_id for one in alone["t"]]
    found, expected = (item["i"][0].pixels_HWC.astype(int) for item in (drive.outputs, alone))
    assert abs(found - expected).max() <= 1


def test_a_released_request_leaves_the_others_as_they_were(executor):
    drive = Drive(executor)
    drive.submit(*text("kept", output_tokens=8))
    drive.submit(*image("kept-image"))
    drive.submit(*text("gone", output_tokens=50))
    drive.submit(*image("gone-image", num_steps=50))
    for _ in range(6):
        drive.step()
    drive.cancel("gone")
    drive.cancel("gone-image")
    drive.run()
    assert len(drive.outputs["kept"]) == 8
    assert len(drive.outputs["kept-image"]) == 1
    assert not any(isinstance(one, ImageOutput) for one in drive.outputs["gone-image"])


def test_an_id_can_be_used_again_after_its_release(executor):
    found = []
    for _ in range(2):
        drive = Drive(executor)
        drive.submit(*text("same"))
        drive.run()
        found.append([one.token_id for one in drive.outputs["same"]])
    assert found[0] == found[1]


def test_what_is_unknown_is_a_typed_error(executor):
    drive = Drive(executor)
    drive.submit(*text("t"))
    plan = drive.scheduler.plan(0.0)
    executor.release("t")
    with pytest.raises(LoadsheetError):
        executor.run(plan)
    with pytest.raises(LoadsheetError):
        executor.release("never-seen")
    request, payload = text("other")
    stranger = TextRequest(
        request_id="s", model="stranger", arrival_s=0.0, prompt_tokens=9, max_output_tokens=5
    )
    with pytest.raises(LoadsheetError):
        executor.admit(stranger, payload)
    with pytest.raises(LoadsheetError):
        executor.admit(request, image("i")[1])


def test_steps_mix_kinds_and_batch_like_work(executor):
    drive = Drive(executor, "round-robin")
    for idx in range(3):
        drive.submit(*text(f"t{idx}", output_tokens=6))
        drive.submit(*image(f"i{idx}", num_steps=6))
    drive.run()
    kinds = [plan.kind for plan in drive.plans]
    assert len(set(kinds)) == 4
    assert sum(first is not second for first, second in itertools.pairwise(kinds)) > 6
    assert max(len(plan.request_ids()) for plan in drive.plans) == 3


class Meeting:
    """An executor whose first step on a half waits until the other half runs one as well."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.inside = 0
        self.lock = threading.Lock()
        self.have_met = threading.Event()

    def admit(self, request: Request, payload: Payload) -> None:
        self.executor.admit(request, payload)

    def release(self, request_id: str) -> None:
        self.executor.release(request_id)

    def run(self, plan: StepPlan) -> StepResult:
        with self.lock:
            self.inside += 1
            if self.inside == 2:
                self.have_met.set()
        if plan.share < 1:
            self.have_met.wait(10)
        result = self.executor.run(plan)
        with self.lock:
            self.inside -= 1
        return result


def serve(executor: Executor, num_lanes: int) -> dict[str, list]:
    """Texts and images through a device loop; their updates by name."""
    scheduler = make_scheduler(replace(LIMITS, num_lanes=num_lanes))
    loop = DeviceLoop(scheduler, executor, MonotonicClock(), num_lanes=num_lanes)
    updates: dict[str, list] = {}
    arrived: queue.SimpleQueue[tuple[str, Update]] = queue.SimpleQueue()
    loop.start()
    for idx in range(3):
        for request, payload in (text(f"t{idx}", 9, 40), image(f"i{idx}", num_steps=6)):
            name = request.request_id
            updates[name] = []
            loop.submit(request, payload, lambda update, name=name: arrived.put((name, update)))
    num_running = len(updates)
    while num_running:
        name, update = arrived.get(timeout=60)
        updates[name].append(update)
        assert not isinstance(update, Failed | Rejected), update
        is_last = isinstance(update, Token) and update.finish_reason is not None
        num_running -= is_last or isinstance(update, Image)
    loop.stop()
    return updates


needs_two_cores = pytest.mark.skipif(
    cores_of_process().num_lanes < 2, reason="a lane needs a core of its own"
)


@needs_two_cores
def test_steps_of_two_lanes_run_at_once():
    meeting = Meeting(openvino_executor())
    serve(meeting, num_lanes=2)
    assert meeting.have_met.is_set()
    alone = Meeting(openvino_executor())
    serve(alone, num_lanes=1)
    assert not alone.have_met.is_set()


@needs_two_cores
def test_two_lanes_give_what_one_gives():
    one, two = (serve(openvino_executor(), num_lanes) for num_lanes in (1, 2))
    for idx in range(3):
        found, expected = (
            [update.token_id for update in run[f"t{idx}"] if isinstance(update, Token)]
            for run in (two, one)
        )
        assert found == expected
        assert len(found) == 40
        found, expected = (run[f"i{idx}"][-1].pixels_HWC.astype(int) for run in (two, one))
        assert abs(found - expected).max() <= 1
