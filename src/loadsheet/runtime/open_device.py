"""A device that is ready to run steps, and what there is to say about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadsheet.cost.ledger import Ledger
from loadsheet.runtime.adapter_host import AdapterHost
from loadsheet.runtime.executor import Executor
from loadsheet.runtime.model_card import ModelCard
from loadsheet.sched.limits import DeviceLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One part of a cold start."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDevice:
    """`facts` say what was chosen for `auto`; `notes` say what a user should know."""

    executor: Executor
    limits: DeviceLimits
    cards: tuple[ModelCard, ...]
    ledger: Ledger
    phases: tuple[Phase, ...]
    facts: Mapping[str, str]
    notes: tuple[str, ...]
    adapters: AdapterHost
