"""How much work one step does: tokens for text, pixels for pictures."""

from dataclasses import dataclass
from enum import StrEnum

from loadsheet.errors import ConfigError


class Logits(StrEnum):
    NONE = "none"  # hidden states only, as a text encoder
    LAST = "last"  # one position per sequence, as in serving
    ALL = "all"


class Span(StrEnum):
    """Which (query, key) pairs are paid for."""

    DENSE = "dense"  # every pair: what counters and unfused kernels see
    SERVED = "served"  # causal pairs inside the window: what serving kernels compute


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenShape:
    """`tokens` new tokens of each of `batch` sequences; `context` counts them and what is cached.

    `is_absorbed` multiplies latent attention's expansion into the queries (DeepSeek-V2 section
    2.1.2), which decode does and prefill does not.
    """

    tokens: int
    context: int
    batch: int = 1
    logits: Logits = Logits.LAST
    span: Span = Span.DENSE
    is_absorbed: bool = False

    def __post_init__(self) -> None:
        _positive(self.tokens, "tokens")
        _positive(self.batch, "batch")
        if self.context < self.tokens:
            raise ConfigError(
                f"context {self.context} counts the {self.tokens} new tokens; "
                f"it must be at least {self.tokens}"
            )

    @property
    def rows(self) -> int:
        return self.batch * self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureShape:
    """Pixels of the finished picture; `batch` counts both halves of guidance."""

    width: int
    height: int
    batch: int = 1
    text_tokens: int = 0
    frames: int = 1

    def __post_init__(self) -> None:
        for name, value in (("width", self.width), ("height", self.height)):
            _positive(value, name)
        _positive(self.batch, "batch")
        _positive(self.frames, "frames")
        if self.text_tokens < 0:
            raise ConfigError(f"text_tokens is {self.text_tokens}; it must be 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A feature map: `batch` pictures of `frames` x `height` x `width`."""

    batch: int
    height: int
    width: int
    frames: int = 1

    @property
    def pixels(self) -> int:
        """Positions of one sample."""
        return self.frames * self.height * self.width

    @property
    def size(self) -> int:
        return self.batch * self.pixels

    def scaled(self, up: int = 1, down: int = 1) -> "Grid":
        """Rounded up, as a strided 3x3 convolution with padding does."""
        return Grid(
            batch=self.batch,
            height=-(-self.height * up // down),
            width=-(-self.width * up // down),
            frames=self.frames,
        )

    def with_frames(self, frames: int) -> "Grid":
        return Grid(batch=self.batch, height=self.height, width=self.width, frames=frames)


StepShape = TokenShape | PictureShape


def latent_grid(shape: PictureShape, factor: int) -> Grid:
    """The latent of a picture, `factor` pixels to a side."""
    for name, value in (("width", shape.width), ("height", shape.height)):
        if value % factor:
            low, high = value // factor * factor, -(-value // factor) * factor
            near = f"{low} and {high}" if low else f"{high}"
            raise ConfigError(
                f"{name} {value} is not a multiple of {factor} (pixels per token); nearest: {near}"
            )
    return Grid(batch=shape.batch, height=shape.height // factor, width=shape.width // factor)


def _positive(value: int, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name} is {value!r}; it must be a whole number ≥ 1")
