"""`loadsheet.explain`: every FLOP, byte, millisecond and dollar of a model, by part.

import loadsheet as ls
sheet = ls.explain("llama-3.1-8b", device="h100-sxm", input_tokens=2048)
print(sheet.table())
sheet.plot().save("roofline.svg")
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from loadsheet.api.breakdown import formula_list, module_table
from loadsheet.api.difference import difference
from loadsheet.api.explanation_text import (
    bill_table,
    headline,
    memory_table,
    phase_table,
    result_table,
)
from loadsheet.api.model import DEFAULT_DEVICE, check_applies, find_device, find_entry
from loadsheet.api.roofline import roofline
from loadsheet.api.training import Training, training
from loadsheet.cost.chart import Chart
from loadsheet.cost.explain import Explanation
from loadsheet.cost.explain import explain as explained
from loadsheet.cost.fit import Reservation, reserve
from loadsheet.cost.stack import Stack
from loadsheet.cost.train import Recompute
from loadsheet.cost.work import Work
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.change import Change, Value, changed
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.precision import Precision, of
from loadsheet.table import bullets


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSheet:
    """An explanation with the model it is of; `before` is the unchanged model where fields were
    changed. All numbers are in `explanation`, in SI units."""

    entry: Entry
    explanation: Explanation
    before: Explanation | None = None
    changes: tuple[str, ...] = ()

    def table(self) -> str:
        """Phases and operator families, memory by owner, results, energy and dollars."""
        shown = self.explanation
        parts = [
            headline(shown, self.entry.model),
            phase_table(shown),
            memory_table(shown.ledger),
            result_table(shown, self.entry.model),
            bill_table(shown),
        ]
        if self.before is not None:
            parts.append(difference(self.before, shown, self.changes))
        return "\n\n".join(parts)

    def plot(self) -> Chart:
        """The roofline with every phase on it."""
        return roofline(self.explanation)

    def modules(self) -> str:
        """A row per module path of the published class."""
        return module_table(self.entry, self.explanation)

    def formulas(self) -> str:
        """Each operator's FLOPs, bytes and roofline, numbers put in."""
        return formula_list(self.entry, self.explanation)

    def reserved(self, share: float) -> Reservation:
        """What a server holds that reserves `share` of the device's memory."""
        shown = self.explanation
        if not isinstance(self.entry.model, DecoderSpec):
            raise ConfigError(f"{shown.model} has no KV cache to reserve memory for")
        return reserve(shown.ledger, shown.device.memory_bytes, share, shown.work)

    def memory(self, share: float) -> str:
        """Why a server of this model holds as many bytes as it does."""
        held = self.reserved(share)
        return "\n\n".join(
            [
                headline(self.explanation, self.entry.model),
                "Needed\n" + memory_table(self.explanation.ledger),
                f"Held by a server that reserves {share:.0%} of the device\n"
                + memory_table(held.ledger),
                bullets(held.sentences()),
            ]
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON: everything in SI units."""
        shown = self.explanation
        phases = [
            {**asdict(part), "intensity": part.intensity, "bound_by": part.bound_by}
            for part in shown.phases
        ]
        whole = shown.bill("request")
        return {
            **asdict(shown),
            "phases": phases,
            "seconds": shown.seconds,
            "bound_s": shown.bound_s,
            "energy_j": whole.energy_j,
            "usd": whole.low_usd,
            "memory_bytes": shown.ledger.total_bytes(),
        }


def explain(  # noqa: PLR0913 - keywords are the interface; a dataclass would only rename them
    model: str,
    *,
    device: str = DEFAULT_DEVICE,
    dtype: str = "bf16",
    kv_dtype: str | None = None,
    batch: int = 1,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    width: int | None = None,
    height: int | None = None,
    frames: int | None = None,
    steps: int | None = None,
    tp: int = 1,
    engine: str | None = None,
    pipeline: str | None = None,
    changes: Mapping[str, Value] | None = None,
    usd_per_hour: float | None = None,
    power_w: float | None = None,
) -> LoadSheet:
    """Take `model` (a catalogue name, hub id or folder with `config.json`) apart on `device`.

    `dtype` names weights and products, `engine` the software of text (vllm, trtllm, sglang),
    `pipeline` that of images (compiled, eager). None takes the default: 512 tokens in and 128 out,
    the model's own picture, vllm, compiled. `changes` edit fields of the model's description, as
    `{"kv_heads": 2}`. Raises SpecError or ConfigError with the rule that was broken.
    """
    entry = find_entry(model)
    check_applies(
        entry,
        {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "kv_dtype": kv_dtype,
            "engine": engine,
            "width": width,
            "height": height,
            "frames": frames,
            "steps": steps,
            "pipeline": pipeline,
        },
    )
    work = Work(
        batch=batch,
        input_tokens=512 if input_tokens is None else input_tokens,
        output_tokens=128 if output_tokens is None else output_tokens,
        width=width,
        height=height,
        frames=frames,
        steps=steps,
    )
    return load_sheet(
        entry,
        find_device(device, usd_per_hour, power_w),
        of(dtype, kv_dtype),
        work,
        Stack(text=engine or "vllm", image=pipeline or "compiled", tp=tp),
        [Change(field, value) for field, value in (changes or {}).items()],
    )


def explain_training(  # noqa: PLR0913 - keywords are the interface, as above
    model: str,
    *,
    device: str = DEFAULT_DEVICE,
    dtype: str = "bf16",
    batch: int = 1,
    tokens: int | None = None,
    width: int | None = None,
    height: int | None = None,
    frames: int | None = None,
    recompute: str = Recompute.NONE,
    changes: Mapping[str, Value] | None = None,
    usd_per_hour: float | None = None,
    power_w: float | None = None,
) -> Training:
    """One training step over `batch` sequences of `tokens`, or pictures: FLOPs, time, memory.
    `recompute` none keeps every activation, full only the inputs of blocks."""
    if recompute not in [*Recompute]:
        raise ConfigError(f"recompute {recompute!r} is unknown; choose none or full")
    entry = find_entry(model)
    edits = [Change(field, value) for field, value in (changes or {}).items()]
    edited = replace(entry, model=changed(entry.model, edits))
    check_applies(
        entry, {"input_tokens": tokens, "width": width, "height": height, "frames": frames}
    )
    work = Work(
        batch=batch,
        input_tokens=512 if tokens is None else tokens,
        width=width,
        height=height,
        frames=frames,
    )
    on = find_device(device, usd_per_hour, power_w)
    return training(edited, on, of(dtype), work, Recompute(recompute))


def load_sheet(
    entry: Entry,
    device: Device,
    precision: Precision,
    work: Work,
    stack: Stack,
    changes: list[Change],
) -> LoadSheet:
    base = explained(entry, device, precision, work, stack)
    if not changes:
        return LoadSheet(entry=entry, explanation=base)
    edited = replace(entry, model=changed(entry.model, changes))
    return LoadSheet(
        entry=edited,
        explanation=explained(edited, device, precision, work, stack),
        before=base,
        changes=tuple(f"{change.field}={change.value}" for change in changes),
    )
