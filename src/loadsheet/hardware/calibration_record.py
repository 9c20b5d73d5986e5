"""What `loadsheet calibrate` measured on this machine, kept as JSON in the cache folder.

{"schema_version": 1, "date": …, "host": {…}, "versions": {…}, "method": "engine" | "numpy",
 "dtype": "bf16", "measurements": [{"kind", "model", "shape", "seconds", …}], "rates": {…}}
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from loadsheet.cache_root import cache_root
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.hardware.operator_rates import OperatorRates

SCHEMA_VERSION = 1
_FILE = "calibration.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The median over `runs` of a step of a model, or of an operator (`model` empty). `shape`
    holds the fields of what `kind` names."""

    kind: str
    model: str
    shape: Mapping[str, float]
    seconds: float
    fastest_s: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    name: str
    processor: str
    num_cores: int
    num_threads: int
    memory_bytes: int
    load: float  # runnable processes per core when the calibration began


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRecord:
    """`method` says whether steps of real models were timed or NumPy's operators."""

    date: str
    host: Host
    versions: Mapping[str, str]
    method: str
    dtype: str
    measurements: tuple[Measurement, ...]
    rates: OperatorRates

    def device(self) -> Device:
        """This machine as a device. It has no price and no rated power: nobody measured them."""
        rates, peaks = self.rates, {"fp32": self.rates.gemm_flops_per_s}
        peaks[self.dtype] = rates.gemm_flops_per_s
        return Device(
            name="cpu",
            vendor=self.host.processor,
            memory_bytes=self.host.memory_bytes,
            memory_bytes_per_s=rates.memory_bytes_per_s,
            peak_flops_per_s=peaks,
            measured_flops_per_s={},
            link_bytes_per_s=0.0,
            host_bytes_per_s=rates.memory_bytes_per_s,
            power_w=0.0,
            price=None,
            source=f"loadsheet calibrate ({self.method}) on {self.host.name}",
            date=self.date,
            from_memory=False,
            rates=rates,
        )


def record_file(cache_dir: Path | None = None) -> Path:
    return cache_root(cache_dir) / _FILE


def write_record(record: CalibrationRecord, path: Path) -> None:
    """A reader never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    fields_ = {"schema_version": SCHEMA_VERSION, **asdict(record)}
    part.write_text(json.dumps(fields_, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def read_record(path: Path) -> CalibrationRecord:
    """ConfigError, naming the command, where there is none or it is of another version."""
    again = "run `loadsheet calibrate`"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"device cpu is this machine as measured, and {path} does not exist; {again}"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); {again}") from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        raise ConfigError(f"{path} has schema {version}, this is {SCHEMA_VERSION}; {again}")
    try:
        return CalibrationRecord(
            date=found["date"],
            host=Host(**found["host"]),
            versions=found["versions"],
            method=found["method"],
            dtype=found["dtype"],
            measurements=tuple(Measurement(**one) for one in found["measurements"]),
            rates=OperatorRates(**found["rates"]),
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path} is incomplete ({error}); {again}") from error
