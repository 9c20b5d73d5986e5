"""Prometheus series: vLLM's names for text, vLLM-Omni's for images, our own for what they share.

Autoscalers and dashboards key on the exact names, colons included. Counters and histograms grow
with the updates of requests; gauges are read from the loop when scraped. Each app has its own
registry.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.registry import Collector

from loadsheet.runtime.update import Rejected, Token, Update
from loadsheet.server.metric_names import ENGINE, OMNI, OWN, VLLM
from loadsheet.server.timeline import Outcome, Timeline
from loadsheet.workload.request import EncodeRequest, ImageRequest, TextRequest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160)
_GAP_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_STEPS = (1, 2, 4, 8, 10, 15, 20, 25, 30, 40, 50, 100)
_PIXELS = tuple(float(side * side) for side in (64, 128, 256, 512, 768, 1024, 1536, 2048))


class _TextSeries:
    """What vLLM exports about requests, under the same names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens of accepted requests.")
        self.generation_tokens = self._counter("generation_tokens", "Tokens generated.")
        self.success = Counter(
            f"{VLLM}request_success",
            "Requests that ended, by reason.",
            ["model_name", "engine", "finished_reason"],
            registry=registry,
        )
        self.ttft_s = self._histogram("time_to_first_token_seconds", _LATENCY_S)
        self.gap_s = self._histogram("inter_token_latency_seconds", _GAP_S)
        self.tpot_s = self._histogram("request_time_per_output_token_seconds", _GAP_S)
        self.e2e_s = self._histogram("e2e_request_latency_seconds", _LATENCY_S)
        self.queue_s = self._histogram("request_queue_time_seconds", _LATENCY_S)
        self.prefill_s = self._histogram("request_prefill_time_seconds", _LATENCY_S)
        self.decode_s = self._histogram("request_decode_time_seconds", _LATENCY_S)
        self.request_prompt = self._histogram("request_prompt_tokens", _TOKENS)
        self.request_generation = self._histogram("request_generation_tokens", _TOKENS)

    def _counter(self, name: str, what: str) -> Counter:
        return Counter(VLLM + name, what, ["model_name", "engine"], registry=self._registry)

    def _histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        what = name.replace("_", " ").capitalize() + "."
        labels = ["model_name", "engine"]
        return Histogram(VLLM + name, what, labels, buckets=buckets, registry=self._registry)

    def updated(self, timeline: Timeline, update: Update) -> None:
        if not isinstance(update, Token):
            return
        times_s = timeline.token_times_s
        labels = (timeline.request.model, ENGINE)
        self.generation_tokens.labels(*labels).inc()
        if len(times_s) > 1:
            self.gap_s.labels(*labels).observe(times_s[-1] - times_s[-2])
        elif timeline.ttft_s is not None:
            self.ttft_s.labels(*labels).observe(timeline.ttft_s)

    def ended(self, timeline: Timeline, request: TextRequest) -> None:
        labels = (request.model, ENGINE)
        self.success.labels(*labels, str(timeline.outcome)).inc()
        self.prompt_tokens.labels(*labels).inc(request.prompt_tokens)
        self.request_prompt.labels(*labels).observe(request.prompt_tokens)
        self.request_generation.labels(*labels).observe(len(timeline.token_times_s))
        for histogram, seconds in (
            (self.e2e_s, timeline.e2e_s),
            (self.queue_s, timeline.queue_s),
            (self.prefill_s, timeline.prefill_s),
            (self.decode_s, timeline.decode_s),
            (self.tpot_s, timeline.tpot_s),
        ):
            if seconds is not None:
                histogram.labels(*labels).observe(seconds)


class _ImageSeries:
    """What vLLM-Omni exports about diffusion requests, under the same names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.images = Counter(
            f"{OMNI}image_count", "Images drawn.", ["model_name"], registry=registry
        )
        self.pixels = self._histogram("image_pixels", "Pixels per image.", _PIXELS)
        self.num_steps = self._histogram("num_inference_steps", "Denoise steps.", _STEPS)
        self.queue_s = self._histogram("request_queue_wait_s", "Wait for a step.", _LATENCY_S)
        self.draw_s = self._histogram("stage_gen_time_s", "First step to image.", _LATENCY_S)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        labels = ["model_name"]
        return Histogram(OMNI + name, what, labels, buckets=buckets, registry=self._registry)

    def ended(self, timeline: Timeline, request: ImageRequest) -> None:
        if timeline.outcome is not Outcome.DRAWN:
            return
        self.images.labels(request.model).inc()
        self.pixels.labels(request.model).observe(request.width * request.height)
        self.num_steps.labels(request.model).observe(request.num_steps)
        if timeline.queue_s is not None and timeline.e2e_s is not None:
            self.queue_s.labels(request.model).observe(timeline.queue_s)
            self.draw_s.labels(request.model).observe(timeline.e2e_s - timeline.queue_s)


class _EncoderSeries:
    """Embeddings and labels; vLLM's series are about text that is generated, so these are ours."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["model_name", "kind"]
        self.tokens = Counter(
            f"{OWN}encoder_tokens", "Tokens of texts encoded.", labels, registry=registry
        )
        self.e2e_s = Histogram(
            f"{OWN}encoder_latency_seconds",
            "Arrival to embedding or label.",
            labels,
            buckets=_GAP_S,
            registry=registry,
        )

    def ended(self, timeline: Timeline, request: EncodeRequest) -> None:
        if timeline.outcome is not Outcome.ENCODED or timeline.e2e_s is None:
            return
        self.tokens.labels(request.model, str(request.kind)).inc(request.num_tokens)
        self.e2e_s.labels(request.model, str(request.kind)).observe(timeline.e2e_s)


class Telemetry:
    """The recorder of one app, and the text of its `/metrics`."""

    def __init__(self, gauges: Collector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(gauges)
        self._text = _TextSeries(self._registry)
        self._images = _ImageSeries(self._registry)
        self._encoders = _EncoderSeries(self._registry)
        self._requests = Counter(
            f"{OWN}requests",
            "Requests that ended; slo is met, missed or none (did not finish).",
            ["model_name", "kind", "outcome", "slo"],
            registry=self._registry,
        )
        self._rejections = Counter(
            f"{OWN}rejections",
            "Requests refused at admission, by reason.",
            ["model_name", "kind", "reason"],
            registry=self._registry,
        )

    def updated(self, timeline: Timeline, update: Update) -> None:
        request = timeline.request
        if isinstance(update, Rejected):
            reason = str(update.rejection.reason)
            self._rejections.labels(request.model, str(request.kind), reason).inc()
        self._text.updated(timeline, update)

    def ended(self, timeline: Timeline) -> None:
        request = timeline.request
        if timeline.outcome is Outcome.REJECTED:
            return
        labels = (request.model, str(request.kind), str(timeline.outcome), _slo_label(timeline))
        self._requests.labels(*labels).inc()
        if isinstance(request, TextRequest):
            self._text.ended(timeline, request)
        elif isinstance(request, ImageRequest):
            self._images.ended(timeline, request)
        else:
            self._encoders.ended(timeline, request)

    def exposition(self) -> bytes:
        return generate_latest(self._registry)


def _slo_label(timeline: Timeline) -> str:
    if timeline.outcome in (Outcome.ABORT, Outcome.ERROR):
        return "none"
    return "met" if timeline.is_slo_met else "missed"
