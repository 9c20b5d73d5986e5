"""What the loop is doing at the moment of a scrape: one snapshot, turned into gauges."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from loadsheet.sched.snapshot import EncoderCounts, ImageCounts, TextCounts
from loadsheet.server.metric_names import ENGINE, OMNI, OWN, VLLM
from loadsheet.server.serving_loop import ServingLoop


class LoopGauges(Collector):
    def __init__(self, loop: ServingLoop) -> None:
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        snapshot = self._loop.snapshot()
        scheduler = snapshot.scheduler
        for rows in (
            _text_rows(scheduler.text),
            _image_rows(scheduler.images),
            _encoder_rows(scheduler.encoders),
        ):
            yield from map(_family, rows)
        yield _by_kind("busy_seconds", "Device time by kind of step.", snapshot.busy_s_by_kind)
        yield _by_kind("steps", "Steps run, by kind.", snapshot.steps_by_kind)
        up = GaugeMetricFamily(f"{OWN}up", "1 while the device loop runs.")
        up.add_metric([], float(snapshot.is_alive))
        yield up


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One gauge with a value per model; `labels` are the same on each of them."""

    name: str
    what: str
    values: Mapping[str, float]
    labels: Mapping[str, str]


def _text_rows(counts: Sequence[TextCounts]) -> Iterator[_Row]:
    running = {c.model: float(c.num_running) for c in counts}
    waiting = {c.model: float(c.num_waiting) for c in counts}
    used = {c.model: float(c.used_blocks) for c in counts}
    total = {c.model: float(c.total_blocks) for c in counts}
    share = {c.model: c.used_blocks / c.total_blocks for c in counts}
    for name, what, values in (
        ("num_requests_running", "Sequences that hold cache blocks.", running),
        ("num_requests_waiting", "Sequences that wait for a start.", waiting),
        ("kv_cache_usage_perc", "Used share of the KV cache; 1 is all of it.", share),
    ):
        yield _Row(name=VLLM + name, what=what, values=values, labels={"engine": ENGINE})
    for name, what, values in (
        ("kv_blocks_used", "KV cache blocks in use.", used),
        ("kv_blocks_total", "KV cache blocks there are.", total),
    ):
        yield _Row(name=OWN + name, what=what, values=values, labels={})


def _image_rows(counts: Sequence[ImageCounts]) -> Iterator[_Row]:
    running = {c.model: float(c.num_running) for c in counts}
    waiting = {c.model: float(c.num_waiting) for c in counts}
    used = {c.model: float(c.used_bytes) for c in counts}
    total = {c.model: float(c.total_bytes) for c in counts}
    for name, what, values in (
        (f"{OMNI}num_requests_running", "Images that were begun.", running),
        (f"{OMNI}stage_waiting_requests", "Images that wait for a start.", waiting),
        (f"{OWN}latent_bytes_used", "Bytes of latents and conditioning held.", used),
        (f"{OWN}latent_bytes_total", "Bytes that may be held.", total),
    ):
        yield _Row(name=name, what=what, values=values, labels={})


def _encoder_rows(counts: Sequence[EncoderCounts]) -> Iterator[_Row]:
    running = {c.model: float(c.num_running) for c in counts}
    waiting = {c.model: float(c.num_waiting) for c in counts}
    for name, what, values in (
        ("encoder_requests_running", "Texts in a running step.", running),
        ("encoder_requests_waiting", "Texts that wait for a step.", waiting),
    ):
        yield _Row(name=OWN + name, what=what, values=values, labels={})


def _family(row: _Row) -> Metric:
    family = GaugeMetricFamily(row.name, row.what, labels=["model_name", *row.labels])
    for model, value in row.values.items():
        family.add_metric([model, *row.labels.values()], value)
    return family


def _by_kind(name: str, what: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(OWN + name, what, labels=["step_kind"])
    for kind, value in values.items():
        family.add_metric([kind], value)
    return family
