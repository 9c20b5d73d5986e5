"""How software reaches the kernels: constants of pipelines and engines, from software.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from loadsheet.cost.kernel.operator_time import Software
from loadsheet.cost.kernel.silicon import FOLDER
from loadsheet.errors import ConfigError
from loadsheet.hardware.operator_rates import OperatorRates

_OWN_TOKEN_SLOTS = 512  # what the step scheduler's limits allow by default
_OWN_SEQUENCES = 64
_OWN_MEMORY_SHARE = 0.8  # the rest is the system's


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSoftware:
    """`modulation_share` takes the place of the kernels' fused_share in transformer denoisers.
    `host_us` per operator, paid where the host is the slower side; `step_us` per step for the
    sampler and the loop."""

    kernels: Software
    modulation_share: float
    host_us: float
    step_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEngine:
    """`iteration_us` of scheduling and sampling per iteration, plus `sequence_us` per running
    sequence; `request_ms` once per request, before its first token (transport, tokenizer, queues
    between processes); `link_share` of the all-reduce rate is left between other kernels, and
    devices wait `link_us` for each other before every one; `token_slots` the most tokens one
    iteration takes; `memory_share` what the engine takes of the device for weights and cache;
    `is_mixed` prefills beside decodes; `reserves_output` admits a request only when its whole
    output has room, instead of growing until somebody must go; `eager_us` is the host's time per
    kernel of a prompt, which no graph holds."""

    kernels: Software
    iteration_us: float
    sequence_us: float
    request_ms: float
    link_share: float
    token_slots: int
    is_mixed: bool
    max_sequences: int
    memory_share: float
    link_us: float = 0.0
    reserves_output: bool = False
    eager_us: float = 0.0


@cache
def image_software(mode: str) -> ImageSoftware:
    """`eager` or `compiled`."""
    table = _table("image", mode)
    return ImageSoftware(
        kernels=replace(_kernels(table), is_sustained=True),
        modulation_share=_number(table, "modulation_share"),
        host_us=_number(table, "host_us"),
        step_us=_number(table, "step_us"),
    )


@cache
def text_engine(name: str) -> TextEngine:
    table = _table("text", name)
    return TextEngine(
        kernels=_kernels(table),
        iteration_us=_number(table, "iteration_us"),
        sequence_us=_number(table, "sequence_us"),
        request_ms=_number(table, "request_ms"),
        link_share=_number(table, "link_share"),
        token_slots=round(_number(table, "token_slots")),
        is_mixed=_number(table, "is_mixed") > 0,
        max_sequences=round(_number(table, "max_sequences")),
        memory_share=_number(table, "memory_share"),
        link_us=_number(table, "link_us"),
        reserves_output=_number(table, "reserves_output") > 0,
        eager_us=_number(table, "eager_us"),
    )


def own_text_engine(rates: OperatorRates) -> TextEngine:
    """Our own engine on a machine that was calibrated: its rates hold what software leaves."""
    return TextEngine(
        kernels=Software(),
        iteration_us=rates.text_step_s * 1e6,
        sequence_us=rates.sequence_s * 1e6,
        request_ms=0.0,
        link_share=1.0,
        token_slots=_OWN_TOKEN_SLOTS,
        is_mixed=True,
        max_sequences=_OWN_SEQUENCES,
        memory_share=_OWN_MEMORY_SHARE,
    )


def own_image_software(rates: OperatorRates) -> ImageSoftware:
    return ImageSoftware(
        kernels=Software(), modulation_share=1.0, host_us=0.0, step_us=rates.image_step_s * 1e6
    )


@cache
def _tables() -> Mapping[str, Mapping[str, Mapping[str, object]]]:
    with (FOLDER / "software.toml").open("rb") as handle:
        return tomllib.load(handle)


def _table(kind: str, name: str) -> Mapping[str, object]:
    tables = _tables()[kind]
    if name not in tables:
        raise ConfigError(f"{kind} software {name!r} is unknown; choose {', '.join(tables)}")
    return tables[name]


def _kernels(table: Mapping[str, object]) -> Software:
    return Software(
        fused_share=_number(table, "fused_share"),
        conv_share=_number(table, "conv_share"),
        gemm_share=_number(table, "gemm_share"),
        grouped_share=_number(table, "grouped_share"),
        attention_share=_number(table, "attention_share"),
        launch_share=_number(table, "launch_share"),
    )


def _number(table: Mapping[str, object], key: str) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigError(f"software.toml: {key} is {value!r}, expected a number ≥ 0")
    return float(value)
