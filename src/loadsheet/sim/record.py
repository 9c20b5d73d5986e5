"""What became of one simulated request."""

from dataclasses import dataclass
from enum import StrEnum

from loadsheet.metrics import ImageTiming, TextTiming
from loadsheet.sim.job import Job
from loadsheet.workload.request import TextRequest


class Fate(StrEnum):
    SERVED = "served"
    REJECTED = "rejected"
    UNFINISHED = "unfinished"  # the simulation ended first
    LOST = "lost"  # its replica failed


@dataclass(slots=True, eq=False)
class Record:
    """Times in seconds of the simulation; NaN until they are known."""

    job: Job
    device: str = ""
    first_s: float = float("nan")  # first token of a text
    end_s: float = float("nan")
    fate: Fate = Fate.UNFINISHED
    message: str = ""
    work_s: float = 0.0  # what its device expects of it
    num_restarts: int = 0  # its replica failed and another one began again

    def restart(self) -> None:
        """Forget what a lost device did for it."""
        self.device = ""
        self.first_s = float("nan")
        self.num_restarts += 1

    def timing(self) -> TextTiming | ImageTiming:
        """Of a served request, for the shared metrics. Streams keep only first and last token."""
        request = self.job.request
        if isinstance(request, TextRequest):
            count = self.job.output_tokens
            tokens = (self.first_s,) if count == 1 else (self.first_s, self.end_s)
            return TextTiming(start_s=request.arrival_s, token_s=tokens, num_tokens=count)
        return ImageTiming(start_s=request.arrival_s, end_s=self.end_s)

    def is_good(self) -> bool:
        """Served within every promise of its class."""
        if self.fate is not Fate.SERVED:
            return False
        request, timing = self.job.request, self.timing()
        if isinstance(request, TextRequest):
            assert isinstance(timing, TextTiming)
            return timing.meets(request.slo)
        assert isinstance(timing, ImageTiming)
        return timing.meets(request.slo)
