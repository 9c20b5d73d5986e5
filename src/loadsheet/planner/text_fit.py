"""A language model on a kind of replica: what its replies take of it."""

import math
from dataclasses import replace

from loadsheet.cost.ledger import Owner
from loadsheet.cost.memory import decoder_ledger, kv_bytes, kv_share
from loadsheet.cost.serving.offline_text import decode_seconds
from loadsheet.cost.serving.software import TextEngine
from loadsheet.cost.serving.text_step import TextModel, prefill_shape, step_seconds
from loadsheet.cost.step_cost import text_engine_on
from loadsheet.planner.demand import Demand, TextSizes
from loadsheet.planner.fit import ClassFit, ModelFit, Seat, usable_bytes
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.units import format_bytes, format_seconds
from loadsheet.workload.slo import TextSLO

TPOT_SHARE = 0.9  # decode a little more often than promised: jitter of steps
MAX_SEQUENCES = 256
_TBT_FACTOR, _TBT_MIN_S = 5.0, 0.25  # how long the scheduler lets a banked stream wait


def text_fit(seat: Seat, demands: tuple[Demand, ...]) -> ModelFit:
    (component,) = seat.entry.components()
    spec, setup = seat.entry.model, seat.setup
    assert isinstance(spec, DecoderSpec)
    longest = max(_text_sizes(demand).longest_tokens for demand in demands)
    ledger = decoder_ledger(seat.model.name, component, 1, longest, setup.precision, seat.tp)
    fixed = tuple(line for line in ledger.lines if line.owner in (Owner.WEIGHTS, Owner.RUNTIME))
    transient = tuple(
        line for line in ledger.lines if line.owner in (Owner.ACTIVATIONS, Owner.COMMUNICATION)
    )
    fit = ModelFit(
        model=seat.model,
        entry=seat.entry,
        device=seat.device,
        tp=seat.tp,
        classes=(),
        tax=0.0,
        step_s=0.0,
        gap_s=math.inf,
        fixed=fixed,
        transient=transient,
    )
    missing = ledger.total_bytes() - usable_bytes(seat.device)
    if missing > 0:
        return replace(fit, rejection=f"out of memory by {format_bytes(missing)} per device")
    return _price_text(seat, fit, demands)


def _price_text(seat: Seat, fit: ModelFit, demands: tuple[Demand, ...]) -> ModelFit:
    (component,) = seat.entry.components()
    model = TextModel(
        component=component, device=seat.device, precision=seat.setup.precision, tp=seat.tp
    )
    engine = text_engine_on(seat.device, seat.setup)
    tightest_s = min(_text_slo(demand).tpot_s for demand in demands)
    longest = max(_text_sizes(demand).context_tokens for demand in demands)
    alone_s = decode_seconds(model, engine, 1, round(longest))
    if alone_s > TPOT_SHARE * tightest_s:
        shown = f"a token takes {format_seconds(alone_s)}"
        return replace(
            fit,
            rejection=f"{shown} alone, more than {TPOT_SHARE:.0%} of {format_seconds(tightest_s)}",
        )
    classes = tuple(_text_class(seat, model, engine, demand) for demand in demands)
    for one in classes:
        limit_s = _text_slo(one.demand).ttft_s
        if one.alone_s > limit_s:
            shown = f"first token {format_seconds(one.alone_s)} > {format_seconds(limit_s)}"
            return replace(fit, rejection=f"{shown} on an idle replica ({one.demand.name})")
    return replace(
        fit,
        classes=classes,
        tax=alone_s / (TPOT_SHARE * tightest_s),
        step_s=alone_s,
        gap_s=max(_TBT_FACTOR * tightest_s, _TBT_MIN_S) - alone_s,
    )


def _text_class(seat: Seat, model: TextModel, engine: TextEngine, demand: Demand) -> ClassFit:
    sizes, slo = _text_sizes(demand), _text_slo(demand)
    context = round(sizes.context_tokens)
    spec, precision = model.spec, seat.setup.precision
    alone_s = decode_seconds(model, engine, 1, context)
    batch = _likely_batch(demand)
    growth_s = max(0.0, decode_seconds(model, engine, batch, context) - alone_s) / (batch - 1)
    prompt = max(1, round(sizes.prompt_tokens))
    prompt_s = step_seconds(model, prefill_shape(prompt), engine)
    held = kv_bytes(spec, round(sizes.resident_tokens), precision) * kv_share(spec, seat.tp)
    # decoding runs as often as others leave time for: at worst at the promised cadence
    return ClassFit(
        demand=demand,
        seconds=prompt_s + growth_s * sizes.output_tokens,
        prompt_s=prompt_s,
        service_s=prompt_s,
        alone_s=prompt_s * max(1.0, sizes.slow_prompt / prompt) + engine.request_ms * 1e-3,
        held_bytes=held,
        held_s=slo.ttft_s / 2 + TPOT_SHARE * slo.tpot_s * sizes.output_tokens,
        service_cv=sizes.prompt_cv,
    )


def _likely_batch(demand: Demand) -> int:
    """Where τ is linearised: sequences of the class on one replica if it were nearly full."""
    sizes, slo = _text_sizes(demand), _text_slo(demand)
    inside = demand.planned_rps * sizes.output_tokens * slo.tpot_s
    return int(min(MAX_SEQUENCES / 2, max(8.0, 2 ** math.ceil(math.log2(max(inside, 1.0))))))


def _text_sizes(demand: Demand) -> TextSizes:
    assert isinstance(demand.sizes, TextSizes), demand.name
    return demand.sizes


def _text_slo(demand: Demand) -> TextSLO:
    assert isinstance(demand.slo, TextSLO), demand.name
    return demand.slo
