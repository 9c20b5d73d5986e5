"""Fit the kernel constants of one chip family to a folder of measurements; print or write TOML.

    python scripts/fit_kernels.py --data DIR --device h100-sxm-80gb --label h100_sxm [--write]

DIR/kernels holds gemm_perf__LABEL.csv.gz and context_, generation_ and
encoder_attention_perf__LABEL.csv.gz.
Minimises the mean absolute log error (clipped at 0.7) over an even sample with Nelder-Mead, all
constants in logarithms, and reports the error over every row. Needs numpy and scipy.
"""

import argparse
import csv
import dataclasses
import gzip
import math
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from loadsheet.cost.kernel.attention import (
    AttentionPhase,
    FusedShape,
    decode_seconds,
    prefill_seconds,
)
from loadsheet.cost.kernel.constants import (
    DecodeConstants,
    GemmConstants,
    PrefillConstants,
    family_named,
)
from loadsheet.cost.kernel.gemm import Chip, GemmShape, operands_of, product_seconds
from loadsheet.cost.kernel.silicon import FOLDER, silicon_of
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device

Row = tuple[GemmShape | FusedShape, float]
_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "fp8": "fp8", "int8": "int8"}
_FIXED = {"can_split", "resident_copies", "long_ms", "group_share", "measured_share"}


def gemm_rows(folder: Path, label: str, *, is_narrow: bool) -> Iterator[Row]:
    for row in read(folder / f"gemm_perf__{label}.csv.gz"):
        dtype = _DTYPES[row["gemm_dtype"]]
        if (dtype in ("fp8", "int8")) == is_narrow:
            m, n, k = (int(row[key]) for key in "mnk")
            shape = GemmShape(m=m, n=n, k=k, dtype=dtype, is_warm=True)
            yield shape, float(row["latency_ms"]) / 1e3


def attention_rows(folder: Path, label: str, phase: AttentionPhase) -> Iterator[Row]:
    stem = {"prefill": "context", "decode": "generation", "bidirectional": "encoder"}[phase]
    for row in read(folder / f"{stem}_attention_perf__{label}.csv.gz"):
        tokens, cached = int(float(row["isl"])), int(float(row.get("step") or 0))
        is_decode = phase is AttentionPhase.DECODE
        heads = int(row["num_heads"])
        shape = FusedShape(
            phase=phase,
            batch=int(float(row["batch_size"])),
            tokens=1 if is_decode else tokens,
            context=tokens + cached,
            heads=heads,
            kv_heads=int(float(row.get("num_key_value_heads") or heads)) or heads,
            head_dim=int(row["head_dim"]),
            kv_dtype=_DTYPES[row.get("kv_cache_dtype") or "bfloat16"],
            is_looped=True,
        )
        yield shape, float(row["latency_ms"]) / 1e3


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def predictor(section: str, device: Device) -> Callable[..., float]:
    chip = Chip(silicon=silicon_of(device), memory_bytes_per_s=device.memory_bytes_per_s)
    peak = device.flops_per_s("bf16")
    if section.startswith("gemm"):
        return lambda shape, c: product_seconds(shape, operands_of(shape.dtype, device), chip, c)
    if section == "decode":
        return lambda shape, c: decode_seconds(shape, chip, c)
    return lambda shape, c: prefill_seconds(shape, peak, chip, c)


Constants = GemmConstants | PrefillConstants | DecodeConstants


def fit(
    rows: list[Row], predict: Callable[..., float], start: Constants, evaluations: int, sample: int
) -> Constants:
    free = [
        field.name
        for field in dataclasses.fields(start)
        if field.name not in _FIXED and getattr(start, field.name) > 0
    ]
    chosen = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:sample]]

    def at(point: np.ndarray) -> Constants:
        values = dict(zip(free, np.exp(point).tolist(), strict=True))
        values["sharpness"] = max(values["sharpness"], 1.0)  # at worst the two add up
        return dataclasses.replace(start, **values)

    def loss(point: np.ndarray) -> float:
        constants = at(point)
        errors = (abs(math.log(predict(shape, constants) / true)) for shape, true in chosen)
        return statistics.fmean(min(error, 0.7) for error in errors)

    origin = np.log([getattr(start, name) for name in free])
    steps = 0.3 * np.diag([1.0 if i % 2 else -1.0 for i in range(len(free))])
    simplex = np.vstack([origin, origin + steps])
    found = minimize(
        loss,
        origin,
        method="Nelder-Mead",
        options={"maxfev": evaluations, "initial_simplex": simplex, "adaptive": True},
    )
    return at(found.x)


def report(rows: list[Row], predict: Callable[..., float], constants: Constants) -> str:
    signed = [predict(shape, constants) / true - 1 for shape, true in rows]
    size = sorted(abs(error) for error in signed)
    return (
        f"{len(rows)} rows, absolute error median {statistics.median(size):.1%}, "
        f"mean {statistics.fmean(size):.1%}, 90th percentile {size[int(0.9 * len(size))]:.1%}, "
        f"bias {statistics.median(signed):+.1%}"
    )


def section_text(name: str, constants: Constants, note: str) -> str:
    lines = [f"[{name}] # {note}"]
    lines += [f"{key} = {value:.4g}" for key, value in dataclasses.asdict(constants).items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--sections", default="gemm,gemm_narrow,prefill,bidirectional,decode")
    parser.add_argument("--evaluations", type=int, default=500)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--score-as", help="only score, with the constants of this family")
    parser.add_argument("--write", action="store_true", help="replace the sections in the TOML")
    arguments = parser.parse_args()
    device = DeviceCatalog().find(arguments.device)
    family = family_named(silicon_of(device).family)
    path = FOLDER / f"{family.name}.toml"
    folder = arguments.data / "kernels"
    for name in arguments.sections.split(","):
        if name.startswith("gemm"):
            rows = list(gemm_rows(folder, arguments.label, is_narrow=name == "gemm_narrow"))
        else:
            rows = list(attention_rows(folder, arguments.label, AttentionPhase(name)))
        if not rows:
            sys.stderr.write(f"{name}: no rows\n")
            continue
        predict = predictor(name, device)
        if arguments.score_as:
            other = getattr(family_named(arguments.score_as), name)
            sys.stdout.write(f"{name} as {arguments.score_as}: {report(rows, predict, other)}\n")
            continue
        constants = fit(
            rows, predict, getattr(family, name), arguments.evaluations, arguments.sample
        )
        note = f"{device.name}: {report(rows, predict, constants)}"
        sys.stdout.write(section_text(name, constants, note) + "\n")
        sys.stdout.flush()
        if arguments.write:
            replace_section(path, name, section_text(name, constants, note))
    return 0


def replace_section(path: Path, name: str, text: str) -> None:
    parts = path.read_text(encoding="utf-8").split("\n[")
    kept = [part for part in parts if not part.startswith((f"{name}]", f"[{name}]"))]
    joined = "\n[".join(kept).rstrip("\n")
    path.write_text(f"{joined}\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
