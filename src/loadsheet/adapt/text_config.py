"""The recipe of a decoder from nothing; the defaults are those of the full run of the example."""

from dataclasses import dataclass, field

from loadsheet.adapt.loop import LoopConfig
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.errors import ConfigError

PROMPTS = (
    "harbor (noun): ",
    "to whistle, ",
    "The old man looked at the sea and said",
    "In the spring of 1861",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderShape:
    """Sizes of the model. Each of `num_kv_heads` serves num_heads / num_kv_heads query heads."""

    hidden_size: int = 192
    ffn_size: int = 512
    num_layers: int = 5
    num_heads: int = 3
    num_kv_heads: int = 1
    rope_theta: float = 10_000.0

    def config(self, vocab_size: int, context_tokens: int) -> DecoderConfig:
        """As the engine reads it from a folder."""
        for name, of in (("num_heads", self.hidden_size), ("num_kv_heads", self.num_heads)):
            divisor = self.num_heads if name == "num_heads" else self.num_kv_heads
            if divisor < 1 or of % divisor:
                raise ConfigError(f"{name} is {divisor}, no divisor of {of}")
        return DecoderConfig(
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            ffn_size=self.ffn_size,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            head_dim=self.hidden_size // self.num_heads,
            norm_eps=1e-5,
            rope_theta=self.rope_theta,
            rope_scaling=None,
            max_context_tokens=context_tokens,
            has_qkv_bias=False,
            has_out_bias=False,
            has_tied_head=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTextConfig:
    """`files` empty is WordNet and Brown. Measured every `measure_every` steps, and sampled."""

    name: str = "decoder"
    files: tuple[str, ...] = ()
    vocab_size: int = 4096
    context_tokens: int = 512
    batch_size: int = 4
    model: DecoderShape = DecoderShape()
    loop: LoopConfig = field(
        default=LoopConfig(
            num_steps=1400,
            learning_rate=2e-3,
            betas=(0.9, 0.95),
            weight_decay=0.05,
            ema_decay=0.99,
        )
    )
    measure_every: int = 200
    measure_windows: int = 16
    prompts: tuple[str, ...] = PROMPTS
    sample_tokens: int = 48

    def __post_init__(self) -> None:
        counts = {
            "context_tokens": self.context_tokens,
            "batch_size": self.batch_size,
            "measure_every": self.measure_every,
            "measure_windows": self.measure_windows,
            "num_steps": self.loop.num_steps,
        }
        for name, count in counts.items():
            if count < 1:
                raise ConfigError(f"{name} is {count}; give 1 or more")

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.context_tokens * self.loop.accumulate
