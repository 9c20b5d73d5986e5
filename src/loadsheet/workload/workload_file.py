"""Read a workload from TOML. `workload.schema.json` describes the same format for editors.

name = "chat and emoji"
seed = 0
[run]
duration_s = 30
[[traffic]]
name = "chat"
kind = "text"
arrivals = { process = "poisson", rate_rps = 2 }
prompt_tokens = { distribution = "lognormal", mean = 200, cv = 0.8, max = 2000 }
output_tokens = 64
slo = "mlperf:llama3.1-8b-interactive"
"""

import json
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.settings import Table, read_toml
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.lengths import Empirical, Fixed, Length, LogNormal, Uniform
from loadsheet.workload.planning_tables import read_models, read_planning
from loadsheet.workload.rhythm import Bursts, Rhythm, Week
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.slo_presets import slo_preset
from loadsheet.workload.trace import Replay
from loadsheet.workload.trace_presets import trace_preset
from loadsheet.workload.trace_readers import READERS
from loadsheet.workload.traffic import (
    Arrivals,
    ImageTraffic,
    StandaloneSLO,
    TextTraffic,
    Traffic,
)
from loadsheet.workload.workload import RunPlan, Workload

SCHEMA_VERSION = 1
_STANDALONE = "standalone:"


def load_workload(name: str) -> Workload:
    """A file, or the name of a workload that is shipped (`presets/`)."""
    shipped = files("loadsheet.workload").joinpath("presets", f"{name}.toml")
    if Path(name).exists() or not shipped.is_file():
        return read_workload(Path(name))
    return parse_workload(tomllib.loads(shipped.read_text(encoding="utf-8")))


def read_workload(path: Path) -> Workload:
    """The workload of a TOML file; trace paths in it are relative to the file."""
    return _workload(read_toml(path, "workload"), path.parent)


def parse_workload(document: dict[str, object], folder: Path = Path()) -> Workload:
    """The workload of a parsed document; raises ConfigError that names the key."""
    return _workload(Table(document, ""), folder)


def _workload(table: Table, folder: Path) -> Workload:
    version = table.integer("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise ConfigError(f"schema_version is {version}; this program reads {SCHEMA_VERSION}")
    workload = Workload(
        name=table.text("name") or "unnamed",
        seed=table.integer("seed", 0),
        run=_run_plan(table.child("run")),
        models=read_models(table),
        planning=read_planning(table.child("plan")),
        traffic=tuple(_traffic(child, folder) for child in table.children("traffic")),
    )
    table.finish()
    return workload


def workload_schema() -> dict[str, object]:
    """The JSON Schema of the format."""
    text = files("loadsheet.workload").joinpath("workload.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    assert isinstance(schema, dict)
    return schema


def _run_plan(table: Table) -> RunPlan:
    default = RunPlan()
    plan = RunPlan(
        warmup_s=table.number("warmup_s", default.warmup_s),
        duration_s=table.number("duration_s", default.duration_s),
        drain_s=table.number("drain_s", default.drain_s),
        timeout_s=table.number("timeout_s", default.timeout_s),
        measure_alone=table.flag("measure_alone", default.measure_alone),
        standalone_requests=table.integer("standalone_requests", default.standalone_requests),
    )
    table.finish()
    return plan


def _traffic(table: Table, folder: Path) -> Traffic:
    table.required("name")
    table.required("kind")
    kind = table.text("kind")
    if kind not in ("text", "image"):
        raise table.wrong("kind", "'text' or 'image'")
    traffic = _text(table, folder) if kind == "text" else _image(table, folder)
    table.finish()
    return traffic


def _text(table: Table, folder: Path) -> TextTraffic:
    return TextTraffic(
        name=table.text("name") or "text",
        arrivals=_arrivals(table, folder),
        prompt_tokens=_length(table, "prompt_tokens", Fixed(value=128)),
        output_tokens=_length(table, "output_tokens", Fixed(value=64)),
        model=table.text("model"),
        slo=_text_slo(table),
        ignore_eos=table.flag("ignore_eos", True),
    )


def _image(table: Table, folder: Path) -> ImageTraffic:
    default = ImageTraffic(name="", arrivals=ClosedLoop())
    return ImageTraffic(
        name=table.text("name") or "image",
        arrivals=_arrivals(table, folder),
        width=table.integer("width", default.width),
        height=table.integer("height", default.height),
        num_steps=_length(table, "num_steps", Fixed(value=20)),
        guidance_scale=table.optional_number("guidance_scale"),
        num_images=table.integer("num_images", 1),
        partial_images=table.integer("partial_images", 0),
        model=table.text("model"),
        slo=_image_slo(table),
    )


def _arrivals(owner: Table, folder: Path) -> Arrivals:
    owner.required("arrivals")
    table = owner.child("arrivals")
    process = table.text("process")
    if process in ("poisson", "gamma", "constant"):
        return _open_loop(table, process)
    if process == "closed":
        concurrency, think_s = table.integer("concurrency", 1), table.number("think_s", 0.0)
        table.finish()
        return ClosedLoop(concurrency=concurrency, think_s=think_s)
    if process == "trace":
        return _replay(table, folder)
    raise table.wrong("process", "'poisson', 'gamma', 'constant', 'closed' or 'trace'")


def _open_loop(table: Table, process: str) -> OpenLoop:
    """A misspelt key is reported before the value that it leaves missing."""
    rate_rps = table.number("rate_rps", 0.0)
    cv = 0.0 if process == "constant" else 1.0
    if process == "gamma":
        cv = table.number("cv", cv)
    rhythm = _rhythm(table.child("rhythm")) if table.has("rhythm") else None
    table.finish()
    return OpenLoop(rate_rps=rate_rps, cv=cv, rhythm=rhythm)


def _rhythm(table: Table) -> Rhythm:
    match table.text("kind"):
        case "on-off":
            on_s, off_s = table.number("on_s", 0.0), table.number("off_s", 0.0)
            shared = table.text("shared") or ""
            table.finish()
            return Bursts(factors=(1.0, 0.0), dwell_s=(on_s, off_s), shared=shared)
        case "bursts":
            factors, dwell_s = table.numbers("factors"), table.numbers("dwell_s")
            shared = table.text("shared") or ""
            table.finish()
            return Bursts(factors=factors, dwell_s=dwell_s, shared=shared)
        case "week":
            default = Week()
            week = Week(
                hours=table.numbers("hours"),
                weekdays=table.numbers("weekdays") or default.weekdays,
                start_hour=table.number("start_hour", default.start_hour),
                peak_hour=table.number("peak_hour", default.peak_hour),
                swing=table.number("swing", default.swing),
            )
            table.finish()
            return week
        case _:
            raise table.wrong("kind", "'on-off', 'bursts' or 'week'")


def _replay(table: Table, folder: Path) -> Replay:
    table.required("trace")
    source = table.text("trace") or ""
    reader = table.text("format") or "loadsheet"
    if reader not in READERS:
        raise table.wrong("format", " or ".join(repr(name) for name in READERS))
    replay = Replay(
        source=source,
        rows=(),
        time_scale=table.number("time_scale", 1.0),
        length_scale=table.number("length_scale", 1.0),
        start_s=table.number("start_s", 0.0),
        max_requests=table.optional_integer("max_requests"),
    )
    table.finish()
    if source.startswith("preset:"):
        rows = trace_preset(source.removeprefix("preset:"))
    else:
        rows = tuple(READERS[reader](folder / source))
    return replace(replay, rows=rows)


def _length(owner: Table, key: str, default: Length) -> Length:
    value = owner.raw(key)
    if value is None:
        return default
    if not isinstance(value, dict):
        return Fixed(value=owner.integer(key, 0))
    return _distribution(owner.child(key))


def _distribution(table: Table) -> Length:
    match table.text("distribution"):
        case "uniform":
            low, high = table.integer("min", 0), table.integer("max", 0)
            table.finish()
            return Uniform(min=low, max=high)
        case "lognormal":
            mean, cv = table.number("mean", 0.0), table.number("cv", 1.0)
            low, high = table.integer("min", 1), table.integer("max", 1_000_000)
            table.finish()
            return LogNormal(mean=mean, cv=cv, min=low, max=high)
        case "empirical":
            values = tuple(int(value) for value in table.numbers("values"))
            weights = table.numbers("weights")
            table.finish()
            return Empirical(values=values, weights=weights)
        case _:
            raise table.wrong("distribution", "'uniform', 'lognormal' or 'empirical'")


def _text_slo(owner: Table) -> TextSLO:
    value = owner.raw("slo")
    default = TextSLO()
    if isinstance(value, str):
        slo = slo_preset(value)
        if not isinstance(slo, TextSLO):
            raise owner.wrong("slo", "a preset for text")
        return slo
    table = owner.child("slo")
    slo = TextSLO(
        ttft_s=table.number("ttft_s", default.ttft_s),
        tpot_s=table.number("tpot_s", default.tpot_s),
        percentile=table.number("percentile", default.percentile),
    )
    table.finish()
    return slo


def _image_slo(owner: Table) -> ImageSLO | StandaloneSLO:
    value = owner.raw("slo")
    if value is None:
        return StandaloneSLO()
    if isinstance(value, str) and value.startswith(_STANDALONE):
        return StandaloneSLO(factor=_factor(owner, value))
    if isinstance(value, str):
        slo = slo_preset(value)
        if not isinstance(slo, ImageSLO):
            raise owner.wrong("slo", "a preset for images")
        return slo
    table = owner.child("slo")
    default = ImageSLO()
    slo = ImageSLO(
        deadline_s=table.number("deadline_s", default.deadline_s),
        percentile=table.number("percentile", default.percentile),
    )
    table.finish()
    return slo


def _factor(owner: Table, value: str) -> float:
    try:
        factor = float(value.removeprefix(_STANDALONE))
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise owner.wrong("slo", "'standalone:3' or another positive factor")
    return factor
