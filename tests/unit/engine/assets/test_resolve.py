import json
from pathlib import Path

import pytest

from loadsheet.engine.assets import resolve
from loadsheet.engine.assets.model_folder import ModelKind
from loadsheet.engine.assets.resolve import ModelSource, resolve_model
from loadsheet.errors import AssetError, SpecError


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    folder = tmp_path / "org" / "tiny-llama"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_a_folder_gives_kind_and_name(decoder: Path) -> None:
    found = resolve_model(str(decoder))
    assert (found.kind, found.name, found.path, found.source) == (
        ModelKind.TEXT,
        "tiny-llama",
        decoder,
        ModelSource.FOLDER,
    )


def test_a_pipeline_folder_is_an_image_model(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    assert resolve_model(str(tmp_path)).kind is ModelKind.IMAGE


@pytest.mark.parametrize("ref", [".", "../tiny-llama", "./"])
def test_relative_folders_get_their_real_name(
    decoder: Path, monkeypatch: pytest.MonkeyPatch, ref: str
) -> None:
    monkeypatch.chdir(decoder)
    assert resolve_model(ref).name == "tiny-llama"


def test_a_folder_shadows_a_hub_id(decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(decoder.parent.parent)
    assert resolve_model("org/tiny-llama").source is ModelSource.FOLDER


def test_home_is_expanded(decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(decoder.parent))
    assert resolve_model("~/tiny-llama").path == decoder


def test_a_hub_id_is_fetched(decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetch(repo_id: str) -> Path:
        asked.append(repo_id)
        return decoder

    monkeypatch.setattr(resolve, "fetch_hub_model", fetch)
    found = resolve_model("some-org/Llama-3.1-8B")
    assert asked == ["some-org/Llama-3.1-8B"]
    assert (found.name, found.source) == ("some-org/Llama-3.1-8B", ModelSource.HUB)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean smollm2-135m-instruct"):
        resolve_model("smollm2-135m")


def test_parts_are_not_suggested_nor_served() -> None:
    with pytest.raises(SpecError, match="part of other models"):
        resolve_model("minilm-l6-v2")
    with pytest.raises(SpecError) as caught:
        resolve_model("minilm-l6")
    assert "minilm-l6-v2" not in str(caught.value)


@pytest.mark.parametrize("ref", ["/models/nowhere", "./nowhere", "../a/b/c", "~/nowhere", "a/b/c"])
def test_a_path_to_nothing_is_not_a_name(
    ref: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssetError, match="there is no folder"):
        resolve_model(ref)


@pytest.mark.parametrize("ref", ["", " ", "what is this?"])
def test_nonsense_is_refused(ref: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((SpecError, AssetError)):
        resolve_model(ref)
