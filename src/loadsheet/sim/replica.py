"""A replica's life and what was seen of it."""

from dataclasses import dataclass, field

from loadsheet.sched.plan import StepKind
from loadsheet.sim.deployment import ReplicaGroup
from loadsheet.sim.device import SimDevice
from loadsheet.sim.result import MemorySample


@dataclass(slots=True, eq=False)
class Replica:
    """Paid from `ordered_s` until it is retired and empty."""

    name: str
    group: ReplicaGroup
    device: SimDevice
    ordered_s: float
    retired_s: float | None = None
    num_failures: int = 0
    memory: list[MemorySample] = field(default_factory=list)
    busy_before_s: dict[StepKind, float] = field(default_factory=dict)  # the window began
    busy_until_s: dict[StepKind, float] = field(default_factory=dict)  # the window ended

    def sample(self, now_s: float) -> None:
        """Note what is in memory now."""
        snapshot = self.device.scheduler.snapshot()
        self.memory.append(
            MemorySample(
                at_s=now_s,
                used_blocks={one.model: one.used_blocks for one in snapshot.text},
                used_bytes={one.model: one.used_bytes for one in snapshot.images},
                num_inside=self.device.num_inside,
            )
        )

    def up_s(self, start_s: float, end_s: float) -> float:
        """How long of the window it is paid for."""
        gone_s = float("inf")
        if self.retired_s is not None:
            gone_s = max(self.retired_s, self.device.last_end_s)
        return max(0.0, min(gone_s, end_s) - max(self.ordered_s, start_s))

    def busy_s(self) -> dict[StepKind, float]:
        """In the window, by kind of step; of a replica ordered after it began, all before its
        end."""
        return {
            kind: until_s - self.busy_before_s.get(kind, 0.0)
            for kind, until_s in self.busy_until_s.items()
        }
