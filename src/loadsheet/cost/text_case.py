"""The `predict` cases of language models under load."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from loadsheet.cost.case import Answer, Case, check_fields, text, whole
from loadsheet.cost.kernel_case import flagged
from loadsheet.cost.serving.load import (
    Latency,
    Lengths,
    closed_loop,
    default_limits,
    open_loop,
    recorded,
)
from loadsheet.cost.serving.offline_text import TextJob, TextRate, offline_text
from loadsheet.cost.serving.replay import Arrival, Limits
from loadsheet.cost.serving.software import TextEngine, text_engine
from loadsheet.cost.serving.text_step import TextModel
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.pipeline import Component
from loadsheet.specs.precision import BITS, of

_NARROW_BITS = 8.5  # engines keep an 8-bit cache beside weights of 8 bits and less
_DEGREES = (1, 2, 4, 8)


@dataclass(slots=True)
class OfflineTextAnswerer:
    catalog: Catalog = field(default_factory=Catalog)
    devices: DeviceCatalog = field(default_factory=DeviceCatalog)
    engine: TextEngine = field(default_factory=lambda: text_engine("trtllm"))

    def __call__(self, case: Case) -> Answer:
        known = {"num_devices", "tp", "pp", "input_tokens", "output_tokens", "batch"}
        check_fields(case, {"model", "device", "dtype"} | known)
        device = self.devices.find(text(case, "device"))
        component = self.catalog.component(text(case, "model"), "decoder")
        rate = self._best(case, component, device)
        answer: Answer = {"output_tokens_per_s": rate.output_tokens_per_s, "batch": rate.batch}
        return flagged(answer, device)

    def _best(self, case: Case, component: Component, device: Device) -> TextRate:
        """At the given degree, or at the one of highest throughput that fits."""
        num_devices, pp = whole(case, "num_devices", 1), whole(case, "pp", 1) or 1
        given = case.get("tp")
        degrees = [whole(case, "tp")] if given is not None else list(_DEGREES)
        rates, refusals = [], []
        for tp in degrees:
            if tp * pp > num_devices:
                refusals.append(f"tp {tp} x pp {pp} is more than {num_devices} devices")
                continue
            job = TextJob(
                model=text_model(case, component, device, tp),
                engine=self.engine,
                input_tokens=whole(case, "input_tokens"),
                output_tokens=whole(case, "output_tokens"),
                batch=None if case.get("batch") is None else whole(case, "batch"),
                replicas=num_devices / (tp * pp),
                pp=pp,
            )
            try:
                rates.append(offline_text(job))
            except CapacityError as error:
                refusals.append(str(error))
        if not rates:
            raise ConfigError(refusals[-1])
        return max(rates, key=lambda rate: rate.output_tokens_per_s)


def text_model(
    case: Case, component: Component, device: Device, tp: int, *, kv: str | None = None
) -> TextModel:
    dtype = text(case, "dtype")
    if kv is None and dtype in BITS and BITS[dtype] <= _NARROW_BITS and dtype not in _KEEP_WIDE:
        kv = "fp8"
    return TextModel(component=component, device=device, precision=of(dtype, kv), tp=tp)


_KEEP_WIDE = frozenset({"int4", "uint4"})  # weight-only formats leave the cache alone


@dataclass(slots=True)
class LoadAnswerer:
    """closed_loop_text, open_loop_text and replay_text, by `kind`."""

    kind: str
    catalog: Catalog = field(default_factory=Catalog)
    devices: DeviceCatalog = field(default_factory=DeviceCatalog)

    def __call__(self, case: Case) -> Answer:
        check_fields(case, _COMMON | _FIELDS[self.kind])
        device = self.devices.find(text(case, "device"))
        component = self.catalog.component(text(case, "model"), "decoder")
        model = text_model(case, component, device, whole(case, "tp", 1) or 1)
        model = replace(model, ep=whole(case, "ep", 1) or 1)
        engine = text_engine(_engine_name(case, self.kind))
        latency = _ANSWERS[self.kind](case, model, engine)
        return flagged(_fields(latency, self.kind), device)


def _engine_name(case: Case, kind: str) -> str:
    """Open-loop figures of TensorRT-LLM come from behind Triton unless a version says otherwise."""
    name = str(case.get("engine") or "vllm")
    if kind == "open_loop_text" and name == "trtllm" and not case.get("engine_version"):
        return "triton"
    return name


_COMMON = {"model", "device", "tp", "dtype", "ep", "engine", "engine_version"}
_LENGTHS = {"input_tokens", "output_tokens"}
_FIELDS = {
    "closed_loop_text": _LENGTHS | {"concurrency"},
    "open_loop_text": _LENGTHS | {"rate_rps", "num_requests"},
    "replay_text": {"max_num_seqs", "kv_tokens", "max_batched_tokens", "requests"},
}


def _closed(case: Case, model: TextModel, engine: TextEngine) -> Latency:
    return closed_loop(model, engine, _lengths(case), whole(case, "concurrency"))


def _open(case: Case, model: TextModel, engine: TextEngine) -> Latency:
    rate = number(case.get("rate_rps"), "rate_rps")
    return open_loop(model, engine, _lengths(case), rate, whole(case, "num_requests", 500))


def _replayed(case: Case, model: TextModel, engine: TextEngine) -> Latency:
    rows = case.get("requests")
    if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) == 3 for r in rows):
        raise ConfigError("requests must be a list of [arrival_s, input_tokens, output_tokens]")
    arrivals = [
        Arrival(
            at_s=number(row[0], "arrival_s"),
            input_tokens=_counted(row[1], "input tokens"),
            output_tokens=_counted(row[2], "output tokens"),
        )
        for row in rows
    ]
    limits = default_limits(model, engine)
    return recorded(
        model,
        engine,
        arrivals,
        Limits(
            max_sequences=whole(case, "max_num_seqs", limits.max_sequences),
            kv_tokens=whole(case, "kv_tokens", limits.kv_tokens),
            token_slots=whole(case, "max_batched_tokens", limits.token_slots),
            is_mixed=engine.is_mixed,
        ),
    )


_ANSWERS: dict[str, Callable[[Case, TextModel, TextEngine], Latency]] = {
    "closed_loop_text": _closed,
    "open_loop_text": _open,
    "replay_text": _replayed,
}


def _fields(latency: Latency, kind: str) -> Answer:
    ttft, tpot = latency.ttft_s * 1e3, latency.tpot_s * 1e3
    if kind == "open_loop_text":
        rate = latency.output_tokens_per_s
        return {"ttft_ms": ttft, "itl_ms": tpot, "output_tokens_per_s": rate}
    if kind == "replay_text":
        return {"makespan_s": latency.makespan_s, "ttft_ms": ttft, "tpot_ms": tpot}
    return {"ttft_ms": ttft, "tpot_ms": tpot}


def _lengths(case: Case) -> Lengths:
    return Lengths(
        input_tokens=whole(case, "input_tokens"), output_tokens=whole(case, "output_tokens")
    )


def _counted(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(
            f"{name} of a request are {value!r}, expected a whole number of 1 or more"
        )
    return value


def number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigError(f"{name} is {value!r}, expected a number of 0 or more")
    return float(value)
