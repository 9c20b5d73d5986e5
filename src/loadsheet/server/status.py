"""The device in one JSON object, for the page and for whoever scripts: `/v1/loadsheet/status`."""

from loadsheet.runtime.device_loop import LoopSnapshot
from loadsheet.sched.snapshot import EncoderCounts, ImageCounts, TextCounts
from loadsheet.server.serving_loop import ServingLoop


def status(loop: ServingLoop) -> dict[str, object]:
    """Counts since start; two readings give the busy share of the time between them."""
    now_s, snapshot = loop.now_s(), loop.snapshot()
    scheduler = snapshot.scheduler
    return {
        "object": "loadsheet.status",
        "now_s": now_s,
        "is_alive": snapshot.is_alive,
        "is_draining": snapshot.is_draining,
        "lanes": [step.kind if step is not None else None for step in scheduler.lanes],
        "steps": dict(snapshot.steps_by_kind),
        "busy_s": dict(snapshot.busy_s_by_kind),
        "models": [_text(counts) for counts in scheduler.text]
        + [_image(counts) for counts in scheduler.images]
        + [_encoder(counts) for counts in scheduler.encoders],
    }


def server_load(snapshot: LoopSnapshot) -> int:
    """Requests that were accepted and have not ended."""
    scheduler = snapshot.scheduler
    texts = sum(counts.num_running + counts.num_waiting for counts in scheduler.text)
    images = sum(counts.num_running + counts.num_waiting for counts in scheduler.images)
    encoders = sum(counts.num_running + counts.num_waiting for counts in scheduler.encoders)
    return texts + images + encoders


def _text(counts: TextCounts) -> dict[str, object]:
    return {
        "name": counts.model,
        "kind": "text",
        "running": counts.num_running,
        "waiting": counts.num_waiting,
        "kv_blocks": {"used": counts.used_blocks, "total": counts.total_blocks},
    }


def _image(counts: ImageCounts) -> dict[str, object]:
    return {
        "name": counts.model,
        "kind": "image",
        "running": counts.num_running,
        "waiting": counts.num_waiting,
        "latent_bytes": {"used": counts.used_bytes, "total": counts.total_bytes},
    }


def _encoder(counts: EncoderCounts) -> dict[str, object]:
    return {
        "name": counts.model,
        "kind": "encoder",
        "running": counts.num_running,
        "waiting": counts.num_waiting,
    }
