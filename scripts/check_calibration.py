"""How well rates fitted to some steps of this machine predict others, timed in the same minutes.

    python scripts/check_calibration.py --seconds 40

`loadsheet calibrate --check` compares two moments, which on a shared machine differ more than the
model errs. Here both sets of steps take turns, so that the load is the same for both.
"""

import argparse
import statistics
import time
from dataclasses import replace

from loadsheet.cost.rate_fit import fit_rates, fitted_seconds
from loadsheet.engine.assets import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, resolve_model
from loadsheet.engine.device import open_device
from loadsheet.hardware.calibration_record import Measurement
from loadsheet.hardware.microbenchmark import copy_measurement, gemm_measurements
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.open_device import OpenDevice
from loadsheet.runtime.step_timer import (
    IMAGE_CHECKS,
    IMAGE_TRIALS,
    TEXT_CHECKS,
    TEXT_TRIALS,
    StepTimer,
)
from loadsheet.specs.model_folder import read_entry


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=40.0)
    budget_s = parser.parse_args().seconds
    refs = (DEFAULT_TEXT_MODEL, DEFAULT_IMAGE_MODEL)
    models = [resolve_model(ref) for ref in refs]
    entries = {model.name: read_entry(model.path, model.name) for model in models}
    device = open_device(DeviceConfig(text=refs[0], image=refs[1], device="cpu"), lambda _: None)
    fitted, held_out = timed(device, budget_s)
    memory = [*gemm_measurements(only_rows=1), copy_measurement()]
    for name in ("seconds", "fastest_s"):
        seen = [replace(one, seconds=getattr(one, name)) for one in fitted + memory]
        other = [replace(one, seconds=getattr(one, name)) for one in held_out]
        rates = fit_rates(seen, entries, "bf16")
        print(f"{name}: fitted {errors(seen, fitted_seconds(seen, entries, 'bf16', rates))}")
        print(f"{name}: held out {errors(other, fitted_seconds(other, entries, 'bf16', rates))}")
        for one, seconds in zip(other, fitted_seconds(other, entries, "bf16", rates), strict=True):
            shape = {key: value for key, value in one.shape.items() if value}
            print(f"  {one.kind:10} {one.seconds * 1e3:7.1f} ms {seconds * 1e3:7.1f} ms  {shape}")


def timed(device: OpenDevice, budget_s: float) -> tuple[list[Measurement], list[Measurement]]:
    """Trials of both sets in turn."""
    until_s = time.perf_counter() + budget_s
    timers = [
        StepTimer(executor=device.executor, until_s=until_s, on_step=lambda *_: None)
        for _ in range(2)
    ]
    text, image = device.cards
    limits = device.limits.text[0]
    for turn in range(max(len(TEXT_TRIALS), len(IMAGE_TRIALS))):
        for timer, trials, pictures in zip(
            timers, (TEXT_TRIALS, TEXT_CHECKS), (IMAGE_TRIALS, IMAGE_CHECKS), strict=True
        ):
            timer.images(image, pictures[turn : turn + 1] or pictures[:1])
            timer.text(text, limits, trials[turn : turn + 1] or trials[:1])
    first, second = ([*timer.measurements()] for timer in timers)
    return first, second


def errors(measured: list[Measurement], expected: list[float]) -> str:
    sizes = sorted(
        abs(seconds / one.seconds - 1) for one, seconds in zip(measured, expected, strict=True)
    )
    return f"{len(sizes)} steps, median {statistics.median(sizes):.0%}, worst {sizes[-1]:.0%}"


if __name__ == "__main__":
    main()
