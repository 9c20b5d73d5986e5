"""Every metric, defined once: simulator, server and benchmark client all call this module.

Times are seconds on one clock. `start_s` is when the request was *due*: the scheduled send of an
open loop, the moment a closed loop's slot was free. Counting from there keeps the wait that a slow
server causes inside the client in the number (no coordinated omission; G. Tene, "How NOT to
measure latency"). `DEFINITIONS` states each formula, and what other tools call by that name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from loadsheet.estimate import Estimate, Floats, interval_of, ratio, resampled_quantiles
from loadsheet.workload.slo import EncodeSLO, ImageSLO, TextSLO


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTiming:
    """One finished text request: `token_s` is when each content chunk came, never empty.

    `num_tokens` may exceed `len(token_s)`: some servers put several tokens into one chunk.
    """

    start_s: float
    token_s: tuple[float, ...]
    num_tokens: int

    @property
    def ttft_s(self) -> float:
        return self.token_s[0] - self.start_s

    @property
    def e2e_s(self) -> float:
        return self.token_s[-1] - self.start_s

    @property
    def tpot_s(self) -> float | None:
        """(e2e − TTFT) / (n − 1); None for one token, or when all came in one chunk."""
        if self.num_tokens < 2 or len(self.token_s) < 2:
            return None
        return (self.e2e_s - self.ttft_s) / (self.num_tokens - 1)

    @property
    def itl_s(self) -> tuple[float, ...]:
        return tuple(later - earlier for earlier, later in pairwise(self.token_s))

    def meets(self, slo: TextSLO) -> bool:
        tpot_s = self.tpot_s
        return self.ttft_s <= slo.ttft_s and (tpot_s is None or tpot_s <= slo.tpot_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTiming:
    """One finished image request: `preview_s` is when each partial image came, if any did.

    An embedding or a label is timed alike: it comes all at once.
    """

    start_s: float
    end_s: float
    preview_s: tuple[float, ...] = ()

    @property
    def time_to_image_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def first_preview_s(self) -> float | None:
        return self.preview_s[0] - self.start_s if self.preview_s else None

    def meets(self, slo: ImageSLO | EncodeSLO) -> bool:
        return self.time_to_image_s <= slo.deadline_s


def goodput_rps(num_good: int, window_s: float) -> float:
    """Requests due in the window that met every SLO of theirs, per second of the window."""
    return num_good / window_s


def interference(
    mixed: Sequence[Sequence[float]],
    alone: Sequence[Sequence[float]],
    q: float,
    rng: np.random.Generator,
) -> Estimate | None:
    """q-quantile in the mix over q-quantile alone; values grouped by request.

    None where the quantile alone is 0, as with chunks that arrive together.
    """
    return ratio(
        _pooled_quantile(mixed, q),
        _pooled_quantile(alone, q),
        resampled_quantiles(mixed, q, rng),
        resampled_quantiles(alone, q, rng),
    )


def share_sum(
    mixed: Sequence[Floats],
    alone: Sequence[Floats],
    rng: np.random.Generator,
    num_resamples: int = 1000,
) -> Estimate:
    """Σ over classes of (rate in the mix / rate alone), from batch rates of each class.

    1 is perfect time slicing, 2 means two classes do not feel each other at all.
    """
    value = sum(
        float(together.mean() / apart.mean()) for together, apart in zip(mixed, alone, strict=True)
    )
    draws = np.zeros(num_resamples)
    for together, apart in zip(mixed, alone, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            draws += _resampled_means(together, rng, num_resamples) / _resampled_means(
                apart, rng, num_resamples
            )
    finite = draws[np.isfinite(draws)]
    return interval_of(finite, value) if len(finite) else Estimate(value=value)


def _pooled_quantile(groups: Sequence[Sequence[float]], q: float) -> float:
    return float(np.quantile(np.concatenate([np.asarray(group) for group in groups]), q))


def _resampled_means(batches: Floats, rng: np.random.Generator, num: int) -> Floats:
    picks = rng.integers(0, len(batches), (num, len(batches)))
    return np.asarray(batches[picks].mean(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a metric's name means here, and what other tools mean by it."""

    name: str
    unit: str
    formula: str
    elsewhere: str = ""


DEFINITIONS = {
    definition.name: definition
    for definition in (
        Definition(
            name="ttft_s",
            unit="s",
            formula="first content chunk − scheduled send; a role-only chunk is no content",
            elsewhere="vllm bench, guidellm, aiperf: from the actual send",
        ),
        Definition(
            name="ttft_from_send_s",
            unit="s",
            formula="first content chunk − actual send",
            elsewhere="what vllm bench, guidellm and aiperf call TTFT",
        ),
        Definition(
            name="tpot_s",
            unit="s",
            formula="(e2e − TTFT) / (n − 1), n output tokens; one number per request, decode only",
            elsewhere=(
                "vllm bench: the same; guidellm: (last − start) / n, which includes TTFT; "
                "aiperf calls this value ITL"
            ),
        ),
        Definition(
            name="itl_s",
            unit="s",
            formula="each gap between two content chunks, pooled over requests; decode only",
            elsewhere=(
                "vllm bench: the same; guidellm: (last − first) / (n − 1) per request; "
                "aiperf: calls the gaps inter_chunk_latency"
            ),
        ),
        Definition(
            name="e2e_s",
            unit="s",
            formula="last content chunk − scheduled send; a usage-only chunk is no content",
            elsewhere="guidellm, aiperf: to the end of the response",
        ),
        Definition(
            name="time_to_image_s",
            unit="s",
            formula="response complete − scheduled send",
            elsewhere="aiperf: request_latency, from the actual send",
        ),
        Definition(
            name="first_preview_s",
            unit="s",
            formula="first partial image − scheduled send",
        ),
        Definition(
            name="client_wait_s",
            unit="s",
            formula="actual send − scheduled send: what the client itself added",
            elsewhere="vllm bench: client_queue_time; guidellm: dispatch delay",
        ),
        Definition(
            name="server_queue_s",
            unit="s",
            formula="queue_time_ms of the server's last chunk, where it sends one",
            elsewhere="vllm bench: server_queue_times",
        ),
        Definition(
            name="output_tokens_per_s",
            unit="tokens/s",
            formula="tokens that arrived in the window / window; with prefill: prompts were "
            "processed in the same time",
            elsewhere="vllm bench: output_throughput over the whole run, ramps included",
        ),
        Definition(
            name="decode_tokens_per_s_per_stream",
            unit="tokens/s",
            formula="1 / mean TPOT: decode only, one stream",
            elsewhere="aiperf: output_token_throughput_per_user = mean of 1 / ITL",
        ),
        Definition(
            name="prompt_tokens_per_s",
            unit="tokens/s",
            formula="prompt tokens of requests whose first token came in the window / window",
        ),
        Definition(
            name="requests_per_s",
            unit="requests/s",
            formula="requests that ended well in the window / window (achieved_rps)",
        ),
        Definition(
            name="images_per_s",
            unit="images/s",
            formula="images complete in the window / window; whole images: encode, steps and VAE",
        ),
        Definition(
            name="denoise_steps_per_s",
            unit="steps/s",
            formula="steps of the images complete in the window / window; whole images",
        ),
        Definition(
            name="megapixels_per_s",
            unit="Mpixel/s",
            formula="pixels of the images complete in the window / window / 10^6",
        ),
        Definition(
            name="goodput_rps",
            unit="requests/s",
            formula="requests due in the window that met every SLO of theirs / window; errors, "
            "timeouts and unfinished ones count as misses",
            elsewhere="vllm bench, guidellm, aiperf: the same idea, latency from the actual send",
        ),
        Definition(
            name="slo_attainment",
            unit="share",
            formula="requests that met every SLO / requests due in the window",
        ),
        Definition(
            name="interference",
            unit="ratio",
            formula="p99 mixed / p99 alone of the same metric, class and offered load",
        ),
        Definition(
            name="share_sum",
            unit="ratio",
            formula="Σ over classes of rate mixed / rate alone (text: output tokens/s with "
            "prefill, images: images/s); 1 = perfect time slicing",
        ),
    )
}
