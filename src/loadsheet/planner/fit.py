"""One model on one kind of replica: bytes, and seconds of the replica that its classes take.

A language model decodes once per promised interval whatever it serves: the decode tax τ(1)/TPOT.
Each request adds its part of the growth of τ with the batch, and its prompt. An image adds its
whole pipeline. Nothing here depends on rates, so that a linear program can (SCHEDULER: serial,
unfused; the closed form is checked by simulation afterwards).
"""

from dataclasses import dataclass

from loadsheet.cost.ledger import LedgerLine
from loadsheet.cost.step_cost import Setup
from loadsheet.hardware.device import Device
from loadsheet.planner.demand import Demand
from loadsheet.sim.deployment import ResidentModel
from loadsheet.specs.catalog import Entry
from loadsheet.specs.precision import of


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFit:
    """A class on one replica. `seconds` is what a request takes of the replica, of which `prompt_s`
    is its prompt; `service_s` is how long one blocks the next, `alone_s` what a slow one takes on
    an idle replica until its first token or its end; `service_cv` varies the service. It keeps
    `held_bytes` on each device for `held_s`."""

    demand: Demand
    seconds: float
    prompt_s: float
    service_s: float
    alone_s: float
    held_bytes: float
    held_s: float
    service_cv: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFit:
    """`tax` is the share of the replica's time that decoding takes at any load; `step_s` the
    longest step that cannot be interrupted; `gap_s` the longest gap that a step of another model
    may leave between tokens, infinity for images. `fixed` and `transient` are of one device:
    transients of several models do not add, as one step runs at a time. Images are drawn up to
    `batch` at once."""

    model: ResidentModel
    entry: Entry
    device: Device
    tp: int
    classes: tuple[ClassFit, ...]
    tax: float
    step_s: float
    gap_s: float
    fixed: tuple[LedgerLine, ...]
    transient: tuple[LedgerLine, ...]
    batch: int = 1
    rejection: str = ""

    @property
    def fixed_bytes(self) -> int:
        return sum(line.num_bytes for line in self.fixed)

    @property
    def transient_bytes(self) -> int:
        return sum(line.num_bytes for line in self.transient)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where a model could sit."""

    model: ResidentModel
    entry: Entry
    device: Device
    tp: int

    @property
    def setup(self) -> Setup:
        model = self.model
        return Setup(
            precision=of(model.dtype, model.kv_dtype),
            tp=self.tp,
            engine=model.engine,
            is_compiled=model.is_compiled,
        )


def usable_bytes(device: Device) -> int:
    """Datasheets round up, and allocators fragment: a twentieth stays free."""
    return int(0.95 * device.memory_bytes)
