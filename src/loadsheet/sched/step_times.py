"""How long a step will take: a prior, corrected by what was measured.

    predicted = prior(shape) · factor(bucket)
    factor   ← (1 - α)·factor + α·min(measured / prior, 2·factor)      α = max(1/n, 0.1)

Shapes are bucketed by powers of two; a bucket that was never seen borrows the factor of its kind
and model. A step is never faster than the device but may be slower for a hundred reasons, so only
slow outliers are clamped. The margin follows Jacobson's retransmission timer (SIGCOMM 1988): a
multiple of the mean deviation, here in seconds per kind.
"""

from collections.abc import Callable
from typing import Protocol

from loadsheet.sched.plan import EncoderShape, ImageShape, StepKind, StepShape, TextShape

Prior = Callable[[StepKind, str, StepShape], float]

_MIN_WEIGHT = 0.1
_MAX_RATIO = 2.0  # one observation moves a factor by at most this much upwards
_MARGIN_DEVIATIONS = 3.0
# of a step whose share of the device is s, before one was observed: s to the minus this power.
# Two halves of two cores that work at once do 1.26 times what both do in turn.
SHARE_POWER = 0.66


class StepTimes(Protocol):
    """Seconds of a step before it runs. Deterministic in what was observed."""

    @property
    def is_learning(self) -> bool:
        """Whether `observe` changes predictions."""
        ...

    def predict(self, kind: StepKind, model: str, shape: StepShape) -> float: ...

    def observe(self, kind: StepKind, model: str, shape: StepShape, seconds: float) -> None: ...

    def margin(self, kind: StepKind) -> float:
        """Seconds to add to a prediction of this kind to be rarely wrong."""
        ...

    def at(self, share: float) -> "StepTimes":
        """Those of steps on this share of the device, which learn apart."""
        ...


def small_cpu_prior(kind: StepKind, model: str, shape: StepShape) -> float:
    """A 0.1 B decoder and a small latent image model on a few CPU cores, to the order of magnitude.

    Constants are guesses that the first observations replace: 15 ms per iteration, 0.5 ms per
    token, 0.2 µs per token of context; per image of 256 x 256 pixels 40 ms for each denoiser pass,
    150 ms for the VAE, 10 ms for the encoder, and 10 ms per step of any kind. An encoder of 20 M
    parameters takes 0.1 ms per token.
    """
    del model
    if isinstance(shape, EncoderShape):
        return 0.005 + 0.0001 * shape.batch * shape.tokens
    if isinstance(shape, TextShape):
        tokens = shape.num_decodes + shape.prefill_tokens
        context_tokens = shape.decode_context_tokens + shape.prefill_context_tokens
        return 0.015 + 0.0005 * tokens + 2e-7 * context_tokens
    if kind is StepKind.ENCODE:
        return 0.01 + 0.01 * shape.batch
    pass_s = 0.15 if kind is StepKind.VAE_DECODE else 0.04 * (1 + shape.is_guided)
    return 0.01 + shape.batch * pass_s * (shape.width * shape.height / 65536)


def slowdown(share: float) -> float:
    """Of a step on this share of the device, beside one on the whole."""
    return float(share**-SHARE_POWER)


class KnownStepTimes:
    """`StepTimes` that are certain: a simulated device takes exactly as long as its price."""

    __slots__ = ("_parts", "predict")

    is_learning = False

    def __init__(self, prior: Prior) -> None:
        self.predict = prior
        self._parts: dict[float, KnownStepTimes] = {1.0: self}

    def at(self, share: float) -> "KnownStepTimes":
        if share not in self._parts:
            slower, whole = slowdown(share), self.predict
            self._parts[share] = KnownStepTimes(
                lambda kind, model, shape: slower * whole(kind, model, shape)
            )
        return self._parts[share]

    def observe(self, kind: StepKind, model: str, shape: StepShape, seconds: float) -> None:
        """Nothing to learn."""

    def margin(self, kind: StepKind) -> float:
        del kind
        return 0.0


class LearnedStepTimes:
    """`StepTimes` that starts from a prior and learns a factor per bucket of shapes."""

    __slots__ = ("_deviations", "_factors", "_parts", "_prior")

    is_learning = True

    def __init__(self, prior: Prior = small_cpu_prior) -> None:
        self._prior = prior
        self._factors: dict[tuple[object, ...], _Mean] = {}
        self._deviations: dict[StepKind, _Mean] = {}
        self._parts: dict[float, LearnedStepTimes] = {}

    def predict(self, kind: StepKind, model: str, shape: StepShape) -> float:
        return self._prior(kind, model, shape) * self._factor(_bucket(kind, model, shape))

    def observe(self, kind: StepKind, model: str, shape: StepShape, seconds: float) -> None:
        bucket = _bucket(kind, model, shape)
        prior_s = self._prior(kind, model, shape)
        predicted_s = prior_s * self._factor(bucket)
        for key in (bucket, bucket[:2]):
            factor = self._factors.get(key)
            if factor is None:
                self._factors[key] = _Mean(seconds / prior_s)
            else:
                factor.add(min(seconds / prior_s, _MAX_RATIO * factor.value))
        self._observe_deviation(kind, min(abs(seconds - predicted_s), predicted_s))

    def margin(self, kind: StepKind) -> float:
        deviation = self._deviations.get(kind)
        return 0.0 if deviation is None else _MARGIN_DEVIATIONS * deviation.value

    def at(self, share: float) -> "LearnedStepTimes":
        if share == 1.0:
            return self
        if share not in self._parts:
            slower = slowdown(share)
            self._parts[share] = LearnedStepTimes(
                lambda kind, model, shape: slower * self._prior(kind, model, shape)
            )
        return self._parts[share]

    def _factor(self, bucket: tuple[object, ...]) -> float:
        """Of the bucket, or of its kind and model, or 1 before anything was observed."""
        factor = self._factors.get(bucket)
        if factor is None:
            factor = self._factors.get(bucket[:2])
        return 1.0 if factor is None else factor.value

    def _observe_deviation(self, kind: StepKind, deviation_s: float) -> None:
        deviation = self._deviations.get(kind)
        if deviation is None:
            # the first error is the prior's, and the factor has just absorbed it
            self._deviations[kind] = _Mean(0.0)
        else:
            deviation.add(deviation_s)


class _Mean:
    """Mean of all but the first observation, exponentially weighted after the eleventh.

    The first step of a shape pays for what happens once: kernels are chosen, memory is touched. It
    stands in until there is a second.
    """

    __slots__ = ("_num_more", "value")

    def __init__(self, value: float) -> None:
        self.value = value
        self._num_more = 0

    def add(self, value: float) -> None:
        self._num_more += 1
        self.value += max(1 / self._num_more, _MIN_WEIGHT) * (value - self.value)


def _bucket(kind: StepKind, model: str, shape: StepShape) -> tuple[object, ...]:
    if isinstance(shape, ImageShape):
        size = shape.width, shape.height
        return kind, model, shape.batch, *size, shape.is_guided, shape.has_adapter
    if isinstance(shape, EncoderShape):
        return kind, model, shape.batch.bit_length(), shape.tokens.bit_length()
    return (
        kind,
        model,
        shape.num_decodes.bit_length(),
        (shape.decode_context_tokens + shape.prefill_context_tokens).bit_length(),
        shape.prefill_tokens.bit_length(),
    )
