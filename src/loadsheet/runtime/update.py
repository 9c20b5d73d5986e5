"""What the loop tells whoever waits for a request, in order, each with the loop's time.

Accepted | Rejected
Started            its first step begins (queue time ends)
Token … Token      text; the last one carries the finish reason
Progress … Image   images; one Progress per denoise step
Encoded            embeddings and classifications
Failed             instead of an end, at any time after Accepted
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadsheet.runtime.executor import FinishReason
from loadsheet.sched.event import Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    at_s: float
    rejection: Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    at_s: float
    token_id: int
    text: str
    finish_reason: FinishReason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    at_s: float
    step_idx: int
    num_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    at_s: float
    pixels_HWC: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """An embedding, or the probability of each label."""

    at_s: float
    values: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    at_s: float
    message: str


Update = Accepted | Rejected | Started | Token | Progress | Image | Encoded | Failed
Sink = Callable[[Update], None]
