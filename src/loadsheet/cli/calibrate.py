"""`loadsheet calibrate`: measure this machine, so that it can be planned with as device `cpu`.

loadsheet calibrate
loadsheet calibrate --quick --numpy
loadsheet calibrate --check
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console

from loadsheet import __version__
from loadsheet.cli.calibration_progress import calibration_progress
from loadsheet.cli.calibration_table import print_steps
from loadsheet.cost.rate_fit import fit_rates, fitted_seconds, step_of
from loadsheet.cost.step_cost import Setup, step_cost
from loadsheet.errors import ConfigError
from loadsheet.hardware.calibration_record import (
    CalibrationRecord,
    Measurement,
    read_record,
    record_file,
    write_record,
)
from loadsheet.hardware.host import this_host
from loadsheet.hardware.microbenchmark import copy_measurement, gemm_measurements
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.model_card import ImageModelCard, TextModelCard
from loadsheet.runtime.open_device import OpenDevice
from loadsheet.runtime.step_timer import IMAGE_CHECKS, TEXT_CHECKS, OnStep, StepTimer
from loadsheet.specs.catalog import Entry
from loadsheet.specs.model_folder import read_entry
from loadsheet.specs.precision import of

_SECONDS, _QUICK_SECONDS = 20.0, 6.0
_BUSY = 0.5  # runnable processes per core before the calibration began
_KV_BYTES = 256 * 2**20
_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", metavar="MODEL", help="time this text model (default: up's)")
    parser.add_argument("--image", metavar="MODEL", help="time this image model (default: up's)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of the engine")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="where the result is kept")
    parser.add_argument("--seconds", type=float, help=f"time to measure ({_SECONDS:.0f})")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_SECONDS:.0f} seconds")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--numpy", action="store_true", help="without an engine, operators alone")
    how.add_argument("--check", action="store_true", help="time other steps, fit nothing")
    parser.add_argument("--json", action="store_true", help="machine-readable, SI units")


def run(arguments: argparse.Namespace) -> int:
    if arguments.seconds is not None and arguments.seconds < 1:
        raise ConfigError(f"--seconds is {arguments.seconds:g}; give 1 or more")
    path = record_file(arguments.cache_dir)
    kept = read_record(path) if arguments.check else None
    console = Console(stderr=True)
    load = this_host(1).load  # before we add to it
    with calibration_progress(console) as on_step:
        on_step("NumPy operators", 0, 1)
        timed = None if arguments.numpy else _engine_steps(arguments, on_step, console)
    if kept is not None:
        return _check(kept, timed, as_json=arguments.json)
    method = "numpy" if timed is None else "engine"
    record, expected = _record(timed or _numpy_steps(), method, load)
    write_record(record, path)
    if arguments.json:
        sys.stdout.write(json.dumps(asdict(record)) + "\n")
        return 0
    shown = Console()
    shown.print(_headline(record))
    print_steps(shown, record.measurements, expected, "fitted")
    if timed is not None and timed.skipped:
        print(f"{timed.skipped} configurations were left out for lack of time or cache")
    if record.host.load > _BUSY:
        print("the machine was busy, so its rates are too low; calibrate again when it is idle")
    print(f"device `cpu` is now this machine; kept in {path}")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    measurements: Sequence[Measurement]
    entries: Mapping[str, Entry]
    dtype: str
    num_threads: int
    versions: Mapping[str, str]
    skipped: int = 0


def _record(found: _Found, method: str, load: float) -> tuple[CalibrationRecord, list[float]]:
    """With what the fitted rates say of each measurement."""
    rates = fit_rates(found.measurements, found.entries, found.dtype)
    record = CalibrationRecord(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        host=replace(this_host(found.num_threads), load=load),
        versions=found.versions,
        method=method,
        dtype=found.dtype,
        measurements=tuple(found.measurements),
        rates=rates,
    )
    return record, fitted_seconds(found.measurements, found.entries, found.dtype, rates)


def _check(record: CalibrationRecord, found: _Found | None, *, as_json: bool) -> int:
    """Steps that the fit never saw, timed now, beside what the planner would say of them."""
    if found is None:
        raise ConfigError("--check times an engine's steps; pip install 'loadsheet[torch]'")
    device, setup = record.device(), Setup(precision=of(record.dtype))
    costs = {name: step_cost(entry, device, setup) for name, entry in found.entries.items()}
    expected = [costs[one.model].seconds(*step_of(one)) for one in found.measurements]
    if as_json:
        rows = [
            {**asdict(one), "predicted_s": seconds}
            for one, seconds in zip(found.measurements, expected, strict=True)
        ]
        sys.stdout.write(json.dumps(rows) + "\n")
        return 0
    console = Console()
    console.print(_headline(record))
    print_steps(console, found.measurements, expected, "predicted")
    return 0


def _headline(record: CalibrationRecord) -> str:
    rates, host = record.rates, record.host
    return (
        f"[bold]{host.processor}[/], {host.num_threads} of {host.num_cores} threads, "
        f"{record.dtype}, {record.date}, {host.load:.1f} runnable processes per core\n"
        f"products {rates.gemm_flops_per_s / 1e9:.0f} GFLOP/s, convolutions "
        f"{rates.conv_flops_per_s / 1e9:.0f} GFLOP/s, memory "
        f"{rates.memory_bytes_per_s / 1e9:.1f} GB/s, {rates.launch_s * 1e6:.0f} µs per operator\n"
    )


def _numpy_steps() -> _Found:
    return _Found(
        measurements=[*gemm_measurements(), copy_measurement()],
        entries={},
        dtype="fp32",
        num_threads=this_host(1).num_cores,
        versions=_versions(),
    )


def _engine_steps(
    arguments: argparse.Namespace, on_step: OnStep, console: Console
) -> _Found | None:
    """None where no engine is installed."""
    try:
        # the engine is optional: a planner's laptop has none
        from loadsheet.engine.assets import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, resolve_model
        from loadsheet.engine.device import open_device
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("loadsheet"):
            raise
        console.print(f"{error.name} is not installed: timing NumPy instead", highlight=False)
        return None
    refs = (arguments.text or DEFAULT_TEXT_MODEL, arguments.image or DEFAULT_IMAGE_MODEL)
    models = [resolve_model(ref, arguments.cache_dir) for ref in refs]
    config = DeviceConfig(
        text=refs[0],
        image=refs[1],
        device="cpu",
        num_threads=arguments.threads,
        kv_bytes=_KV_BYTES,
        cache_dir=arguments.cache_dir,
    )
    memory = [] if arguments.check else [*gemm_measurements(only_rows=1), copy_measurement()]
    device = open_device(config, lambda phase: on_step(phase, 0, 1))
    timer = _timed(device, arguments, on_step)
    return _Found(
        measurements=[*memory, *timer.measurements()],
        entries={model.name: read_entry(model.path, model.name) for model in models},
        dtype=_DTYPES[device.facts["dtype"]],
        num_threads=int(device.facts["threads"]),
        versions={
            **_versions(),
            "torch": device.facts["torch"],
            "engine": device.facts["engine"],
        },
        skipped=timer.skipped,
    )


def _timed(device: OpenDevice, arguments: argparse.Namespace, on_step: OnStep) -> StepTimer:
    """Images first, for half of the time."""
    budget_s = arguments.seconds or (_QUICK_SECONDS if arguments.quick else _SECONDS)
    start_s = time.perf_counter()
    timer = StepTimer(executor=device.executor, until_s=start_s + budget_s / 2, on_step=on_step)
    for card in device.cards:
        if isinstance(card, ImageModelCard):
            timer.images(card, *([IMAGE_CHECKS] if arguments.check else []))
    timer.until_s = start_s + budget_s
    for card in device.cards:
        if isinstance(card, TextModelCard):
            limits = next(one for one in device.limits.text if one.model == card.name)
            timer.text(card, limits, *([TEXT_CHECKS] if arguments.check else []))
    return timer


def _versions() -> dict[str, str]:
    return {
        "loadsheet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
