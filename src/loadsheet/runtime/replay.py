"""Replay of a logged run: the same events must give the same plans.

A mismatch means that a decision changed since the log was written, or that something other than
the events decides. Run it after any change to `sched` that claims to change no behaviour.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadsheet.runtime.event_codec import Drained
from loadsheet.runtime.event_log import EventLogReader, LogHeader
from loadsheet.sched.limits import DeviceLimits
from loadsheet.sched.plan import StepPlan, Wait
from loadsheet.sched.policies import make_scheduler
from loadsheet.sched.scheduler import Scheduler

MakeScheduler = Callable[[DeviceLimits, str], Scheduler]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """At `at_s` the log has `logged` and a fresh scheduler planned `replayed`."""

    at_s: float
    logged: StepPlan
    replayed: StepPlan | Wait | None


def replay(path: Path | str, make: MakeScheduler | None = None) -> list[Mismatch]:
    """Every plan that differs; an empty list proves the log. Without `make` the scheduler is the
    one of the log's header, its prior of step times included. Ends early where a step is missing,
    because what follows in the log then refers to a step that never ran."""
    log = EventLogReader(path)
    scheduler = (
        _scheduler(log.header) if make is None else make(log.header.limits, log.header.policy)
    )
    mismatches: list[Mismatch] = []
    for entry in log:
        if isinstance(entry.what, Drained):
            scheduler.drain()
        elif isinstance(entry.what, StepPlan):
            replayed = scheduler.plan(entry.at_s)
            if replayed != entry.what:
                mismatches.append(Mismatch(at_s=entry.at_s, logged=entry.what, replayed=replayed))
            if not isinstance(replayed, StepPlan):
                return mismatches
        else:
            scheduler.on_event(entry.what, entry.at_s)
    return mismatches


def _scheduler(header: LogHeader) -> Scheduler:
    if header.prior is None:
        return make_scheduler(header.limits, header.policy)
    return make_scheduler(header.limits, header.policy, header.prior)
