"""What the asset functions report while they work; the command line draws it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class AssetStage(StrEnum):
    WAIT = "wait"  # another process prepares the same model
    DOWNLOAD = "download"
    VERIFY = "verify"
    CONVERT = "convert"
    READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetProgress:
    """Bytes done of the bytes of this stage. READY comes once, also for a model already there."""

    asset: str
    stage: AssetStage
    done_bytes: int = 0
    total_bytes: int = 0


OnProgress = Callable[[AssetProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMeter:
    """Counts the bytes of one stage of one asset for whoever listens."""

    asset: str
    on_progress: OnProgress | None

    def report(self, stage: AssetStage, done_bytes: int = 0, total_bytes: int = 0) -> None:
        if self.on_progress is not None:
            self.on_progress(
                AssetProgress(
                    asset=self.asset, stage=stage, done_bytes=done_bytes, total_bytes=total_bytes
                )
            )
