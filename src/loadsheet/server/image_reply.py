"""Updates of an image job as one JSON object, or as a stream with an event per finished image."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from loadsheet.runtime.update import Image, Progress
from loadsheet.server.images import ImageCall
from loadsheet.server.job import Job
from loadsheet.server.png import png_base64
from loadsheet.server.sse import comment, data_event


async def whole_images(call: ImageCall, job: Job) -> dict[str, object]:
    """The reply once every image is drawn; raises ApiError when the device fails."""
    encodings: dict[int, asyncio.Task[str]] = {}
    async for index, update in job.updates():
        if isinstance(update, Image):
            encode = asyncio.to_thread(png_base64, update.pixels_HWC)
            encodings[index] = asyncio.create_task(encode)
    images = [
        {"b64_json": await encodings[index], "seed": seed} for index, seed in enumerate(call.seeds)
    ]
    return {**_facts(call), "data": images, "metrics": _metrics(job)}


async def streamed_images(call: ImageCall, job: Job) -> AsyncIterator[bytes]:
    """OpenAI's `image_generation.completed` per image; steps pass by as comments."""
    async for index, update in job.updates():
        if isinstance(update, Progress):
            yield comment(f"image {index} step {update.step_idx + 1}/{update.num_steps}")
        if isinstance(update, Image):
            name = "image_generation.completed"
            image = await asyncio.to_thread(png_base64, update.pixels_HWC)
            facts = {"b64_json": image, "index": index, "seed": call.seeds[index]}
            yield data_event({"type": name, **_event_facts(call), **facts}, name)


def _facts(call: ImageCall) -> dict[str, object]:
    return {
        "created": call.created,
        "model": call.model,
        "size": call.size,
        "output_format": "png",
        "background": "opaque",
        "quality": "auto",
    }


def _event_facts(call: ImageCall) -> Mapping[str, object]:
    facts = _facts(call)
    return {("created_at" if name == "created" else name): value for name, value in facts.items()}


def _metrics(job: Job) -> dict[str, object]:
    """Queue time of the image that waited longest, and time to the last image."""
    queues_s = [timeline.queue_s for timeline in job.timelines if timeline.queue_s is not None]
    ends_s = [timeline.e2e_s for timeline in job.timelines if timeline.e2e_s is not None]
    return {
        "queue_time_ms": round(max(queues_s) * 1e3, 3) if queues_s else None,
        "total_time_ms": round(max(ends_s) * 1e3, 3) if ends_s else None,
    }
