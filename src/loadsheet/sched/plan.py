"""What a device does next: one step, a batch of like work.

A plan names requests, token counts and cache blocks. It holds no token ids and no tensors; `engine`
lowers it to a ragged batch. Membership of the decode batch is one tuple that is reused while nobody
joins or leaves, and cache blocks travel as a delta, so that planning a step costs far less than
running it.
"""

from dataclasses import dataclass

from loadsheet.cost.step_shape import EncoderShape, ImageShape, StepKind, StepShape, TextShape

__all__ = [
    "BlockGrant",
    "EncoderBatch",
    "EncoderShape",
    "ImageBatch",
    "ImageItem",
    "ImageShape",
    "PrefillChunk",
    "StepKind",
    "StepPlan",
    "StepShape",
    "TextBatch",
    "TextShape",
    "Wait",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillChunk:
    """`num_tokens` of a prompt after `past_tokens` of it; the last chunk samples a token."""

    request_id: str
    num_tokens: int
    past_tokens: int
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockGrant:
    """Cache blocks appended to a request's block table before this step runs."""

    request_id: str
    block_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBatch:
    """Every id in `decodes` advances by one token; `chunks` run in the same step."""

    decodes: tuple[str, ...]
    chunks: tuple[PrefillChunk, ...]
    grants: tuple[BlockGrant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageItem:
    """One image of a batch; `step_idx` counts denoise steps from 0, unused by other kinds."""

    request_id: str
    step_idx: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBatch:
    items: tuple[ImageItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderBatch:
    """Texts of one model that go through its encoder together, each for the only time."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step on one lane. `batch` and `shape` are text's exactly when `kind` is TEXT.

    `share` of the device's units compute it: all of them, or the lane's half.
    """

    step_id: int
    kind: StepKind
    model: str
    lane: int
    batch: TextBatch | ImageBatch | EncoderBatch
    shape: StepShape
    predicted_s: float
    share: float = 1.0

    def request_ids(self) -> tuple[str, ...]:
        """Every request this step works for."""
        if isinstance(self.batch, TextBatch):
            return self.batch.decodes + tuple(chunk.request_id for chunk in self.batch.chunks)
        if isinstance(self.batch, EncoderBatch):
            return self.batch.texts
        return tuple(item.request_id for item in self.batch.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing should run before `until_s` unless an event comes first."""

    until_s: float
