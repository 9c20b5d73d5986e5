"""A real server with both default models, started as its user starts it."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

START_TIMEOUT_S = 600.0  # the first start fetches and converts both models
STOP_TIMEOUT_S = 60.0


@dataclass
class Flight:
    """A running `loadsheet up`: its address and what it printed."""

    url: str
    process: subprocess.Popen
    lines: list[str] = field(default_factory=list)
    is_ready: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)
            if re.search(r"\bReady\.", line):
                self.is_ready.set()
        self.is_ready.set()  # it ended; whoever waits should look

    @property
    def output(self) -> str:
        return "".join(self.lines)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def flight(tmp_path_factory) -> Iterator[Flight]:
    port = free_port()
    command = Path(sys.executable).with_name("loadsheet")
    log = tmp_path_factory.mktemp("flight") / "events.jsonl"
    process = subprocess.Popen(
        [command, "up", "--port", str(port), "--event-log", log],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    flight = Flight(f"http://127.0.0.1:{port}", process)
    reader = threading.Thread(target=flight.read, daemon=True)
    reader.start()
    try:
        assert flight.is_ready.wait(START_TIMEOUT_S), flight.output
        assert process.poll() is None, flight.output
        yield flight
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            reader.join(STOP_TIMEOUT_S)
            process.stdout.close()
    assert process.returncode == 0, flight.output


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """A browser of this machine, installed if there is none."""
    script = Path(__file__).parents[2] / "scripts" / "ensure_chromium.py"
    found = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, check=True)
    return found.stdout.strip()
