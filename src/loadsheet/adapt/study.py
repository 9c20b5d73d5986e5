"""What an ablation is given and what it gives back."""

from dataclasses import dataclass
from pathlib import Path

from loadsheet.adapt.observer import TrainingObserver
from loadsheet.track import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlace:
    """An open run to log to, and where a study that trains finds text and keeps tokens."""

    run: Run
    observer: TrainingObserver
    corpus_folder: Path
    work_folder: Path
    seed: int

    def figure(self, name: str) -> Path:
        """Where a figure of the run belongs."""
        path = self.run.folder / "artifacts" / f"{name}.svg"
        path.parent.mkdir(exist_ok=True)
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTable:
    """Result as printed; every number is in the run too, with its unit and full precision."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
