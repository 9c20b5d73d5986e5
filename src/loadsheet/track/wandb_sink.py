"""A run in Weights & Biases; offline when there is no key, so that nothing ever asks or waits.

The files lie in `<run folder>/wandb`. `wandb sync` sends an offline run later, and
`wandb leet` shows it in the terminal without a server.
"""

import os
from collections.abc import Mapping
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import wandb

from loadsheet.track.json_value import JSON

PROJECT = "loadsheet"
_SERVER = "https://api.wandb.ai"


class WandbSink:
    """`WANDB_MODE`, `WANDB_PROJECT` and `WANDB_ENTITY` are respected as everywhere."""

    def __init__(self, folder: Path, facts: Mapping[str, JSON]) -> None:
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=str(facts["id"]),
            job_type=str(facts["command"]),
            config=_config(facts),
            dir=folder,
            mode=_mode(),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics), step=step)

    def summary(self, values: Mapping[str, JSON]) -> None:
        self._run.summary.update(dict(values))

    def finish(self, status: str) -> None:
        self._run.finish(exit_code=0 if status == "finished" else 1)


def _config(facts: Mapping[str, JSON]) -> dict[str, JSON]:
    own = facts["config"]
    around: dict[str, JSON] = {key: facts[key] for key in ("environment", "commit")}
    return around | dict(own) if isinstance(own, Mapping) else around


def _mode() -> Literal["offline"] | None:
    """None leaves the choice to wandb: its own settings, or online where it has a key."""
    return None if "WANDB_MODE" in os.environ or _has_key() else "offline"


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", _SERVER)).hostname or ""
    try:
        return netrc().authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False
