"""What operators reach on one machine: the constants that `loadsheet calibrate` fits.

A dozen numbers instead of a datasheet: a processor's peak says little about a kernel's rate, and a
shared or virtual machine has no datasheet at all.
"""

from dataclasses import dataclass, fields

from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRates:
    """Rates are reached by large operators: a convolution of `conv_half_rows` output pixels
    runs at half of `conv_flops_per_s`, a product of `gemm_half_rows` rows at half of
    `gemm_flops_per_s`. `launch_s` is paid per operator, the step times once per step,
    `sequence_s` per sequence."""

    gemm_flops_per_s: float
    gemm_half_rows: float
    conv_flops_per_s: float
    conv_half_rows: float
    attention_flops_per_s: float
    memory_bytes_per_s: float  # weights, read once
    kv_bytes_per_s: float  # the cache, gathered
    pointwise_bytes_per_s: float
    launch_s: float
    text_step_s: float
    sequence_s: float
    image_step_s: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_time = field.name.endswith("_s") and not field.name.endswith("_per_s")
            if not (value >= 0 if is_time or "half" in field.name else value > 0):
                raise ConfigError(f"{field.name} of the calibration is {value}; calibrate again")
