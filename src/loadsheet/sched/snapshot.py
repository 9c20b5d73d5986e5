"""What a device is doing, as counts: for metrics, health and the page."""

from dataclasses import dataclass

from loadsheet.sched.plan import StepPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCounts:
    """`running` sequences hold blocks (prefilling or decoding); `used` excludes promised blocks."""

    model: str
    num_running: int
    num_waiting: int
    used_blocks: int
    total_blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCounts:
    """`running` images hold latents and conditioning of `used_bytes` together."""

    model: str
    num_running: int
    num_waiting: int
    used_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCounts:
    """`running` texts are in a step right now."""

    model: str
    num_running: int
    num_waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`lanes[i]` is the step that runs on lane i, None when it is free."""

    text: tuple[TextCounts, ...]
    images: tuple[ImageCounts, ...]
    lanes: tuple[StepPlan | None, ...]
    is_draining: bool
    encoders: tuple[EncoderCounts, ...] = ()
