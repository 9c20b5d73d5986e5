"""Fit an engine's constants to published saturated throughputs; print what was found.

    python scripts/fit_text_engine.py CASES.jsonl --engine trtllm

CASES.jsonl holds one JSON object per line: an `offline_text` case as `predict` takes it, and
`output_tokens_per_s` as measured. Coordinate descent on the mean absolute log error, clipped at
0.7; a refused case counts 0.7. Results go into calibration/software.toml by hand.
"""

import argparse
import dataclasses
import json
import math
import statistics
import sys
from pathlib import Path

from loadsheet.cost.serving.software import TextEngine, text_engine
from loadsheet.cost.text_case import OfflineTextAnswerer
from loadsheet.errors import LoadsheetError

_KERNELS = ("gemm_share", "attention_share", "grouped_share", "fused_share", "launch_share")
_ENGINE = ("iteration_us", "sequence_us", "link_share")
_STEPS = (1.4, 1.18, 1.08)
_CLIP = 0.7


def scaled(engine: TextEngine, name: str, factor: float) -> TextEngine:
    if name in _ENGINE:
        return dataclasses.replace(engine, **{name: getattr(engine, name) * factor})
    value = getattr(engine.kernels, name) * factor
    return dataclasses.replace(engine, kernels=dataclasses.replace(engine.kernels, **{name: value}))


def loss(cases: list[tuple[dict[str, object], float]], engine: TextEngine) -> float:
    answerer = OfflineTextAnswerer(engine=engine)
    return statistics.fmean(error(answerer, case, true) for case, true in cases)


def error(answerer: OfflineTextAnswerer, case: dict[str, object], true: float) -> float:
    try:
        found = answerer(case)["output_tokens_per_s"]
    except LoadsheetError:
        return _CLIP
    return min(abs(math.log(float(str(found)) / true)), _CLIP)


def fit(cases: list[tuple[dict[str, object], float]], engine: TextEngine) -> TextEngine:
    best = loss(cases, engine)
    for step in _STEPS:
        for name in 2 * (*_KERNELS, *_ENGINE):
            for factor in (step, 1 / step):
                candidate = scaled(engine, name, factor)
                if (found := loss(cases, candidate)) < best:
                    engine, best = candidate, found
                    break
        sys.stderr.write(f"step {step}: mean absolute log error {best:.4f}\n")
    return engine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--engine", default="trtllm")
    arguments = parser.parse_args()
    cases = []
    for line in arguments.cases.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        true = float(case.pop("output_tokens_per_s"))
        cases.append(({key: case[key] for key in case if key not in ("id", "case")}, true))
    sys.stdout.write(f"{fit(cases, text_engine(arguments.engine))}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
