import json
from pathlib import Path

import pytest

from loadsheet.engine.assets.image_folder import build_image_folder, packaged_hash
from loadsheet.errors import AssetError


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    folder = tmp_path / "packaged" / "emoji"
    for part in ("unet", "vae", "scheduler"):
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps({"part": part}))
    (folder / "unet" / "weights.safetensors").write_bytes(b"unet")
    (folder / "model_index.json").write_text("{}")
    (folder / "NOTICE").write_text("whose art this learnt from")
    return folder


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    folder = tmp_path / "encoder"
    folder.mkdir()
    for name in (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
    ):
        (folder / name).write_text(name)
    return folder


def test_the_parts_come_together(packaged: Path, encoder: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    build_image_folder(packaged, encoder, target)
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert found == {
        "NOTICE",
        "model_index.json",
        "unet/config.json",
        "unet/weights.safetensors",
        "vae/config.json",
        "scheduler/config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/special_tokens_map.json",
        "tokenizer/vocab.txt",
    }


def test_the_encoder_takes_its_bytes_once(packaged: Path, encoder: Path, tmp_path: Path) -> None:
    build_image_folder(packaged, encoder, tmp_path / "target")
    link = tmp_path / "target" / "text_encoder" / "model.safetensors"
    assert link.samefile(encoder / "model.safetensors")


def test_without_hard_links_it_is_copied(
    packaged: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    build_image_folder(packaged, encoder, tmp_path / "target")
    copy = tmp_path / "target" / "text_encoder" / "model.safetensors"
    assert copy.read_text() == "model.safetensors"


def test_the_hash_follows_contents_and_names(packaged: Path) -> None:
    before = packaged_hash(packaged)
    assert packaged_hash(packaged) == before
    (packaged / "unet" / "weights.safetensors").write_bytes(b"UNET")
    retrained = packaged_hash(packaged)
    (packaged / "unet" / "weights.safetensors").rename(packaged / "unet" / "other.safetensors")
    assert len({before, retrained, packaged_hash(packaged)}) == 3


def test_missing_parts_are_named(packaged: Path) -> None:
    (packaged / "model_index.json").unlink()
    with pytest.raises(AssetError, match=r"lacks model_index\.json of"):
        packaged_hash(packaged)
