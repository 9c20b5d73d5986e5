"""The byte ledger: who owns which bytes of a device, in absolute numbers.

One ledger for the engine that allocates, the server that reports and the planner that predicts:
"why is this much memory used" always has a line per owner as its answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from loadsheet.errors import CapacityError
from loadsheet.units import format_bytes


class Owner(StrEnum):
    WEIGHTS = "weights"
    KV_BLOCKS = "kv_blocks"
    LATENTS = "latents"
    ACTIVATIONS = "activations"
    VAE_PEAK = "vae_peak"
    GRADIENTS = "gradients"
    OPTIMIZER = "optimizer"
    COMMUNICATION = "communication"
    RUNTIME = "runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    owner: Owner
    model: str
    part: str  # a component such as `unet`; empty where the owner says it all
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    lines: tuple[LedgerLine, ...]

    def total_bytes(self) -> int:
        return sum(line.num_bytes for line in self.lines)

    def check(self, budget_bytes: int) -> None:
        """Raise CapacityError with the missing bytes when the ledger exceeds `budget_bytes`."""
        missing = self.total_bytes() - budget_bytes
        if missing > 0:
            raise CapacityError(
                f"the models need {format_bytes(self.total_bytes())} but the memory budget is "
                f"{format_bytes(budget_bytes)}, {format_bytes(missing)} short; raise "
                "--memory-bytes, or lower --kv-bytes or --latent-bytes"
            )


def merge(ledgers: Iterable[Ledger]) -> Ledger:
    return Ledger(lines=tuple(line for ledger in ledgers for line in ledger.lines))
