"""What the scheduler is told, and what it answers at once.

    Arrived ──► None (queued) or Rejection
    Cancelled ──► the request's blocks and latents are free (after its running step, if any)
    StepFinished ──► running times are learnt, ended requests leave

Feeding the recorded events of a run, with their times, to a fresh scheduler gives the same plans.
"""

from dataclasses import dataclass
from enum import StrEnum

from loadsheet.workload.request import Request


class RejectReason(StrEnum):
    QUEUE_FULL = "queue_full"  # try again later
    TOO_LARGE = "too_large"  # can never fit
    UNKNOWN_MODEL = "unknown_model"
    DRAINING = "draining"  # the server is going away
    INVALID = "invalid"  # an empty prompt, no steps, an id in use


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A refusal with the numbers that decided it. `retry_after_s` is None when waiting is vain."""

    request_id: str
    reason: RejectReason
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """`ended`: text requests that produced their last token, and requests that failed."""

    step_id: int
    duration_s: float
    ended: tuple[str, ...]


Event = Arrived | Cancelled | StepFinished
