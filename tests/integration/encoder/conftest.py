"""A real server over a real device with a tiny encoder: HTTP, scheduler and engine, no scripts."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import torch

from loadsheet.engine.assets.checksum import sha256_of
from loadsheet.engine.device import open_device
from loadsheet.engine.encoder.classifier_folder import (
    ClassifierFacts,
    Head,
    write_facts,
    write_head,
)
from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.event_log import EventLogReader, EventLogWriter
from loadsheet.runtime.replay import replay
from loadsheet.runtime.warm_up import warm_up
from loadsheet.sched.plan import StepPlan
from loadsheet.sched.policies import make_scheduler
from loadsheet.server.app import create_app
from loadsheet.server.config import ServerConfig
from loadsheet.server.run import listen, make_server

PATIENCE_S = 20.0


@dataclass
class Served:
    url: str
    http: httpx.Client

    def metric(self, line_start: str) -> float:
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(line_start))


@pytest.fixture(scope="module")
def folders(make_encoder, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    tiny = make_encoder(root / "tiny")
    mood = root / "mood"
    mood.mkdir()
    write_facts(
        mood,
        ClassifierFacts(
            method="probe",
            labels=("negative", "positive"),
            max_tokens=12,
            base=str(tiny),
            base_sha256=sha256_of(tiny / "model.safetensors"),
            base_hub="tiny",
        ),
    )
    generator = torch.Generator().manual_seed(1)
    weight_LD = torch.randn(2, 24, generator=generator)
    write_head(mood, Head(weight_LD=weight_LD, bias_L=torch.zeros(2)))
    return tiny, mood


@pytest.fixture(scope="module")
def served(folders, tmp_path_factory) -> Iterator[Served]:
    tiny, mood = folders
    config = DeviceConfig(embed=str(tiny), classify=(mood,), device="cpu", dtype="fp32")
    device = open_device(config, lambda phase: None)
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    log = EventLogWriter(path, device.limits, config.policy)
    loop = DeviceLoop(
        make_scheduler(device.limits, config.policy),
        device.executor,
        MonotonicClock(),
        event_log=log,
    )
    loop.start()
    warm_up(loop, device.cards)
    app = create_app(loop, device.cards, ServerConfig(max_inputs=20))
    server = make_server(app, drain_timeout_s=5.0)
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as http:
        yield Served(url, http)
        server.should_exit = True
        thread.join(PATIENCE_S)
        loop.stop()
        log.close()
        listener.close()
    assert not thread.is_alive()
    assert any(isinstance(entry.what, StepPlan) for entry in EventLogReader(path))
    assert replay(path) == []  # what all these tests asked for is decided again the same
