"""A hub id against a hub on this machine: which files are asked for, and what happens without."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

DECODER = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickle",
    "consolidated.safetensors": b"the same weights again",
    "README.md": b"card",
}
PIPELINE = {
    "model_index.json": json.dumps(
        {
            "_class_name": "StableDiffusionPipeline",
            "unet": ["diffusers", "UNet2DConditionModel"],
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        }
    ).encode(),
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": b"unet",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"unet in fp16",
    "safety_checker/model.safetensors": b"checker",
    "v1-5-pruned.safetensors": b"all in one",
}
REPOS = {"org/decoder": DECODER, "org/pipeline": PIPELINE}
COMMIT = "0" * 40


class _Hub(BaseHTTPRequestHandler):
    """The three answers of a model hub that a snapshot needs: info, tree, file."""

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, has_body: bool) -> None:
        path = urlsplit(self.path).path.strip("/")
        for repo_id, files in REPOS.items():
            if path.startswith(f"api/models/{repo_id}/tree/"):
                return self._json([_tree_item(name, data) for name, data in files.items()])
            if path.startswith(f"api/models/{repo_id}"):
                siblings = [{"rfilename": name} for name in files]
                return self._json({"id": repo_id, "sha": COMMIT, "siblings": siblings})
            prefix = f"{repo_id}/resolve/"
            if path.startswith(prefix):
                name = path.removeprefix(prefix).split("/", 1)[1]
                return self._file(files[name], has_body)
        self.send_error(404)
        return None

    def _json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"}, True)

    def _file(self, data: bytes, has_body: bool) -> None:
        etag = f'"{hashlib.sha1(data).hexdigest()}"'
        self._send(data, {"ETag": etag, "X-Repo-Commit": COMMIT}, has_body)

    def _send(self, data: bytes, headers: dict[str, str], has_body: bool) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if has_body:
            self.wfile.write(data)


def _tree_item(name: str, data: bytes) -> dict[str, object]:
    oid = hashlib.sha1(data).hexdigest()
    return {"type": "file", "path": name, "size": len(data), "oid": oid}


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


_RESOLVE = """
import sys
from loadsheet.engine.assets import resolve_model
from loadsheet.errors import AssetError
try:
    found = resolve_model(sys.argv[1])
except AssetError as error:
    sys.exit(f"AssetError: {error}")
print(found.kind.value, found.source.value, found.name, found.path)
"""


def _resolve(ref: str, home: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    # the hub's client reads its settings once, when it is imported
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"} | variables
    return subprocess.run(
        [sys.executable, "-c", _RESOLVE, ref],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )


def _files(answer: str) -> set[str]:
    folder = Path(answer.split()[-1])
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_decoder_is_fetched_without_its_copies(hub: str, tmp_path: Path) -> None:
    result = _resolve("org/decoder", tmp_path, HF_ENDPOINT=hub)
    assert result.stdout.startswith("text hub org/decoder "), result.stderr
    assert _files(result.stdout) == {"config.json", "tokenizer.json", "model.safetensors"}


def test_a_pipeline_is_fetched_without_what_is_not_used(hub: str, tmp_path: Path) -> None:
    result = _resolve("org/pipeline", tmp_path, HF_ENDPOINT=hub)
    assert result.stdout.startswith("image hub org/pipeline "), result.stderr
    assert _files(result.stdout) == {
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    }


def test_what_was_fetched_works_offline(hub: str, tmp_path: Path) -> None:
    online = _resolve("org/decoder", tmp_path, HF_ENDPOINT=hub)
    offline = _resolve("org/decoder", tmp_path, HF_ENDPOINT=hub, HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    assert offline.stdout == online.stdout


def test_offline_says_what_to_do(tmp_path: Path) -> None:
    result = _resolve("org/decoder", tmp_path, HF_HUB_OFFLINE="1")
    assert "AssetError: cannot fetch org/decoder" in result.stderr
    assert "hf download org/decoder --local-dir DIR" in result.stderr


def test_an_unknown_repository_is_an_asset_error(hub: str, tmp_path: Path) -> None:
    result = _resolve("org/nothing", tmp_path, HF_ENDPOINT=hub)
    assert "AssetError: cannot fetch org/nothing" in result.stderr
