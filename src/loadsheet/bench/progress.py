"""What a run looks like while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from loadsheet.bench.record import RequestRecord
from loadsheet.workload.request import RequestKind


@dataclass(slots=True)
class ClassProgress:
    """Totals of one class in the current phase; `last_s` is TTFT or time to image."""

    kind: RequestKind
    num_ok: int = 0
    num_failed: int = 0
    num_tokens: int = 0
    num_images: int = 0
    last_s: float | None = None

    def note(self, record: RequestRecord) -> None:
        if not record.is_ok:
            self.num_failed += 1
            return
        self.num_ok += 1
        if self.kind is RequestKind.TEXT:
            self.num_tokens += record.num_tokens
            self.last_s = record.text_timing().ttft_s
        else:
            self.num_images += record.reply.num_images
            self.last_s = record.image_timing().time_to_image_s


@dataclass(slots=True)
class Progress:
    """`phase_idx` counts from 0; `total_s` is warm-up and window, the drain comes on top."""

    phase: str
    phase_idx: int
    num_phases: int
    total_s: float
    elapsed_s: float = 0.0
    num_in_flight: int = 0
    classes: dict[str, ClassProgress] = field(default_factory=dict)

    def note(self, record: RequestRecord) -> None:
        if record.traffic in self.classes:
            self.classes[record.traffic].note(record)


def no_progress(phases: Sequence[str]) -> Progress:
    """What there is to show before the first phase."""
    return Progress(phase="probe", phase_idx=0, num_phases=len(phases), total_s=0.0)
