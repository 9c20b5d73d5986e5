"""FLOPs and parameters of 70 published shapes, counted on the real classes by FlopCounterMode."""

import csv
import json
from pathlib import Path

import pytest

from loadsheet.cost.components import operators
from loadsheet.cost.operator import total
from loadsheet.cost.shape import Logits, PictureShape, StepShape, TokenShape
from loadsheet.specs.catalog import Catalog

DATA = Path(__file__).parents[2] / "data/flops_cases.csv"
ROWS = list(csv.DictReader(DATA.read_text(encoding="utf-8").splitlines()))


def shape_of(fields: dict) -> StepShape:
    if "width" in fields:
        return PictureShape(**fields)
    logits = Logits(fields.get("logits", "none"))
    context = fields.get("context", fields["tokens"])
    return TokenShape(
        tokens=fields["tokens"], context=context, batch=fields["batch"], logits=logits
    )


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row['model']} {row['component']} {row['shape']}"
)
def test_row_is_met(row):
    component = Catalog().find(row["model"]).component(row["component"])
    sums = total(operators(component, shape_of(json.loads(row["shape"]))))
    assert sums.flops / 1e9 == pytest.approx(float(row["gflops"]), rel=1e-9)
    assert sums.params == int(row["params"])
