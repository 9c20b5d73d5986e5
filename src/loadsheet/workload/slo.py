"""Service level objectives: what a class of requests was promised, in seconds."""

from dataclasses import dataclass

from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSLO:
    """Time to first token, and mean time per output token after it."""

    ttft_s: float = 2.0
    tpot_s: float = 0.1
    percentile: float = 0.95

    def __post_init__(self) -> None:
        _check(ttft_s=self.ttft_s, tpot_s=self.tpot_s)
        _check_percentile(self.percentile)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSLO:
    """Time from arrival to the finished image."""

    deadline_s: float = 20.0
    percentile: float = 0.95

    def __post_init__(self) -> None:
        _check(deadline_s=self.deadline_s)
        _check_percentile(self.percentile)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeSLO:
    """Time from arrival to the embedding or the label."""

    deadline_s: float = 1.0
    percentile: float = 0.95

    def __post_init__(self) -> None:
        _check(deadline_s=self.deadline_s)
        _check_percentile(self.percentile)


SLO = TextSLO | ImageSLO


def _check(**seconds: float) -> None:
    for name, value in seconds.items():
        if not 0 < value < float("inf"):
            raise ConfigError(f"{name} is {value}; give a positive number of seconds")


def _check_percentile(percentile: float) -> None:
    if not 0 < percentile < 1:
        raise ConfigError(f"percentile is {percentile}; give a share between 0 and 1, like 0.95")
