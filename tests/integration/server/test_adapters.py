"""Adapters over HTTP, on a real engine with a tiny model: listed, chosen, loaded, refused.

The model's U-Net is random and so are the adapters; pictures are compared with the plain loop's.
"""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file
from starlette.testclient import TestClient

from loadsheet.cost.ledger import Ledger, LedgerLine, Owner
from loadsheet.engine.adapter_host import TorchAdapterHost
from loadsheet.engine.image.conditioning import Conditioning, Prompts
from loadsheet.engine.image.denoiser import UNetDenoiser
from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.image.latent_decoder import LatentDecoder
from loadsheet.engine.image.lora_file import LORA_FILE
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.scheduler_config import read_sampling
from loadsheet.engine.torch_device import Placement
from loadsheet.engine.torch_executor import TorchExecutor
from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.model_card import ImageModelCard
from loadsheet.runtime.payload import ImagePayload
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize
from loadsheet.sched.policies import make_scheduler
from loadsheet.server.app import create_app
from loadsheet.server.config import ServerConfig
from loadsheet.workload.request import ImageRequest

SIDE = 16
BASE_BYTES = 10_000
CARD = ImageModelCard(
    name="painter",
    sizes=((SIDE, SIDE),),
    default_num_steps=3,
    max_num_steps=50,
    default_guidance_scale=3.0,
)
ASKED = ImagePayload(
    prompt="a red fox", width=SIDE, height=SIDE, num_steps=3, guidance_scale=3.0, seed=9
)


def encode(prompts: Prompts) -> Conditioning:
    """A stand-in text encoder: noise seeded by the text."""
    rows = [
        torch.randn(4, 8, generator=torch.Generator().manual_seed(sum(map(ord, text))))
        for text in prompts.texts
    ]
    return Conditioning(tensors={"encoder_hidden_states": torch.stack(rows)})


def make_pipeline() -> ImagePipeline:
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
        sampling=read_sampling({"_class_name": "FlowMatchEulerDiscreteScheduler"}),
        sizes=((SIDE, SIDE),),
        default_num_steps=3,
        default_guidance_scale=3.0,
        weight_bytes={},
    )


def write_lora(folder: Path, seed: int) -> Path:
    """A random adapter of rank 1 for every first convolution of a residual block."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, module in make_pipeline().denoise.unet.named_modules():
        if name.endswith("conv1"):
            out_channels, in_channels, *kernel = module.weight.shape
            for half, shape in (
                ("A", (1, in_channels, *kernel)),
                ("B", (out_channels, 1, 1, 1)),
            ):
                value = 0.3 * torch.randn(shape, generator=generator)
                tensors[f"unet.{name}.lora_{half}.weight"] = value
    folder.mkdir(parents=True)
    save_file(tensors, folder / LORA_FILE)
    return folder


@dataclass
class Site:
    """A served model, its adapters' folder, and its engine in reach."""

    client: TestClient
    host: TorchAdapterHost
    engine: ImageEngine
    root: Path

    def load(self, name: str, path: str):
        body = {"lora_name": name, "lora_path": path}
        return self.client.post("/v1/load_lora_adapter", json=body)

    def unload(self, name: str):
        return self.client.post("/v1/unload_lora_adapter", json={"lora_name": name})

    def names(self) -> list[str]:
        return [one["id"] for one in self.client.get("/v1/models").json()["data"]]

    def draw(self, model: str | None = None):
        body = {"prompt": ASKED.prompt, "seed": ASKED.seed, "model": model}
        return self.client.post("/v1/images/generations", json=body)

    def picture(self, model: str | None = None) -> np.ndarray:
        reply = self.draw(model)
        assert reply.status_code == 200, reply.text
        png = base64.b64decode(reply.json()["data"][0]["b64_json"])
        return np.asarray(Image.open(io.BytesIO(png)))


def open_site(root: Path, *, is_enabled: bool = True, memory_bytes: int | None = None):
    engine = ImageEngine(make_pipeline())
    size = ImageSize(width=SIDE, height=SIDE, state_bytes=1000)
    limits = DeviceLimits(images=(ImageLimits(model="painter", sizes=(size,), budget_bytes=10**6),))
    executor = TorchExecutor({}, {"painter": engine})
    loop = DeviceLoop(make_scheduler(limits), executor, MonotonicClock())
    line = LedgerLine(owner=Owner.WEIGHTS, model="painter", part="unet", num_bytes=BASE_BYTES)
    host = TorchAdapterHost({"painter": engine}, (CARD,), Ledger(lines=(line,)), memory_bytes)
    config = ServerConfig(adapter_folder=root if is_enabled else None)
    return engine, loop, host, create_app(loop, (CARD,), config, host)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What the operator allows, with two adapters; a third one lies outside."""
    write_lora(tmp_path / "allowed" / "glossy", seed=1)
    write_lora(tmp_path / "allowed" / "flat", seed=2)
    write_lora(tmp_path / "outside", seed=3)
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "outside")
    return tmp_path / "allowed"


@pytest.fixture
def site(root: Path) -> Iterator[Site]:
    engine, loop, host, app = open_site(root)
    loop.start()
    with TestClient(app) as client:
        yield Site(client, host, engine, root)
    loop.stop()


def alone(folder: Path | None) -> np.ndarray:
    pipeline = make_pipeline()
    if folder is not None:
        pipeline.denoise.adapters.load("x", folder)
    return draw(pipeline, ASKED, lambda i, n: None, None if folder is None else "x")


def gap(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_loaded_listed_chosen_and_unloaded(site: Site) -> None:
    reply = site.load("painter:glossy", "glossy")
    assert reply.status_code == 200
    listed = site.client.get("/v1/models/painter:glossy").json()
    assert reply.json() == listed
    assert (listed["parent"], listed["kind"]) == ("painter", "image")
    assert site.load("flat", "flat").status_code == 200  # the only model need not be named
    assert site.names() == ["painter", "painter:glossy", "painter:flat"]
    sizes = {line.model: line.num_bytes for line in site.host.ledger.lines}
    assert sizes["painter:glossy"] == listed["adapter_bytes"] > 0
    for model, folder in ((None, None), ("painter:glossy", "glossy"), ("painter:flat", "flat")):
        expected = alone(None if folder is None else site.root / folder)
        assert gap(site.picture(model), expected) <= 1
    assert gap(site.picture("painter:glossy"), site.picture("painter:flat")) > 2
    reply = site.unload("painter:glossy")
    assert reply.json() == {"object": "model", "id": "painter:glossy", "deleted": True}
    assert site.names() == ["painter", "painter:flat"]
    refused = site.draw("painter:glossy")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert [line.model for line in site.host.ledger.lines] == ["painter", "painter:flat"]


def test_an_adapter_in_use_stays(site: Site) -> None:
    site.load("glossy", "glossy")
    request = ImageRequest(
        request_id="held",
        model="painter",
        arrival_s=0.0,
        width=SIDE,
        height=SIDE,
        num_steps=3,
        is_guided=True,
        adapter="glossy",
    )
    site.engine.admit(request, ASKED)  # as if the loop had accepted it and not yet run it
    refused = site.unload("glossy")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "adapter_in_use")
    assert "1 accepted images wear adapter 'glossy'" in refused.json()["error"]["message"]
    assert gap(site.picture("painter:glossy"), alone(site.root / "glossy")) <= 1  # still served
    site.engine.release("held")
    assert site.unload("glossy").status_code == 200


@pytest.mark.parametrize(
    ("name", "path", "status", "code", "words"),
    [
        ("x", "../outside", 400, "invalid_value", "leaves the folder"),
        ("x", "/etc", 400, "invalid_value", "leaves the folder"),
        ("x", "link", 400, "invalid_value", "leaves the folder"),
        ("x", "gone", 400, "invalid_value", "gone is missing"),
        ("", "glossy", 400, "invalid_value", "lora_name"),
        ("nobody:x", "glossy", 404, "model_not_found", "nobody"),
        ("painter: x", "glossy", 400, "invalid_value", "an adapter is named"),
        ("taken", "flat", 400, "invalid_value", "loaded already"),
    ],
)
def test_bad_loads_are_refused(site: Site, name, path, status, code, words) -> None:
    assert site.load("taken", "glossy").status_code == 200
    reply = site.load(name, path)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (status, code)
    assert words in error["message"]
    assert site.names() == ["painter", "painter:taken"]


def test_bad_unloads_are_refused(site: Site) -> None:
    assert site.unload("nothing").status_code == 404
    assert site.unload("painter:nothing").status_code == 404
    reply = site.client.post("/v1/unload_lora_adapter", json={})
    assert reply.json()["error"]["code"] == "missing_required_parameter"


def test_without_the_operators_word_nothing_is_loaded(root: Path) -> None:
    _, loop, host, app = open_site(root, is_enabled=False)
    loop.start()
    with TestClient(app) as client:
        for path, body in (
            ("load", {"lora_name": "x", "lora_path": "glossy"}),
            ("unload", {"lora_name": "x"}),
        ):
            reply = client.post(f"/v1/{path}_lora_adapter", json=body)
            assert (reply.status_code, reply.json()["error"]["code"]) == (403, "adapters_disabled")
    loop.stop()
    assert len(host.ledger.lines) == 1


def test_the_memory_budget_counts_adapters(root: Path) -> None:
    _, loop, host, app = open_site(root, memory_bytes=BASE_BYTES + 100)
    loop.start()
    with TestClient(app) as client:
        body = {"lora_name": "x", "lora_path": "glossy"}
        reply = client.post("/v1/load_lora_adapter", json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "too_large")
        assert len(client.get("/v1/models").json()["data"]) == 1
    loop.stop()
    assert len(host.ledger.lines) == 1
