"""Where a run's facts go besides its own folder; the folder is always written."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from loadsheet.errors import ConfigError
from loadsheet.track.json_value import JSON


class Sink(Protocol):
    """One open run in another tracker."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def summary(self, values: Mapping[str, JSON]) -> None: ...

    def finish(self, status: str) -> None: ...


OpenSink = Callable[[Path, Mapping[str, JSON]], Sink]
"""(folder of the run, what run.json holds) -> the same run in another tracker."""


def load_sinks(names: Sequence[str]) -> tuple[OpenSink, ...]:
    """Raises ConfigError for a name that is no sink or is not installed; opens nothing yet."""
    return tuple(_load(name) for name in dict.fromkeys(names))


def _load(name: str) -> OpenSink:
    if name not in SINKS:
        near = get_close_matches(name, SINKS, n=1, cutoff=0.0)
        raise ConfigError(f"no tracker {name!r}; the nearest is {near[0]!r} of {sorted(SINKS)}")
    return SINKS[name]()


def _load_wandb() -> OpenSink:
    try:  # optional back end, and importing it takes a second
        from loadsheet.track.wandb_sink import WandbSink
    except ModuleNotFoundError as error:
        raise ConfigError("tracking in W&B needs wandb: pip install 'loadsheet[wandb]'") from error
    return WandbSink


SINKS: Mapping[str, Callable[[], OpenSink]] = {"wandb": _load_wandb}
