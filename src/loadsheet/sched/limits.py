"""What one device offers the scheduler: cache blocks, latent bytes, queue bounds, lanes."""

from dataclasses import dataclass

from loadsheet.errors import ConfigError

MAX_LANES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLimits:
    """One text model. `num_blocks` blocks of `block_tokens` tokens hold its whole KV cache."""

    model: str
    num_blocks: int
    block_tokens: int = 16
    max_context_tokens: int = 8192
    max_num_seqs: int = 64
    max_waiting: int = 256
    max_chunk_tokens: int = 512

    def __post_init__(self) -> None:
        _check_positive(
            self.model,
            num_blocks=self.num_blocks,
            block_tokens=self.block_tokens,
            max_context_tokens=self.max_context_tokens,
            max_num_seqs=self.max_num_seqs,
            max_waiting=self.max_waiting,
            max_chunk_tokens=self.max_chunk_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSize:
    """A supported size in pixels and the bytes one request of it keeps between steps."""

    width: int
    height: int
    state_bytes: int

    def __post_init__(self) -> None:
        _check_positive("an image size", width=self.width, height=self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """One image model. `budget_bytes` bounds the latents and conditioning of started images."""

    model: str
    sizes: tuple[ImageSize, ...]
    budget_bytes: int
    max_batch: int = 8
    max_steps: int = 100
    max_waiting: int = 64

    def __post_init__(self) -> None:
        _check_positive(
            self.model,
            num_sizes=len(self.sizes),
            max_batch=self.max_batch,
            max_steps=self.max_steps,
            max_waiting=self.max_waiting,
        )

    def state_bytes(self, width: int, height: int) -> int | None:
        """What one request of this size keeps; None when the size is not offered."""
        for size in self.sizes:
            if (size.width, size.height) == (width, height):
                return size.state_bytes
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderLimits:
    """One encoder as it is, or wearing one adapter. A batch holds at most `max_batch` texts and,
    padded to the longest, `max_batch_tokens` tokens."""

    model: str
    max_tokens: int = 512
    max_batch: int = 32
    max_batch_tokens: int = 4096
    max_waiting: int = 1024

    def __post_init__(self) -> None:
        _check_positive(
            self.model,
            max_tokens=self.max_tokens,
            max_batch=self.max_batch,
            max_batch_tokens=self.max_batch_tokens,
            max_waiting=self.max_waiting,
        )
        if self.max_batch_tokens < self.max_tokens:
            raise ConfigError(
                f"max_batch_tokens of {self.model} is {self.max_batch_tokens}; the longest text "
                f"has {self.max_tokens}, give at least that"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLimits:
    """Model names are unique within a kind. With two lanes, text has one and the rest the other
    while both have work (see lane_rule)."""

    text: tuple[TextLimits, ...] = ()
    images: tuple[ImageLimits, ...] = ()
    encoders: tuple[EncoderLimits, ...] = ()
    num_lanes: int = 1

    @property
    def models(self) -> tuple[str, ...]:
        """Every model's name: text, images, encoders."""
        text = tuple(one.model for one in self.text)
        images = tuple(one.model for one in self.images)
        return text + images + tuple(one.model for one in self.encoders)

    def __post_init__(self) -> None:
        _check_positive("a device", num_lanes=self.num_lanes)
        if self.num_lanes > MAX_LANES:
            raise ConfigError(f"num_lanes of a device is {self.num_lanes}; give 1 or {MAX_LANES}")
        for models in (
            [one.model for one in self.text],
            [one.model for one in self.images],
            [one.model for one in self.encoders],
        ):
            if len(set(models)) < len(models):
                raise ConfigError(f"model names {models} repeat; give each model its own name")


def _check_positive(owner: str, **values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ConfigError(f"{name} of {owner} is {value}; it must be at least 1")
