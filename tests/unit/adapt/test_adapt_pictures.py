"""`adapt image --data` end to end on random SD 1.5 and SDXL folders: trained by the command, read
back by diffusers and by the engine, served beside the bare model."""

import json
import queue
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image

from loadsheet.cli.main import main
from loadsheet.engine.device import open_device
from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import Placement
from loadsheet.runtime.adapter_host import AdapterRef
from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.payload import ImagePayload
from loadsheet.runtime.update import Image as ImageUpdate
from loadsheet.sched.policies import make_scheduler
from loadsheet.track import read_runs
from loadsheet.workload.request import ImageRequest

CPU_FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
SIDE = 32
ASKED = ImagePayload(
    prompt="a fox", width=SIDE, height=SIDE, num_steps=3, guidance_scale=3.0, seed=4
)

# diffusers converts tensors the way numpy 2 warns about
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name, color in (("a fox", (250, 120, 10)), ("a sea", (10, 30, 200))):
        Image.new("RGB", (48, 40), color).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(name)
    return folder


@pytest.fixture(
    scope="module", params=[("sd", "epsilon"), ("sd", "v_prediction"), ("xl", "epsilon")], ids=str
)
def trained(
    request: pytest.FixtureRequest,
    pictures: Path,
    write_diffusion_folder: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path, Path]:
    """The base, the adapter that the command wrote, and the runs folder."""
    root = tmp_path_factory.mktemp("trained")
    base = write_diffusion_folder(root / "tiny-base", *request.param)
    flags = ["--base", str(base), "--data", str(pictures), "--out", str(root / "lora")]
    method = ["--method", "lora-r4-attention-conv", "--steps", "15", "--batch-size", "4"]
    where = ["--runs", str(root / "runs"), "--device", "cpu", "--learning-rate", "0.01"]
    assert main(["adapt", "image", *flags, *method, *where]) == 0
    return base, root / "lora", root / "runs"


def test_the_loss_falls_and_the_run_is_kept(trained: tuple[Path, Path, Path]) -> None:
    base, lora, runs = trained
    (run,) = read_runs(runs)
    assert (run.command, run.status, run.config["base"]) == ("adapt image", "finished", base.name)
    assert run.summary["held_out_loss_after"] < run.summary["held_out_loss_before"]
    assert (
        run.summary["shipped_bytes"] == (lora / "pytorch_lora_weights.safetensors").stat().st_size
    )
    assert 0 < run.summary["trainable_parameters"] < run.summary["total_parameters"]
    assert "sheet.png" in [Path(one).name for one in run.artifacts]
    assert "lora-r4-attention-conv" in (lora / "README.md").read_text()


def test_diffusers_reads_the_adapter_and_draws_what_the_engine_draws(
    trained: tuple[Path, Path, Path],
) -> None:
    base, lora, _ = trained
    kind = json.loads((base / "model_index.json").read_text())["_class_name"]
    is_xl = kind == "StableDiffusionXLPipeline"
    published_class = StableDiffusionXLPipeline if is_xl else StableDiffusionPipeline
    options = {"add_watermarker": False} if is_xl else {"safety_checker": None}
    published = published_class.from_pretrained(str(base), low_cpu_mem_usage=False, **options)
    published.load_lora_weights(str(lora))
    published.set_progress_bar_config(disable=True)
    expected = published(
        prompt=ASKED.prompt,
        width=SIDE,
        height=SIDE,
        num_inference_steps=ASKED.num_steps,
        guidance_scale=ASKED.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(ASKED.seed),
        output_type="np",
    ).images[0]
    pipeline = open_pipeline(base, CPU_FP32)
    bare = draw(pipeline, ASKED, lambda i, n: None)
    pipeline.denoise.adapters.load("x", lora)
    worn = draw(pipeline, ASKED, lambda i, n: None, "x")
    assert np.abs(worn / 255 - expected).max() < 0.5 / 255 + 1e-3
    assert np.abs(worn.astype(int) - bare.astype(int)).max() > 2


def test_it_is_served_beside_the_bare_model(trained: tuple[Path, Path, Path]) -> None:
    base, lora, _ = trained
    config = DeviceConfig(
        image=str(base),
        device="cpu",
        dtype="fp32",
        image_adapters=(AdapterRef(name="fox", folder=lora),),
    )
    device = open_device(config, lambda phase: None)
    assert [card.name for card in device.cards] == ["tiny-base", "tiny-base:fox"]
    (line,) = [line for line in device.ledger.lines if line.part == "lora"]
    assert (line.model, line.num_bytes) == ("tiny-base:fox", device.cards[1].adapter.num_bytes)
    pipeline = open_pipeline(base, CPU_FP32)
    pipeline.denoise.adapters.load("fox", lora)
    for adapter, found in zip((None, "fox"), served(device, (None, "fox")), strict=True):
        alone = draw(pipeline, ASKED, lambda i, n: None, adapter)
        assert np.abs(found.astype(int) - alone.astype(int)).max() <= 1


def served(device, adapters) -> list[np.ndarray]:
    loop = DeviceLoop(make_scheduler(device.limits, "slack"), device.executor, MonotonicClock())
    inboxes = []
    for idx, adapter in enumerate(adapters):
        inbox = queue.SimpleQueue()
        inboxes.append(inbox)
        request = ImageRequest(
            request_id=str(idx),
            model="tiny-base",
            arrival_s=0.0,
            width=SIDE,
            height=SIDE,
            num_steps=ASKED.num_steps,
            is_guided=True,
            adapter=adapter,
        )
        loop.submit(request, ASKED, inbox.put)
    loop.start()
    try:
        return [first_picture(inbox) for inbox in inboxes]
    finally:
        loop.stop()


def first_picture(inbox: "queue.SimpleQueue") -> np.ndarray:
    while not isinstance(update := inbox.get(timeout=60), ImageUpdate):
        assert not hasattr(update, "message"), update
    return update.pixels_HWC


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "give one of --style STYLE, --data FOLDER and --config FILE"),
        (["--style", "noir"], "style is 'noir'; give fluent-emoji-high-contrast or fluent-emoji"),
        (["--data", "x"], "--data needs --out FOLDER"),
        (["--style", "fluent-emoji", "--steps", "0"], "--steps is 0; give 1 or more"),
        (["--style", "fluent-emoji", "--base", "y"], "another --base goes with --data"),
        (["--style", "fluent-emoji", "--method", "dora"], "method is 'dora'"),
        (["--style", "fluent-emoji", "--pictures", "1"], "--pictures is 1; a spread needs 2"),
        (["--style", "fluent-emoji", "--learning-rate", "2"], "--learning-rate is 2.0"),
    ],
)
def test_bad_flags_are_refused_before_any_work(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adapt", "image", *flags]) == 2
    assert words in capsys.readouterr().err
