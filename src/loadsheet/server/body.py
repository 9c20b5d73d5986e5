"""Strict JSON bodies: types are not guessed, extras are kept so that they can be reported.

NaN, infinities, booleans where numbers belong, lone surrogates and NUL characters end here, as a
400 that names the field; nothing behind this file sees them.
"""

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from loadsheet.server.errors import ApiError, invalid

_FIELD_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_MAX_IGNORED = 20


class Body(BaseModel):
    """Root of every request body."""

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        allow_inf_nan=False,
        frozen=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    def extras(self) -> dict[str, object]:
        """Fields that the schema does not name."""
        return dict(self.model_extra or {})


def without_nul(text: str) -> str:
    """The text itself; NUL ends strings in too many places behind us to let it in."""
    if "\x00" in text:
        raise PydanticCustomError("nul_character", "text must not contain NUL characters")
    return text


Text = Annotated[str, AfterValidator(without_nul)]

_BodyT = TypeVar("_BodyT", bound=Body)


def parse(schema: type[_BodyT], body: bytes) -> _BodyT:
    """The body as `schema`; raises ApiError (400) that names the first wrong field."""
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _api_error(first) from None


def ignored_header(names: tuple[str, ...]) -> dict[str, str]:
    """`X-Loadsheet-Ignored` with the names of accepted but unused fields; empty without any."""
    if not names:
        return {}
    shown = [name if _FIELD_NAME.fullmatch(name) else "?" for name in names[:_MAX_IGNORED]]
    return {"X-Loadsheet-Ignored": ",".join(dict.fromkeys(shown))}


def _api_error(error: ErrorDetails) -> ApiError:
    param = _dotted(error["loc"])
    reason = error["msg"].removeprefix("Value error, ")
    match error["type"]:
        case "json_invalid":
            return invalid(f"the body is not valid JSON: {reason}", code="invalid_json")
        case "missing":
            return invalid(f"{param} is required", param, "missing_required_parameter")
        case "unsupported_parameter":
            return invalid(reason, param, "unsupported_parameter")
        case "model_type" if param is None:
            return invalid("the body must be a JSON object", code="invalid_json")
        case "model_type":
            return invalid(f"{param}: give a JSON object", param)
        case "string_unicode":
            return invalid(f"{param}: text must be valid Unicode", param)
    return invalid(f"{param}: {reason[:1].lower()}{reason[1:]}", param)


def _dotted(location: tuple[int | str, ...]) -> str | None:
    """`("messages", 0, "content")` → `"messages[0].content"`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or None
