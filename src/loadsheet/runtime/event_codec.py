"""Scheduler events and plans as JSON objects, and back."""

from dataclasses import asdict, dataclass
from typing import Any

from loadsheet.sched.affine_prior import AffinePrior, ImagePrior, TextPrior
from loadsheet.sched.event import Arrived, Cancelled, Event, StepFinished
from loadsheet.sched.limits import (
    DeviceLimits,
    EncoderLimits,
    ImageLimits,
    ImageSize,
    TextLimits,
)
from loadsheet.sched.plan import (
    BlockGrant,
    EncoderBatch,
    EncoderShape,
    ImageBatch,
    ImageItem,
    ImageShape,
    PrefillChunk,
    StepKind,
    StepPlan,
    StepShape,
    TextBatch,
    TextShape,
)
from loadsheet.workload.request import (
    EncodeRequest,
    ImageRequest,
    Request,
    RequestKind,
    TextRequest,
)
from loadsheet.workload.slo import EncodeSLO, ImageSLO, TextSLO

Record = dict[str, Any]  # one line of JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """The moment `Scheduler.drain` was called."""


def encode_event(event: Event, now_s: float) -> Record:
    if isinstance(event, StepFinished):
        return {
            "type": "finished",
            "at_s": now_s,
            "step_id": event.step_id,
            "duration_s": event.duration_s,
            "ended": event.ended,
        }
    if isinstance(event, Arrived):
        request = {"kind": event.request.kind, **asdict(event.request)}
        return {"type": "arrived", "at_s": now_s, "request": request}
    return {"type": "cancelled", "at_s": now_s, "request_id": event.request_id}


def encode_plan(plan: StepPlan, now_s: float, has_new_decodes: bool) -> Record:
    """`decodes` is left out unless it is new since the last plan of the model."""
    record: Record = {
        "type": "plan",
        "at_s": now_s,
        "step_id": plan.step_id,
        "kind": plan.kind,
        "model": plan.model,
        "lane": plan.lane,
        "share": plan.share,
        "predicted_s": plan.predicted_s,
        "shape": asdict(plan.shape),
    }
    if isinstance(plan.batch, ImageBatch):
        record["items"] = [(item.request_id, item.step_idx) for item in plan.batch.items]
        return record
    if isinstance(plan.batch, EncoderBatch):
        record["texts"] = plan.batch.texts
        return record
    record["chunks"] = [
        (chunk.request_id, chunk.num_tokens, chunk.past_tokens, chunk.is_last)
        for chunk in plan.batch.chunks
    ]
    record["grants"] = [(grant.request_id, grant.block_ids) for grant in plan.batch.grants]
    if has_new_decodes:
        record["decodes"] = plan.batch.decodes
    return record


def decode(record: Record, decodes: dict[str, tuple[str, ...]]) -> Event | Drained | StepPlan:
    """`decodes` remembers each model's last decode batch from call to call."""
    match record["type"]:
        case "finished":
            return StepFinished(
                step_id=record["step_id"],
                duration_s=record["duration_s"],
                ended=tuple(record["ended"]),
            )
        case "arrived":
            return Arrived(request=_read_request(record["request"]))
        case "cancelled":
            return Cancelled(request_id=record["request_id"])
        case "drained":
            return Drained()
        case "plan":
            return _read_plan(record, decodes)
        case unknown:
            raise ValueError(f"unknown type {unknown!r}")


def _read_plan(record: Record, decodes: dict[str, tuple[str, ...]]) -> StepPlan:
    kind, model = StepKind(record["kind"]), record["model"]
    batch: TextBatch | ImageBatch | EncoderBatch
    shape: StepShape
    if kind is StepKind.TEXT:
        if "decodes" in record:
            decodes[model] = tuple(record["decodes"])
        batch = _read_text_batch(record, decodes[model])
        shape = TextShape(**record["shape"])
    elif "texts" in record:
        batch = EncoderBatch(texts=tuple(record["texts"]))
        shape = EncoderShape(**record["shape"])
    else:
        items = (ImageItem(request_id=one, step_idx=step_idx) for one, step_idx in record["items"])
        batch = ImageBatch(items=tuple(items))
        shape = ImageShape(**record["shape"])
    return StepPlan(
        step_id=record["step_id"],
        kind=kind,
        model=model,
        lane=record["lane"],
        share=record.get("share", 1.0),
        batch=batch,
        shape=shape,
        predicted_s=record["predicted_s"],
    )


def _read_text_batch(record: Record, decodes: tuple[str, ...]) -> TextBatch:
    chunks = (
        PrefillChunk(request_id=one, num_tokens=num, past_tokens=past, is_last=is_last)
        for one, num, past, is_last in record["chunks"]
    )
    grants = (BlockGrant(request_id=one, block_ids=tuple(ids)) for one, ids in record["grants"])
    return TextBatch(decodes=decodes, chunks=tuple(chunks), grants=tuple(grants))


def _read_request(fields: Record) -> Request:
    rest = {name: value for name, value in fields.items() if name not in ("kind", "slo")}
    if fields["kind"] == "text":
        return TextRequest(slo=TextSLO(**fields["slo"]), **rest)
    if fields["kind"] == "image":
        return ImageRequest(slo=ImageSLO(**fields["slo"]), **rest)
    kind = RequestKind(fields["kind"])
    return EncodeRequest(kind=kind, slo=EncodeSLO(**fields["slo"]), **rest)


def decode_limits(fields: Record) -> DeviceLimits:
    images = (
        {**one, "sizes": tuple(ImageSize(**size) for size in one["sizes"])}
        for one in fields["images"]
    )
    return DeviceLimits(
        text=tuple(TextLimits(**one) for one in fields["text"]),
        images=tuple(ImageLimits(**one) for one in images),
        encoders=tuple(EncoderLimits(**one) for one in fields.get("encoders", ())),
        num_lanes=fields["num_lanes"],
    )


def decode_prior(fields: Record | None) -> AffinePrior | None:
    if fields is None:
        return None
    return AffinePrior(
        text={name: TextPrior(**one) for name, one in fields["text"].items()},
        images={name: ImagePrior(**one) for name, one in fields["images"].items()},
    )
