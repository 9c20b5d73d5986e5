"""Score predictions of chips whose own kernels are left out; print Markdown tables.

    python scripts/leave_one_out.py --score score.py --data DIR [--rows 120]

`score.py` yields (case, measured, group) by kind of case, as `FAMILIES[kind](data)`. Two tables:
every device as it is priced (most have no kernel measurements of their own: their family has), and
every measured family priced with the constants of another on its own datasheet. For the second,
the package is copied and the family named in the copy's silicon.toml is changed, nothing else.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import loadsheet
from loadsheet.cost.kernel.silicon import silicon_of
from loadsheet.hardware.catalog import DeviceCatalog

KINDS = (
    "gemm", "attention", "allreduce", "offline_text", "offline_image",
    "closed_loop_text", "open_loop_text", "replay_text",
)  # fmt: skip
DONORS = {"hopper": ("ampere", "ada"), "ampere": ("hopper", "ada"), "ada": ("hopper", "ampere")}
_WITHOUT_FAMILY = {"allreduce"}  # links have constants of their own

Row = tuple[dict[str, object], dict[str, float], str]
Errors = dict[tuple[str, ...], list[float]]  # signed, by what a table groups


def load_rows(score: Path, data: Path, most: int) -> list[Row]:
    """At most `most` evenly spaced rows of each kind and device; `detail` splits a kind."""
    spec = importlib.util.spec_from_file_location("score", score)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{score} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows: list[Row] = []
    for kind in KINDS:
        by_device: dict[object, list[Row]] = defaultdict(list)
        for case, measured, _ in module.FAMILIES[kind](data):
            by_device[case["device"]].append((case, measured, detail(case)))
        for found in by_device.values():
            stride = max(len(found) / most, 1.0)
            rows += [found[int(i * stride)] for i in range(min(len(found), most))]
    return rows


def detail(case: dict[str, object]) -> str:
    kind = str(case["case"])
    if kind == "gemm":
        return "gemm, 16 bits" if case["dtype"] in ("bf16", "fp16") else "gemm, 8 bits"
    return f"attention, {case['phase']}" if kind == "attention" else kind


def predict(rows: Iterable[Row], package: Path) -> list[dict[str, object]]:
    """Answers in order, by the package in the folder `package`."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as handle:
        handle.writelines(json.dumps(case) + "\n" for case, _, _ in rows)
        handle.flush()
        code = "import sys; from loadsheet.cli.main import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", code, "predict", handle.name],
            env={**os.environ, "PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr[-2000:])
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def errors(rows: list[Row], package: Path, column: str) -> Errors:
    """By (kind and metric, device, column)."""
    found: Errors = defaultdict(list)
    for (case, measured, name), answer in zip(rows, predict(rows, package), strict=True):
        for metric, true in measured.items():
            value = answer.get(metric)
            if isinstance(value, int | float) and true > 0:
                label = name if len(measured) == 1 and "_text" not in name else f"{name} {metric}"
                found[label, str(case["device"]), column].append(value / true - 1)
    return found


def copied(folder: Path, family: str, donor: str) -> Path:
    """A copy of the package in which the chips of `family` take the constants of `donor`."""
    target = folder / f"{family}-as-{donor}"
    source = Path(loadsheet.__file__).parent
    shutil.copytree(source, target / "loadsheet", ignore=shutil.ignore_patterns("__pycache__"))
    path = target / "loadsheet/cost/calibration/silicon.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(f'family = "{family}"', f'family = "{donor}"', text), encoding="utf-8")
    return target


def cell(values: list[float]) -> str:
    if not values:
        return ""
    middle = statistics.median(abs(value) for value in values)
    return f"{middle:.0%} ({statistics.median(values):+.0%}, {len(values)})".replace("%", " %")


def listing(found: Errors) -> str:
    """A line per device and kind."""
    lines = ["| device | case and metric | rows | median | bias |", "|---|---|---:|---:|---:|"]
    for (name, device, _), values in sorted(found.items(), key=lambda item: item[0][1::-1]):
        middle = 100 * statistics.median(abs(value) for value in values)
        bias = 100 * statistics.median(values)
        lines.append(f"| {device} | {name} | {len(values)} | {middle:.1f} % | {bias:+.1f} % |")
    return "\n".join(lines)


def table(title: str, found: Errors, row: int, column: int) -> str:
    """Rows by key[row], columns by key[column]; everything else is pooled."""
    pooled: dict[tuple[str, str], list[float]] = defaultdict(list)
    for key, values in found.items():
        pooled[key[row], key[column]] += values
    columns = sorted({second for _, second in pooled})
    lines = [f"| {title} | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name in sorted({first for first, _ in pooled}):
        cells = (cell(pooled.get((name, other), [])) for other in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def left_out(rows: list[Row], devices: DeviceCatalog) -> Errors:
    found: Errors = {}
    with tempfile.TemporaryDirectory() as folder:
        for family, donors in DONORS.items():
            own = [
                row
                for row in rows
                if silicon_of(devices.find(str(row[0]["device"]))).family == family
                and row[0]["case"] not in _WITHOUT_FAMILY
            ]
            source = Path(loadsheet.__file__).parent.parent
            found |= errors(own, source, f"{family}, own")
            for donor in donors:
                package = copied(Path(folder), family, donor)
                found |= errors(own, package, f"{family} as {donor}")
                sys.stderr.write(f"{family} as {donor}: {len(own)} rows\n")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--score", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=120, help="of each kind and device")
    arguments = parser.parse_args()
    rows = load_rows(arguments.score, arguments.data, arguments.rows)
    source = Path(loadsheet.__file__).parent.parent
    found = errors(rows, source, "as priced")
    sys.stdout.write(listing(found) + "\n\n")
    sys.stdout.write(table("rows of", left_out(rows, DeviceCatalog()), 0, 2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
