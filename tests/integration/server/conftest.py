"""A real HTTP server over a real device loop and scheduler; only the device itself is scripted.

The script is deterministic: token k of a reply is the word "w<k> ", an image is filled with its
seed. Tests hold the device with `executor.hold()` instead of guessing how long things take.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest

from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.executor import (
    FailedOutput,
    FinishReason,
    ImageOutput,
    StepResult,
    TextOutput,
)
from loadsheet.runtime.model_card import ImageModelCard, TextModelCard
from loadsheet.runtime.payload import ImagePayload, TextPayload
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import StepKind, TextBatch
from loadsheet.sched.policies import make_scheduler
from loadsheet.server.app import create_app
from loadsheet.server.config import ServerConfig
from loadsheet.server.run import listen, make_server

PATIENCE_S = 20.0
CONTEXT_TOKENS = 512
LIMITS = DeviceLimits(
    text=(
        TextLimits(
            model="talker",
            num_blocks=256,
            max_context_tokens=CONTEXT_TOKENS,
            max_num_seqs=16,
            max_waiting=16,
        ),
    ),
    images=(
        ImageLimits(
            model="painter",
            sizes=(
                ImageSize(width=64, height=64, state_bytes=100),
                ImageSize(width=96, height=64, state_bytes=150),
            ),
            budget_bytes=1000,
            max_steps=50,
            max_waiting=12,
        ),
    ),
)


class CharacterCodec:
    """One token per character, its code point; a chat is its contents, one line each."""

    def encode(self, text):
        return tuple(ord(character) for character in text)

    def encode_chat(self, messages):
        return self.encode("".join(f"{one.role}:{one.content}\n" for one in messages))

    def decode(self, token_ids):
        return "".join(map(chr, token_ids))


CARDS = (
    TextModelCard(
        name="talker",
        max_context_tokens=CONTEXT_TOKENS,
        vocab_size=0x110000,
        codec=CharacterCodec(),
    ),
    ImageModelCard(
        name="painter",
        sizes=((64, 64), (96, 64)),
        default_num_steps=4,
        max_num_steps=50,
        default_guidance_scale=5.0,
    ),
)


class ScriptedExecutor:
    """Follows `num_words` (end of sequence after that many), `empty_at` and `fail_after`.

    `padding` makes tokens longer, `step_s` makes steps slower.
    """

    def __init__(self) -> None:
        self.requests: dict[str, object] = {}
        self.payloads: dict[str, TextPayload | ImagePayload] = {}
        self.live: set[str] = set()
        self.num_words = 5
        self.padding = ""
        self.step_s = 0.0
        self.empty_at: set[int] = set()
        self.fail_after: int | None = None
        self._emitted: dict[str, int] = {}
        self._gate = threading.Event()
        self._gate.set()

    def hold(self) -> None:
        self._gate.clear()

    def resume(self) -> None:
        self._gate.set()

    def admit(self, request, payload):
        self.requests[request.request_id] = request
        self.payloads[request.request_id] = payload
        self.live.add(request.request_id)
        self._emitted[request.request_id] = 0

    def release(self, request_id):
        self.live.remove(request_id)

    def run(self, plan):
        assert self._gate.wait(PATIENCE_S)
        time.sleep(self.step_s)
        return StepResult(duration_s=1e-3, outputs=tuple(self._outputs(plan)))

    def _outputs(self, plan):
        if isinstance(plan.batch, TextBatch):
            for request_id in plan.batch.decodes:
                yield self._token(request_id)
            for chunk in plan.batch.chunks:
                if chunk.is_last:
                    yield self._token(chunk.request_id)
        elif plan.kind is StepKind.DENOISE and self.fail_after is not None:
            for item in plan.batch.items:
                if item.step_idx >= self.fail_after:
                    yield FailedOutput(request_id=item.request_id, message="NaN in latents")
        elif plan.kind is StepKind.VAE_DECODE:
            for request_id in plan.request_ids():
                yield self._image(request_id)

    def _token(self, request_id):
        index = self._emitted[request_id]
        self._emitted[request_id] += 1
        if self.fail_after is not None and index >= self.fail_after:
            return FailedOutput(request_id=request_id, message="NaN in logits")
        payload = self.payloads[request_id]
        reason = None
        if index + 1 == payload.max_output_tokens:
            reason = FinishReason.LENGTH
        elif index + 1 == self.num_words and not payload.is_eos_ignored:
            reason = FinishReason.STOP
        is_silent = reason is FinishReason.STOP or index in self.empty_at
        text = "" if is_silent else f"w{index} {self.padding}"
        return TextOutput(request_id=request_id, token_id=index, text=text, finish_reason=reason)

    def _image(self, request_id):
        payload = self.payloads[request_id]
        shape = (payload.height, payload.width, 3)
        return ImageOutput(
            request_id=request_id, pixels_HWC=np.full(shape, payload.seed % 256, dtype=np.uint8)
        )


@dataclass
class Running:
    """One server with its parts in reach."""

    url: str
    executor: ScriptedExecutor
    loop: DeviceLoop
    server: object
    http: httpx.Client
    thread: threading.Thread = field(repr=False)

    def until(self, condition) -> None:
        """Wait for a state that an event will bring; fails after a long patience."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up_s, "the state did not come"
            time.sleep(0.005)

    def status(self) -> dict:
        return self.http.get("/v1/loadsheet/status").json()

    def metric(self, line_start: str) -> float:
        """The sum over the series whose lines start so; 0 when there is none."""
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(line_start))


@contextmanager
def running(config: ServerConfig, *, drain_timeout_s: float = 10.0) -> Iterator[Running]:
    executor = ScriptedExecutor()
    loop = DeviceLoop(make_scheduler(LIMITS), executor, MonotonicClock())
    loop.start()
    app = create_app(loop, CARDS, config)
    server = make_server(app, drain_timeout_s=drain_timeout_s)
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    key = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}
    with httpx.Client(base_url=url, timeout=PATIENCE_S, headers=key) as http:
        try:
            yield Running(url, executor, loop, server, http, thread)
        finally:
            executor.resume()
            server.should_exit = True
            thread.join(PATIENCE_S)
            loop.stop()
            listener.close()
    assert not thread.is_alive()
    assert not executor.live


@pytest.fixture
def start():
    """`start(config)` as a context manager, for tests that choose their own configuration."""
    return running


@pytest.fixture
def app() -> Iterator[Running]:
    with running(ServerConfig()) as server:
        yield server
