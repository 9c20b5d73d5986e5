"""Fits a machine's `OperatorRates` to the steps that were timed on it.

Least squares on the logarithm of predicted over measured (Levenberg-Marquardt), so that every step
counts alike, be it 5 ms or 5 s. A weak pull towards typical values keeps constants that nothing
measured (a machine without an image model has no convolutions) where they are plausible.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields

import numpy as np
import numpy.typing as npt

from loadsheet.cost.components import operators
from loadsheet.cost.kernel.rated_time import rated_seconds
from loadsheet.cost.operator import Operator, OpKind
from loadsheet.cost.serving.image_step import passes
from loadsheet.cost.shape import Span, TokenShape
from loadsheet.cost.step_shape import ImageShape, StepKind, TextShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.calibration_record import Measurement
from loadsheet.hardware.operator_rates import OperatorRates
from loadsheet.specs.catalog import Entry
from loadsheet.specs.precision import of

Floats = npt.NDArray[np.float64]

TYPICAL = OperatorRates(
    gemm_flops_per_s=2e11,
    gemm_half_rows=2.0,
    conv_flops_per_s=1e11,
    conv_half_rows=32.0,
    attention_flops_per_s=5e10,
    memory_bytes_per_s=2e10,
    kv_bytes_per_s=1e10,
    pointwise_bytes_per_s=2e10,
    launch_s=1e-5,
    text_step_s=1e-3,
    sequence_s=1e-4,
    image_step_s=1e-3,
)
_PULL = 0.05  # how much a factor of e away from typical counts, against a residual of 100 %
_PRODUCT, _COPY = "gemm", "copy"
_ENOUGH_RUNS = 4  # fewer make a measurement count less
_ROUNDS = 40
_NUDGE = 1e-4
_TYPICAL_PRODUCT = 1e11  # of one core or two in fp32


def fit_rates(
    measurements: Sequence[Measurement], entries: Mapping[str, Entry], dtype: str
) -> OperatorRates:
    """`entries` by the model names of the measurements."""
    if not measurements:
        raise ConfigError("no step was timed; give the calibration more time with --seconds")
    predicted = _predictor(measurements, entries, dtype)
    measured = np.array([one.seconds for one in measurements])
    weights = np.array([min(1.0, one.runs / _ENOUGH_RUNS) ** 0.5 for one in measurements])
    typical = np.log(np.array(astuple(_scaled(measurements))))

    def residuals(logs: Floats) -> Floats:
        errors = weights * np.log(predicted(_rates(logs)) / measured)
        return np.concatenate([errors, _PULL * (logs - typical)])

    return _rates(_least_squares(residuals, typical))


def fitted_seconds(
    measurements: Sequence[Measurement],
    entries: Mapping[str, Entry],
    dtype: str,
    rates: OperatorRates,
) -> list[float]:
    """What `rates` say of each measurement."""
    found: list[float] = _predictor(measurements, entries, dtype)(rates).tolist()
    return found


def _scaled(measurements: Sequence[Measurement]) -> OperatorRates:
    """Typical rates, as much faster or slower as this machine's matrix products and copies are."""
    products = [one for one in measurements if one.kind == _PRODUCT]
    copies = [one for one in measurements if one.kind == _COPY]
    flops = max((_flops(one) / one.seconds for one in products), default=_TYPICAL_PRODUCT)
    moved = max(
        (one.shape["num_bytes"] / one.seconds for one in copies),
        default=TYPICAL.pointwise_bytes_per_s,
    )
    faster, wider = flops / _TYPICAL_PRODUCT, moved / TYPICAL.pointwise_bytes_per_s
    return OperatorRates(
        **{
            name: value * (faster if "flops_per_s" in name else wider if "bytes" in name else 1.0)
            for name, value in asdict(TYPICAL).items()
        }
    )


def _flops(product: Measurement) -> float:
    shape = product.shape
    return 2.0 * shape["m"] * shape["n"] * shape["k"]


def step_of(measurement: Measurement) -> tuple[StepKind, TextShape | ImageShape]:
    kind = StepKind(measurement.kind)
    numbers = {name: int(value) for name, value in measurement.shape.items()}
    if kind is StepKind.TEXT:
        return kind, TextShape(**numbers)
    width, height, batch = numbers["width"], numbers["height"], numbers["batch"]
    guided = bool(numbers["is_guided"])
    return kind, ImageShape(batch=batch, width=width, height=height, is_guided=guided)


def _rates(logs: Floats) -> OperatorRates:
    names = [field.name for field in fields(OperatorRates)]
    return OperatorRates(**dict(zip(names, np.exp(logs).tolist(), strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _WalkedStep:
    """A measured step as operators, walked once and priced under many rates."""

    operators: tuple[Operator, ...]
    text_steps: int = 0
    sequences: int = 0
    image_steps: int = 0

    def seconds(self, rates: OperatorRates) -> float:
        device_s = sum(op.count * rated_seconds(op, rates) for op in self.operators)
        text_s = self.text_steps * rates.text_step_s + self.sequences * rates.sequence_s
        return device_s + text_s + self.image_steps * rates.image_step_s


def _predictor(
    measurements: Sequence[Measurement], entries: Mapping[str, Entry], dtype: str
) -> Callable[[OperatorRates], Floats]:
    steps = [_walked(one, entries, dtype) for one in measurements]

    def predict(rates: OperatorRates) -> Floats:
        return np.array([step.seconds(rates) for step in steps])

    return predict


def _walked(one: Measurement, entries: Mapping[str, Entry], dtype: str) -> _WalkedStep:
    if one.kind in (_PRODUCT, _COPY):
        return _WalkedStep(operators=(_operator(one),))
    entry, (kind, shape) = entries[one.model], step_of(one)
    if isinstance(shape, ImageShape):
        found = [op for _, walked in passes(entry, dtype, kind, shape) for op in walked]
        return _WalkedStep(operators=tuple(found), image_steps=1)
    (component,) = entry.components()
    walked = [
        op for tokens in _token_shapes(shape) for op in operators(component, tokens, of(dtype))
    ]
    return _WalkedStep(operators=tuple(walked), text_steps=1, sequences=shape.num_decodes)


def _operator(one: Measurement) -> Operator:
    """What NumPy ran, in fp32."""
    if one.kind == _COPY:
        num_bytes = round(one.shape["num_bytes"])
        return Operator(name=_COPY, kind=OpKind.POINTWISE, bytes_read=num_bytes)
    m, n, k = (round(one.shape[side]) for side in ("m", "n", "k"))
    return Operator(
        name=_PRODUCT,
        kind=OpKind.GEMM,
        flops=2 * m * n * k,
        bytes_read=4 * (m * k + k * n),
        bytes_written=4 * m * n,
        weight_bytes=4 * k * n,
        m=m,
        n=n,
        k=k,
        dtype="fp32",
        stored_as="fp32",
    )


def _token_shapes(shape: TextShape) -> Iterator[TokenShape]:
    """Steps that were timed hold decodes or one chunk, never both."""
    batch = shape.num_decodes
    if batch:
        context = round(shape.decode_context_tokens / batch) + 1
        yield TokenShape(tokens=1, context=context, batch=batch, span=Span.SERVED)
    if shape.prefill_tokens:
        context = shape.prefill_tokens + shape.prefill_context_tokens
        yield TokenShape(tokens=shape.prefill_tokens, context=context, span=Span.SERVED)


def _least_squares(residuals: Callable[[Floats], Floats], start: Floats) -> Floats:
    """Marquardt's damping by the diagonal; stops when no step helps any more."""
    x, damping = start, 1e-2
    found = residuals(x)
    for _ in range(_ROUNDS):
        slopes = np.stack(
            [(residuals(x + _NUDGE * unit) - found) / _NUDGE for unit in np.eye(len(x))], axis=1
        )
        normal = slopes.T @ slopes
        while damping < 1e6:
            damped = normal + damping * np.diag(np.diag(normal))
            tried = x - np.linalg.solve(damped, slopes.T @ found)
            new = residuals(tried)
            if new @ new < found @ found:
                break
            damping *= 4
        else:
            return x
        gained = float(found @ found - new @ new)
        x, found, damping = tried, new, damping / 4
        if gained < 1e-9:
            return x
    return x
