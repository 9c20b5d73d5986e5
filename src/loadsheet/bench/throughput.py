"""Rates of a class over a window, each in equal slices so that an interval can be given."""

from collections.abc import Callable, Sequence

from loadsheet.bench.load import Window
from loadsheet.bench.record import RequestRecord
from loadsheet.estimate import Estimate, Floats, batch_rates, mean, rate
from loadsheet.workload.request import RequestKind
from loadsheet.workload.shape import ImageShape

Credits = list[tuple[float, float]]  # (when, how much)


def rates(
    records: Sequence[RequestRecord], kind: RequestKind, window: Window
) -> dict[str, Estimate]:
    """Every rate of the class by its name in metrics.DEFINITIONS.

    What arrives inside the window counts, whenever it was asked for: in a steady state as much
    work crosses the window's beginning as its end.
    """
    return {
        name: rate(list(_batches(credit(records), window)))
        for name, credit in _CREDITS[kind].items()
    }


def main_rate_batches(
    records: Sequence[RequestRecord], kind: RequestKind, window: Window
) -> Floats:
    """The rate that share sums compare: output tokens/s with prefill, or images/s."""
    credit = _output_tokens if kind is RequestKind.TEXT else _images
    return _batches(credit(records), window)


def decode_rate(tpots_s: Sequence[float]) -> Estimate | None:
    """1 / mean TPOT; None without a request of two tokens."""
    if not tpots_s or sum(tpots_s) == 0:
        return None
    tpot = mean(tpots_s)
    return Estimate(
        value=1 / tpot.value,
        low=None if tpot.high is None else 1 / tpot.high,
        high=None if tpot.low is None or tpot.low <= 0 else 1 / tpot.low,
    )


def _batches(credits_: Credits, window: Window) -> Floats:
    times_s, weights = [at for at, _ in credits_], [weight for _, weight in credits_]
    return batch_rates(times_s, weights, start_s=window.start_s, end_s=window.end_s)


def _output_tokens(records: Sequence[RequestRecord]) -> Credits:
    """A request that was cut still delivered its chunks; several tokens may share a chunk."""
    return [
        (stamp / 1e9, record.num_tokens / len(record.reply.chunk_ns))
        for record in records
        for stamp in record.reply.chunk_ns
    ]


def _prompt_tokens(records: Sequence[RequestRecord]) -> Credits:
    return [
        (record.reply.chunk_ns[0] / 1e9, float(record.reply.prompt_tokens))
        for record in records
        if record.reply.chunk_ns and record.reply.prompt_tokens is not None
    ]


def _requests(records: Sequence[RequestRecord]) -> Credits:
    return [(record.ended_s, 1.0) for record in records if record.is_ok]


def _images(records: Sequence[RequestRecord]) -> Credits:
    return [(record.ended_s, float(record.reply.num_images)) for record in records if record.is_ok]


def _denoise_steps(records: Sequence[RequestRecord]) -> Credits:
    return [
        (record.ended_s, float(record.shape.num_steps * record.reply.num_images))
        for record in records
        if record.is_ok and isinstance(record.shape, ImageShape)
    ]


def _megapixels(records: Sequence[RequestRecord]) -> Credits:
    return [
        (record.ended_s, record.shape.width * record.shape.height * record.reply.num_images / 1e6)
        for record in records
        if record.is_ok and isinstance(record.shape, ImageShape)
    ]


_CREDITS: dict[RequestKind, dict[str, Callable[[Sequence[RequestRecord]], Credits]]] = {
    RequestKind.TEXT: {
        "requests_per_s": _requests,
        "output_tokens_per_s": _output_tokens,
        "prompt_tokens_per_s": _prompt_tokens,
    },
    RequestKind.IMAGE: {
        "requests_per_s": _requests,
        "images_per_s": _images,
        "denoise_steps_per_s": _denoise_steps,
        "megapixels_per_s": _megapixels,
    },
}
