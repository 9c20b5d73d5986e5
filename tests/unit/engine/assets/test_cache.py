import subprocess
import sys
import threading
from pathlib import Path

import pytest

from loadsheet.engine.assets.cache import Cache, open_cache
from loadsheet.engine.assets.stamp import is_stamped
from loadsheet.errors import AssetError


def test_argument_beats_variable_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADSHEET_CACHE", str(tmp_path / "variable"))
    assert open_cache(tmp_path / "argument").root == tmp_path / "argument"
    assert open_cache().root == tmp_path / "variable"
    monkeypatch.setenv("LOADSHEET_CACHE", "")
    assert open_cache().root.name == "loadsheet"


def test_scratch_is_swept_before_and_after(tmp_path: Path) -> None:
    cache = Cache(root=tmp_path)
    leftover = tmp_path / "scratch" / "m" / "half"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("from a killed run")
    with pytest.raises(RuntimeError, match="fails"), cache.scratch("m") as folder:
        assert list(folder.iterdir()) == []
        (folder / "half").write_text("again")
        raise RuntimeError("the work fails")
    assert not leftover.parent.exists()


def test_publish_replaces_an_older_folder(tmp_path: Path) -> None:
    cache = Cache(root=tmp_path)
    for content in ("old", "new"):
        with cache.scratch("m") as scratch:
            (scratch / "finished").mkdir()
            (scratch / "finished" / content).write_text(content)
            folder = cache.publish(scratch / "finished", "m", f"recipe {content}")
    assert folder == cache.model_folder("m")
    assert is_stamped(folder, "recipe new")
    assert not (folder / "old").exists()


def test_a_full_disk_is_refused_with_numbers(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"big needs 1024\.0 TiB .*LOADSHEET_CACHE"):
        Cache(root=tmp_path / "new").check_free_bytes(1 << 50, "big")


_HOLD = """
import sys
from pathlib import Path
from loadsheet.engine.assets.cache import Cache
with Cache(root=Path(sys.argv[1])).lock("m", lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(root: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    with _holder(tmp_path) as holder:
        is_waiting = threading.Event()
        has_lock = threading.Event()

        def take() -> None:
            with Cache(root=tmp_path).lock("m", is_waiting.set):
                has_lock.set()

        thread = threading.Thread(target=take)
        thread.start()
        assert is_waiting.wait(30)
        assert not has_lock.is_set()
        assert holder.stdin is not None
        holder.stdin.close()
        assert has_lock.wait(30)
        thread.join()


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    with _holder(tmp_path) as holder:
        holder.kill()
    waits: list[bool] = []
    with Cache(root=tmp_path).lock("m", lambda: waits.append(True)):
        assert waits == []


def test_locks_of_two_models_are_apart(tmp_path: Path) -> None:
    waits: list[bool] = []
    cache = Cache(root=tmp_path)
    with cache.lock("a", lambda: None), cache.lock("b", lambda: waits.append(True)):
        assert waits == []
