"""An explanation as aligned tables: phases, memory, results, energy and dollars."""

from collections.abc import Callable

from loadsheet.cost.bill import Bill, basis
from loadsheet.cost.explain import Explanation
from loadsheet.cost.ledger import Ledger
from loadsheet.cost.phase import FamilyCost, Phase
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import PipelineSpec
from loadsheet.table import amount, table
from loadsheet.units import format_bytes, format_seconds


def headline(shown: Explanation, model: object) -> str:
    device, stack, work = shown.device, shown.stack, shown.work
    many = f"{stack.tp} x " if stack.tp > 1 else ""
    software = stack.text if _is_served(shown) else f"{stack.image} pipeline"
    facts = [
        f"{shown.model} on {many}{device.name}, {shown.precision.weights}, batch {work.batch}"
        f"{_size(shown, model)}",
        f"{amount(shown.params)} parameters; simulated: expected time under {software}, "
        "and the bare roofline",
    ]
    if shown.is_extrapolated:
        facts.append("note: extrapolated, no kernel of this chip's family was ever measured")
    if device.from_memory:
        facts.append("note: some of this device's figures were never checked against its page")
    trained = model.max_context if isinstance(model, DecoderSpec) else 0
    context = work.input_tokens + work.output_tokens
    if trained and context > trained:
        facts.append(f"note: {context:,} tokens are more than the {trained:,} it was trained for")
    missing = shown.ledger.total_bytes() - device.memory_bytes
    if missing > 0:
        facts.append(
            f"note: {format_bytes(missing)} more than this device holds; times are as if it fit"
        )
    return "\n".join(facts)


def _is_served(shown: Explanation) -> bool:
    return "ttft_s" in shown.facts


def _size(shown: Explanation, model: object) -> str:
    work = shown.work
    if isinstance(model, PipelineSpec):
        size = f", {work.width or model.width}x{work.height or model.height}"
        frames = work.frames or model.frames
        return size + (f", {frames} frames" if frames > 1 else "")
    if _is_served(shown):
        return f", {work.input_tokens} tokens in, {work.output_tokens} out"
    return ""


def phase_table(shown: Explanation) -> str:
    rows: list[list[str]] = []
    for part in shown.phases:
        rows.append(_phase_row(part, shown.seconds))
        rows += [_family_row(row, part.total_seconds / shown.seconds) for row in part.families]
    headers = [
        "phase",
        "runs",
        "params",
        "FLOPs",
        "bytes",
        "FLOP/B",
        "side",
        "roofline",
        "expected",
        "share",
    ]
    ridge = max(part.ridge for part in shown.phases)
    legend = (
        f"One run each; share of the whole request. Side of the ridge, {ridge:.0f} FLOP per byte: "
        "left of it memory decides, right of it compute."
    )
    return table(headers, rows) + "\n" + legend


def _phase_row(part: Phase, whole_s: float) -> list[str]:
    return [
        part.name,
        str(part.repeats),
        amount(part.params),
        amount(part.flops),
        amount(part.num_bytes, "B"),
        f"{part.intensity:.1f}",
        part.bound_by,
        format_seconds(part.bound_s),
        format_seconds(part.seconds),
        f"{100 * part.total_seconds / whole_s:.1f} %",
    ]


def _family_row(row: FamilyCost, phase_share: float) -> list[str]:
    is_kernel = row.num_bytes > 0
    return [
        f"  {row.family}",
        "",
        amount(row.params) if row.params else "",
        amount(row.flops) if row.flops else "",
        amount(row.num_bytes, "B") if is_kernel else "",
        f"{row.intensity:.1f}" if row.flops else "",
        row.side,
        format_seconds(row.bound_s) if is_kernel else "",
        format_seconds(row.seconds),
        f"{100 * row.share * phase_share:.1f} %",
    ]


def memory_table(ledger: Ledger) -> str:
    whole = ledger.total_bytes()
    rows = [
        [
            f"{line.owner} {line.part}".strip(),
            f"{line.num_bytes:,}",
            format_bytes(line.num_bytes),
            f"{100 * line.num_bytes / whole:.1f} %",
        ]
        for line in ledger.lines
    ]
    rows.append(["total", f"{whole:,}", format_bytes(whole), "100.0 %"])
    return table(["memory owner", "bytes", "", "share"], rows)


_FACTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "ttft_s": ("time to first token", format_seconds),
    "tpot_s": ("time per output token", format_seconds),
    "tokens_per_s": ("output tokens per second at this batch", lambda value: f"{value:,.0f}"),
    "saturated_tokens_per_s": (
        "output tokens per second, saturated",
        lambda value: f"{value:,.0f}",
    ),
    "saturated_batch": ("  with a running batch of", lambda value: f"{value:,.0f}"),
    "requests_per_s": ("requests per second", lambda value: f"{value:,.3g}"),
    "s_per_image": ("seconds per image", format_seconds),
    "images_per_s": ("images per second", lambda value: f"{value:.3g}"),
    "kv_bytes_per_token": ("KV bytes per token", lambda value: f"{value:,.0f}"),
    "largest_batch": ("largest batch at this length", lambda value: f"{value:,.0f}"),
    "largest_context": ("largest context at this batch", lambda value: f"{value:,.0f}"),
    "concurrent_images": ("images at once in memory", lambda value: f"{value:,.0f}"),
}


def result_table(shown: Explanation, model: object) -> str:
    is_video = isinstance(model, PipelineSpec) and (shown.work.frames or model.frames) > 1
    rows = [
        [_FACTS[key][0].replace("image", "clip" if is_video else "image"), _FACTS[key][1](value)]
        for key, value in shown.facts.items()
    ]
    rows.append(["whole request, expected", format_seconds(shown.seconds)])
    rows.append(["whole request, bare roofline", format_seconds(shown.bound_s)])
    return table(["result", "value"], rows)


def bill_table(shown: Explanation) -> str:
    headers = ["estimate for", "time", "energy", "$ low", "$ high"]
    is_alone = shown.work.batch == 1 and "s_per_image" in shown.facts
    hidden = "request" if is_alone else ""  # which is the image then
    rows = [_bill_row(one) for one in shown.bills if one.per != hidden]
    return table(headers, rows) + "\n" + basis(shown.device)


def _bill_row(one: Bill) -> list[str]:
    return [
        one.per,
        format_seconds(one.seconds),
        energy(one.energy_j),
        dollars(one.low_usd),
        dollars(one.high_usd),
    ]


def energy(joules: float) -> str:
    """Watt hours from one on, as bills are written."""
    return amount(joules, "J") if joules < 3600 else amount(joules / 3600, "Wh")


def dollars(usd: float | None) -> str:
    return "" if usd is None else f"{usd:.3g}"
