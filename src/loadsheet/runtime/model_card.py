"""What a served model can do, for whoever validates requests before they reach the loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from loadsheet.workload.request import RequestKind
from loadsheet.workload.slo import EncodeSLO, ImageSLO, TextSLO


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    role: str
    content: str


class TextCodec(Protocol):
    """Text to token ids and back; the engine owns the tokenizer behind it."""

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of plain text, with the special tokens the model expects."""
        ...

    def encode_chat(self, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
        """Token ids of a conversation under the model's chat template, ready for the reply."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TextModelCard:
    name: str
    max_context_tokens: int
    vocab_size: int
    codec: TextCodec
    slo: TextSLO = TextSLO()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAdapter:
    """Low-rank weights over a served model: `emoji:high-contrast` is `name` over `base`."""

    base: str
    name: str
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageModelCard:
    """`sizes` lists every (width, height) served; the first is the default.

    With an `adapter`, `name` is what requests call the two together.
    """

    name: str
    sizes: tuple[tuple[int, int], ...]
    default_num_steps: int
    max_num_steps: int
    default_guidance_scale: float
    slo: ImageSLO = ImageSLO()
    adapter: ImageAdapter | None = None

    @property
    def base(self) -> str:
        """The model whose steps these are: itself, or what the adapter is over."""
        return self.name if self.adapter is None else self.adapter.base


class EncoderCodec(Protocol):
    """Text to token ids; the engine owns the tokenizer behind it."""

    @property
    def vocab_size(self) -> int: ...

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids with the special tokens, not cut."""
        ...

    def wrap(self, token_ids: tuple[int, ...]) -> tuple[int, ...]:
        """Token ids of a client between the special tokens, unless they are there already."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderModelCard:
    """Embeddings, or a classifier when it has `labels`.

    `group` is the scheduler's name of the encoder behind it: classifiers that only differ in their
    heads share one, and then share batches. `max_tokens` counts the special tokens.
    """

    name: str
    group: str
    labels: tuple[str, ...]
    max_tokens: int
    embedding_size: int
    codec: EncoderCodec
    slo: EncodeSLO = EncodeSLO()

    @property
    def kind(self) -> RequestKind:
        return RequestKind.CLASSIFY if self.labels else RequestKind.EMBED


ModelCard = TextModelCard | ImageModelCard | EncoderModelCard
