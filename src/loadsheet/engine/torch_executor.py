"""The executor: one engine per model on one device, behind the Executor contract.

Two lanes run steps truly at once, since what computes gives the interpreter free. Before a step
the lane's thread is bound to the cores of its share, and torch gets as many threads.
"""

import threading
import time
from collections.abc import Mapping
from typing import TypeVar

import torch

from loadsheet.engine.cpu_cores import CpuCores, bind_thread
from loadsheet.engine.encoder.encoder_engine import EncoderEngine
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.errors import ExecutorError
from loadsheet.runtime.executor import StepResult
from loadsheet.runtime.payload import EncodePayload, ImagePayload, Payload, TextPayload
from loadsheet.sched.plan import EncoderBatch, StepPlan, TextBatch
from loadsheet.workload.request import EncodeRequest, ImageRequest, Request, TextRequest

Engine = TypeVar("Engine", TextEngine, ImageEngine, EncoderEngine)
AnyEngine = TextEngine | ImageEngine | EncoderEngine


class TorchExecutor:
    """Sends each request and plan to the engine of its model and times the steps.

    `cores` are those of the lanes; None leaves the threads as they are.
    """

    def __init__(
        self,
        text: Mapping[str, TextEngine],
        images: Mapping[str, ImageEngine],
        encoders: Mapping[str, EncoderEngine] | None = None,
        cores: CpuCores | None = None,
    ) -> None:
        self._text = dict(text)
        self._images = dict(images)
        self._encoders = dict(encoders or {})
        self._engine_of: dict[str, AnyEngine] = {}
        self._cores = cores
        self._thread = _BoundThread()

    def admit(self, request: Request, payload: Payload) -> None:
        engine: AnyEngine
        if isinstance(request, TextRequest) and isinstance(payload, TextPayload):
            engine = _find(self._text, request.model)
            engine.admit(request, payload)
        elif isinstance(request, ImageRequest) and isinstance(payload, ImagePayload):
            engine = _find(self._images, request.model)
            engine.admit(request, payload)
        elif isinstance(request, EncodeRequest) and isinstance(payload, EncodePayload):
            engine = _find(self._encoders, request.model)
            engine.admit(request, payload)
        else:
            raise ExecutorError(
                f"request {request.request_id!r} is {request.kind} but its payload is a "
                f"{type(payload).__name__}"
            )
        self._engine_of[request.request_id] = engine

    def run(self, plan: StepPlan) -> StepResult:
        start_s = time.perf_counter()
        if self._cores is not None:
            cores = self._cores.of(plan.lane, plan.share)
            self._thread.bind(cores, is_text=isinstance(plan.batch, TextBatch))
        engine = self._engine(plan)
        outputs = engine.run(plan)
        return StepResult(duration_s=time.perf_counter() - start_s, outputs=outputs)

    def _engine(self, plan: StepPlan) -> AnyEngine:
        if isinstance(plan.batch, TextBatch):
            return _find(self._text, plan.model)
        if isinstance(plan.batch, EncoderBatch):
            return _find(self._encoders, plan.model)
        return _find(self._images, plan.model)

    def release(self, request_id: str) -> None:
        engine = self._engine_of.pop(request_id, None)
        if engine is None:
            raise ExecutorError(f"request {request_id!r} is not on this device")
        engine.release(request_id)


class _BoundThread(threading.local):
    """What the calling thread is bound to; each lane has a thread of its own."""

    cores: tuple[int, ...] = ()
    num_threads = 0

    def bind(self, cores: tuple[int, ...], *, is_text: bool) -> None:
        # text computes elsewhere, and its few operations in torch need no team of workers
        num_threads = 1 if is_text else len(cores)
        if cores != self.cores:
            bind_thread(cores)
            self.cores = cores
        if num_threads != self.num_threads:
            torch.set_num_threads(num_threads)
            self.num_threads = num_threads


def _find(engines: Mapping[str, Engine], model: str) -> Engine:
    if model not in engines:
        raise ExecutorError(f"no engine for model {model!r} on this device; it has {[*engines]}")
    return engines[model]
