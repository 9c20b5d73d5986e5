"""Number formats: how many bits a stored value takes, scales included."""

from dataclasses import dataclass

from loadsheet.errors import ConfigError

# Bits per stored weight. Block formats carry their scales: nvfp4 one 8-bit scale per 16 values,
# mxfp4 one per 32, int4 a 16-bit scale per 128 values, uint4 a 4-bit zero point beside it.
BITS: dict[str, float] = {
    "fp32": 32,
    "tf32": 32,
    "bf16": 16,
    "fp16": 16,
    "fp8": 8,
    "int8": 8,
    "fp4": 4 + 8 / 16,
    "nvfp4": 4 + 8 / 16,
    "mxfp4": 4 + 8 / 32,
    "int4": 4 + 16 / 128,
    "uint4": 4 + 20 / 128,
}
WEIGHT_ONLY = frozenset({"int4", "uint4"})  # multiplied in 16 bits after unpacking


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """`weights` names matrices; norms, embeddings and routers stay in `activations`."""

    weights: str = "bf16"
    activations: str = "bf16"
    kv: str = "bf16"

    def __post_init__(self) -> None:
        for name in (self.weights, self.activations, self.kv):
            if name not in BITS:
                raise ConfigError(f"dtype {name!r} is unknown; choose from {', '.join(BITS)}")

    @property
    def compute(self) -> str:
        """The format in which matrices multiply."""
        return self.activations if self.weights in WEIGHT_ONLY else self.weights


def of(dtype: str, kv: str | None = None) -> Precision:
    """Weights and matmuls in `dtype`, everything else in 16 bits (32 when `dtype` is fp32)."""
    wide = dtype if dtype in ("fp32", "bf16", "fp16") else "bf16"
    return Precision(weights=dtype, activations=wide, kv=kv or wide)


def stored_bytes(num_values: float, dtype: str) -> int:
    return round(num_values * BITS[dtype] / 8)
