"""The seam between planning and running: whoever can run a step plan.

Every executor (torch, simulated, recorded) passes the same contract test in `tests/contract`.

Life of a request on an executor:

    admit(request, payload) ─► run(plan) … run(plan) ─► release(request_id)

`admit` and `release` are cheap bookkeeping called from the loop's thread; `run` blocks its lane's
thread until the step is done. A request is released once, after it ended, failed or was cancelled,
and never while a step that works for it is running.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from loadsheet.runtime.payload import Payload
from loadsheet.sched.plan import StepPlan
from loadsheet.workload.request import Request


class FinishReason(StrEnum):
    STOP = "stop"  # end-of-sequence token or a stop string
    LENGTH = "length"  # max_output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOutput:
    """One sampled token. `text` may be empty while a character or a stop string is incomplete."""

    request_id: str
    token_id: int
    text: str
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutput:
    """Pixels as uint8 [height, width, 3], after the VAE decode."""

    request_id: str
    pixels_HWC: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOutput:
    """The unit-length embedding [hidden] or the probability of each label [labels], float32."""

    request_id: str
    values: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedOutput:
    """This request failed in the step; the others of its batch are fine."""

    request_id: str
    message: str


StepOutput = TextOutput | ImageOutput | EncoderOutput | FailedOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    duration_s: float
    outputs: tuple[StepOutput, ...]


class Executor(Protocol):
    def admit(self, request: Request, payload: Payload) -> None: ...

    def run(self, plan: StepPlan) -> StepResult: ...

    def release(self, request_id: str) -> None: ...
