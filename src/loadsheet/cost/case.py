"""`predict`: one case per line, one answer per line; a bad line is answered, never fatal."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from loadsheet.cost.components import operators
from loadsheet.cost.operator import total
from loadsheet.cost.shape import Logits, PictureShape, StepShape, TokenShape
from loadsheet.errors import ConfigError, LoadsheetError
from loadsheet.specs.catalog import Catalog

Case = Mapping[str, object]
Answer = dict[str, object]
Answerer = Callable[[Case], Answer]

_TOKEN_FIELDS = {"tokens", "context", "batch", "logits"}
_PICTURE_FIELDS = {"width", "height", "batch", "text_tokens", "frames"}


@dataclass(slots=True)
class FlopsAnswerer:
    """Parameters and GFLOPs of one component at one shape; attention dense, 2 per MAC."""

    catalog: Catalog = field(default_factory=Catalog)

    def __call__(self, case: Case) -> Answer:
        check_fields(case, {"model", "component", "shape"})
        component = self.catalog.component(text(case, "model"), text(case, "component"))
        sums = total(operators(component, shape_of(case.get("shape"))))
        return {"params": sums.params, "gflops": sums.flops / 1e9}


def answer_line(line: str, answerers: Mapping[str, Answerer]) -> Answer:
    """The answer with the case's `id`, or `{"id": …, "error": …}`."""
    case_id: object = None
    try:
        case = json.loads(line, parse_constant=str)  # NaN is no number anywhere
        if not isinstance(case, dict):
            raise ConfigError("a case is a JSON object")
        case_id = case.pop("id", None)
        kind = text(case, "case")
        if kind not in answerers:
            raise ConfigError(f"case {kind!r} is unknown; nearest: {nearest(kind, answerers)}")
        del case["case"]
        return {"id": case_id, **answerers[kind](case)}
    except (LoadsheetError, json.JSONDecodeError) as error:
        return {"id": case_id, "error": str(error)}


def shape_of(value: object) -> StepShape:
    """{tokens, context, batch, logits}, or {width, height, batch, text_tokens, frames}."""
    if not isinstance(value, dict):
        raise ConfigError(f"shape is {value!r}, expected an object")
    if "width" in value or "height" in value:
        check_fields(value, _PICTURE_FIELDS)
        return PictureShape(
            width=whole(value, "width"),
            height=whole(value, "height"),
            batch=whole(value, "batch", 1),
            text_tokens=whole(value, "text_tokens", 0),
            frames=whole(value, "frames", 1),
        )
    check_fields(value, _TOKEN_FIELDS)
    tokens = whole(value, "tokens")
    logits = str(value.get("logits", Logits.LAST))
    if logits not in (Logits.LAST, Logits.ALL, Logits.NONE):
        raise ConfigError(f"logits is {logits!r}, expected last or all")
    return TokenShape(
        tokens=tokens,
        context=whole(value, "context", tokens),
        batch=whole(value, "batch", 1),
        logits=Logits(logits),
    )


def check_fields(case: Case, known: set[str]) -> None:
    unknown = sorted(set(case) - known)
    if unknown:
        near = nearest(unknown[0], known)
        raise ConfigError(f"unknown field {unknown[0]!r}; nearest: {near}")


def text(case: Case, key: str) -> str:
    value = case.get(key)
    if not isinstance(value, str):
        raise ConfigError(f"{key} is {value!r}, expected a string")
    return value


def whole(case: Case, key: str, default: int | None = None) -> int:
    """A whole number ≥ 0; absent and null take the default."""
    value = case.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{key} is {value!r}, expected a whole number")
    return value


def nearest(word: str, known: Mapping[str, object] | set[str]) -> str:
    words = sorted(known)
    return ", ".join(get_close_matches(word, words, n=3, cutoff=0.4) or words)
