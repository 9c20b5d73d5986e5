"""Archives are verified before they are read; npm is asked only for what is missing."""

import hashlib
import io
import json
import subprocess
import tarfile

import pytest

from loadsheet.adapt import art
from loadsheet.errors import AssetError


def write_archive(path, member, data):
    body = json.dumps(data).encode()
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(f"package/{member}")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package(sha256="0" * 64):
    return art.ArtPackage(name="@set/icons", version="1.0.0", sha256=sha256, spdx="MIT")


def test_archive_name_is_that_of_npm_pack():
    assert art.NOTO.file_name == "iconify-json-noto-1.2.9.tgz"
    assert art.EMOJI_NAMES.file_name == "unicode-emoji-json-0.9.0.tgz"


def test_a_present_archive_is_verified_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)  # nothing may be started
    sha256 = write_archive(tmp_path / package().file_name, "icons.json", {"icons": {}})
    archive = art.fetch(package(sha256), tmp_path)
    assert art.read_json(archive, "icons.json") == {"icons": {}}


def test_a_changed_archive_is_refused(tmp_path):
    write_archive(tmp_path / package().file_name, "icons.json", {})
    with pytest.raises(AssetError, match="sha256"):
        art.fetch(package(), tmp_path)


def test_a_missing_npm_is_explained(tmp_path, monkeypatch):
    def run(*args, **kwargs):
        raise FileNotFoundError("npm")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(AssetError, match="npm is needed"):
        art.fetch(package(), tmp_path / "new")


def test_a_failing_npm_is_reported(tmp_path, monkeypatch):
    def run(command, **kwargs):
        assert command[:3] == ["npm", "pack", "@set/icons@1.0.0"]
        raise subprocess.CalledProcessError(1, command, stderr="404 not found")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(AssetError, match="404 not found"):
        art.fetch(package(), tmp_path)
