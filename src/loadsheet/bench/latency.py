"""Latency distributions of a class, from its records."""

from collections.abc import Sequence

import numpy as np

from loadsheet.bench.record import RequestRecord
from loadsheet.distribution import Distribution, distribution
from loadsheet.workload.request import RequestKind

Groups = list[tuple[float, ...]]  # the values of each request


def latency_groups(records: Sequence[RequestRecord], kind: RequestKind) -> dict[str, Groups]:
    """Values per finished request, by metric; a metric without values is left out."""
    ok = [record for record in records if record.is_ok]
    found = _text_groups(ok) if kind is RequestKind.TEXT else _image_groups(ok)
    waits = [(record.reply.server_queue_s,) for record in ok]
    found["server_queue_s"] = [(wait,) for (wait,) in waits if wait is not None]
    found["client_wait_s"] = [(record.client_wait_s,) for record in ok]
    kept = {name: [group for group in groups if group] for name, groups in found.items()}
    return {name: groups for name, groups in kept.items() if groups}


def distributions(
    records: Sequence[RequestRecord], kind: RequestKind, rng: np.random.Generator
) -> tuple[Distribution, ...]:
    return tuple(
        distribution(name, groups, rng) for name, groups in latency_groups(records, kind).items()
    )


def _text_groups(records: Sequence[RequestRecord]) -> dict[str, Groups]:
    timings = [record.text_timing() for record in records]
    tpots_s = [timing.tpot_s for timing in timings]
    return {
        "ttft_s": [(timing.ttft_s,) for timing in timings],
        "ttft_from_send_s": [
            (timing.ttft_s - record.client_wait_s,)
            for timing, record in zip(timings, records, strict=True)
        ],
        "tpot_s": [(tpot_s,) for tpot_s in tpots_s if tpot_s is not None],
        "itl_s": [timing.itl_s for timing in timings],
        "e2e_s": [(timing.e2e_s,) for timing in timings],
    }


def _image_groups(records: Sequence[RequestRecord]) -> dict[str, Groups]:
    timings = [record.image_timing() for record in records]
    previews_s = [timing.first_preview_s for timing in timings]
    return {
        "time_to_image_s": [(timing.time_to_image_s,) for timing in timings],
        "first_preview_s": [(preview_s,) for preview_s in previews_s if preview_s is not None],
    }
