"""Adapters as diffusers writes them: read, refused, worn, and equal to what peft computes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from loadsheet.engine.image.lora import Adapters
from loadsheet.engine.image.lora_file import LORA_FILE, read_lora
from loadsheet.errors import AssetError, ConfigError, SpecError

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
EVERYTHING = [*ATTENTION, "conv1", "conv2", "time_emb_proj"]


def make_unet(*, width: int = 8) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(width, 2 * width),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
    ).eval()


def write_adapter(folder: Path, *, rank: int, alpha: int, targets: list[str]) -> torch.nn.Module:
    """A random adapter, saved by diffusers; returns the U-Net that peft has put it on."""
    unet = make_unet()
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets))
    torch.manual_seed(rank)
    for name, parameter in unet.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    StableDiffusionLoraLoaderMixin.save_lora_weights(
        folder,
        unet_lora_layers=get_peft_model_state_dict(unet),
        unet_lora_adapter_metadata=unet.peft_config["default"].to_dict(),
    )
    return unet


def run(unet: torch.nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    states = torch.randn(2, 5, 8, generator=generator)
    with torch.inference_mode():
        return unet(x, torch.tensor([10.0, 700.0]), states, return_dict=False)[0]


@pytest.mark.parametrize(
    ("rank", "alpha", "targets"), [(4, 4, ATTENTION), (2, 16, EVERYTHING), (3, 1, ["conv1"])]
)
def test_worn_equals_peft(tmp_path: Path, rank: int, alpha: int, targets: list[str]) -> None:
    expected = run(write_adapter(tmp_path, rank=rank, alpha=alpha, targets=targets))
    unet = make_unet()
    bare = run(unet)
    adapters = Adapters(unet)
    num_bytes = adapters.load("style", tmp_path)
    with adapters.wearing("style"):
        worn = run(unet)
    assert (worn - expected).abs().max() < 1e-5
    assert (worn - bare).abs().max() > 1e-2  # the adapter does something
    assert num_bytes == sum(4 * t.numel() for t in load_file(tmp_path / LORA_FILE).values())
    assert adapters.num_bytes == {"style": num_bytes}


def test_the_base_is_untouched_bit_for_bit(tmp_path: Path) -> None:
    write_adapter(tmp_path, rank=4, alpha=4, targets=EVERYTHING)
    unet = make_unet()
    bare, weights = run(unet), {k: v.clone() for k, v in unet.state_dict().items()}
    adapters = Adapters(unet)
    adapters.load("style", tmp_path)
    with adapters.wearing("style"):
        run(unet)
    with adapters.wearing(None):
        assert torch.equal(run(unet), bare)
    assert all(torch.equal(v, weights[k]) for k, v in unet.state_dict().items())
    adapters.unload("style")
    assert torch.equal(run(unet), bare)
    assert adapters.num_bytes == {}


def test_two_adapters_take_turns(tmp_path: Path) -> None:
    expected = {
        name: run(write_adapter(tmp_path / name, rank=rank, alpha=4, targets=targets))
        for name, rank, targets in (("one", 2, ATTENTION), ("two", 4, EVERYTHING))
    }
    unet = make_unet()
    adapters = Adapters(unet)
    for name in expected:
        adapters.load(name, tmp_path / name)
    for name in ("one", "two", "one"):
        with adapters.wearing(name):
            assert (run(unet) - expected[name]).abs().max() < 1e-5


def test_the_old_names_and_alpha_tensors_mean_the_same(tmp_path: Path) -> None:
    write_adapter(tmp_path, rank=4, alpha=8, targets=ATTENTION)
    renamed = {}
    for key, tensor in load_file(tmp_path / LORA_FILE).items():
        old = key.replace("lora_A", "lora.down").replace("lora_B", "lora.up")
        renamed[old] = tensor
        renamed[key.split(".lora_")[0] + ".alpha"] = torch.tensor(8.0)
    save_file(renamed, tmp_path / "old.safetensors")
    old, new = read_lora(tmp_path / "old.safetensors"), read_lora(tmp_path)
    assert old.layers.keys() == new.layers.keys()
    assert {layer.scale for layer in old.layers.values()} == {2.0}
    assert {layer.scale for layer in new.layers.values()} == {2.0}
    assert all(torch.equal(old.layers[k].b, new.layers[k].b) for k in new.layers)


@pytest.fixture
def edit(tmp_path: Path) -> Callable[..., Path]:
    """A good adapter folder with some tensors changed, metadata kept or replaced."""
    write_adapter(tmp_path, rank=4, alpha=4, targets=ATTENTION)

    def edit(change: Callable[[dict], None], metadata: dict | None = None) -> Path:
        tensors = load_file(tmp_path / LORA_FILE)
        change(tensors)
        save_file(tensors, tmp_path / LORA_FILE, metadata=metadata)
        return tmp_path

    return edit


def first(tensors: dict, part: str) -> str:
    return min(key for key in tensors if part in key)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.clear(), "holds no LoRA weights"),
        (lambda t: t.pop(first(t, "lora_A")), "incomplete"),
        (lambda t: t.update({first(t, "lora_B"): torch.zeros(8, 3)}), "of two ranks"),
        (lambda t: t[first(t, "lora_A")].fill_(float("nan")), "infinite numbers"),
        (lambda t: t.update({"text_encoder.x.lora_A.weight": torch.zeros(1)}), "text_encoder"),
    ],
)
def test_what_is_no_adapter_of_a_unet_is_refused(edit, change, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        read_lora(edit(change))


def test_variants_and_broken_files_are_refused(edit, tmp_path: Path) -> None:
    config = {"lora_adapter_metadata": json.dumps({"unet.use_dora": True})}
    with pytest.raises(SpecError, match="DoRA"):
        read_lora(edit(lambda t: None, config))
    with pytest.raises(AssetError, match="unreadable lora_adapter_metadata"):
        read_lora(edit(lambda t: None, {"lora_adapter_metadata": "{"}))
    (tmp_path / LORA_FILE).write_bytes(b"no safetensors")
    with pytest.raises(AssetError, match="cannot be read"):
        read_lora(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"pickle")
    with pytest.raises(AssetError, match="pickled weights"):
        read_lora(tmp_path / "x.bin")
    (tmp_path / LORA_FILE).unlink()
    with pytest.raises(AssetError, match="is missing"):
        read_lora(tmp_path)


def test_an_adapter_of_another_network_is_refused(tmp_path: Path) -> None:
    write_adapter(tmp_path, rank=4, alpha=4, targets=ATTENTION)
    adapters = Adapters(make_unet(width=16))
    with pytest.raises(SpecError, match="made for another network"):
        adapters.load("style", tmp_path)
    assert adapters.num_bytes == {}


def test_names_are_checked(tmp_path: Path) -> None:
    write_adapter(tmp_path, rank=4, alpha=4, targets=ATTENTION)
    adapters = Adapters(make_unet())
    adapters.load("style", tmp_path)
    with pytest.raises(ConfigError, match="loaded already"):
        adapters.load("style", tmp_path)
    with (
        pytest.raises(ConfigError, match="'stile' is not loaded; loaded: style"),
        adapters.wearing("stile"),
    ):
        pass
    with pytest.raises(ConfigError, match="not loaded"):
        adapters.unload("stile")
