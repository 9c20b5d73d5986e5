"""A decoder trained a moment ago is served like any other model."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from openai import OpenAI

from loadsheet.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "scenario-1-decoder"
START_S = 120.0


@pytest.fixture
def model(tmp_path):
    flags = {
        "--out": tmp_path / "model",
        "--config": EXAMPLE / "configs" / "quick.toml",
        "--corpus": EXAMPLE / "glosses.txt",
        "--runs": tmp_path / "runs",
        "--steps": 20,
    }
    words = [str(word) for pair in flags.items() for word in pair]
    assert main(["train", "text", *words]) == 0
    return tmp_path / "model"


@pytest.fixture
def address(model):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("loadsheet"), "serve", "--text", str(model)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--kv-bytes", str(2**22)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(r"\bReady\.", line):
            break
    else:
        pytest.fail("".join(lines))
    yield f"http://127.0.0.1:{port}/v1"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def test_it_serves_completions_and_chats(address):
    client = OpenAI(base_url=address, api_key="none", timeout=START_S, max_retries=0)
    [card] = client.models.list().data
    completion = client.completions.create(
        model=card.id, prompt="the act of", max_tokens=8, temperature=0
    )
    chat = client.chat.completions.create(
        model=card.id,
        messages=[{"role": "user", "content": "the act of"}],
        max_tokens=8,
        temperature=0,
    )
    assert completion.usage.completion_tokens == 8
    assert completion.choices[0].text
    # a base model: a chat is its last message, continued
    assert chat.choices[0].message.content == completion.choices[0].text
