"""Fits L(N, D) = E + A / N^alpha + B / D^beta to points, with bootstrap intervals.

Approach 3 of Hoffmann et al. 2022: the sum of Huber losses (delta 1e-3) of the residuals of log L,
minimised by L-BFGS from a grid of starts. Two lessons of Besiroglu et al. 2024 are heeded: the sum
is minimised, not the mean, and scaled up, so that the optimiser does not stop early; and constants
are reported unrounded. N and D are centred at their geometric means, which makes the amplitude of
a term nearly independent of its exponent.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from loadsheet.errors import ConfigError
from loadsheet.estimate import Estimate, Floats, interval_of
from loadsheet.track.scaling_law import ScalingLaw
from loadsheet.track.scaling_points import ScalingPoint

HUBER_DELTA = 1e-3
MIN_POINTS = 6
"""One more than there are constants."""

_EXPONENTS = (0.01, 3.0)
_START_EXPONENTS = (0.1, 0.3, 0.6, 1.2)
_START_SHARES = (0.02, 0.1, 0.3, 0.6)  # of the lowest loss
_NEGLIGIBLE = 1e-3  # nats
_NUM_STARTS = 24  # the best of the grid are refined

OnResample = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingFit:
    """`intervals` by the constant's name; `log_rmse` is about the relative error of the loss.

    `undetermined` names exponents that the points do not tell: on the edge of the search, or of a
    term that is nothing even for the smallest model or the shortest run.
    """

    law: ScalingLaw
    intervals: dict[str, Estimate]
    log_rmse: float
    undetermined: tuple[str, ...]


def fit_scaling(
    points: Sequence[ScalingPoint],
    *,
    num_resamples: int,
    rng: np.random.Generator,
    on_resample: OnResample | None = None,
) -> ScalingFit:
    """Raises ConfigError for points that cannot determine five constants."""
    _check(points)
    data = _Data.of(points)
    best = _best(data, _starts(data))
    laws = []
    for count in range(num_resamples):
        resampled = data.resampled(rng)
        laws.append(resampled.law(_best(resampled, [best, *_starts(resampled)[:2]])))
        if on_resample is not None:
            on_resample(count + 1)
    law = data.law(best)
    residuals = [np.log(law.loss(p.parameters, p.tokens) / p.loss) for p in points]
    return ScalingFit(
        law=law,
        intervals=_intervals(law, laws),
        log_rmse=float(np.sqrt(np.mean(np.square(residuals)))),
        undetermined=_undetermined(law, points),
    )


def _check(points: Sequence[ScalingPoint]) -> None:
    if len(points) < MIN_POINTS:
        raise ConfigError(f"{len(points)} points; five constants need at least {MIN_POINTS}")
    for name in ("parameters", "tokens"):
        values = {point.parameters if name == "parameters" else point.tokens for point in points}
        if len(values) < 3:
            raise ConfigError(
                f"{len(values)} different numbers of {name}; a term with an exponent needs 3: "
                f"train with other numbers of {name}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    """Logarithms, N and D about their means; theta = (a, b, e, alpha, beta) in these terms."""

    n: Floats
    d: Floats
    log_loss: Floats
    n_mean: float
    d_mean: float

    @classmethod
    def of(cls, points: Sequence[ScalingPoint]) -> "_Data":
        n = np.log([point.parameters for point in points])
        d = np.log([point.tokens for point in points])
        return cls(
            n=n - n.mean(),
            d=d - d.mean(),
            log_loss=np.log([point.loss for point in points]),
            n_mean=float(n.mean()),
            d_mean=float(d.mean()),
        )

    def resampled(self, rng: np.random.Generator) -> "_Data":
        """Points drawn with replacement; a draw without 3 sizes and 3 lengths is drawn again."""
        while True:
            rows = rng.integers(0, len(self.n), len(self.n))
            if len(np.unique(self.n[rows])) >= 3 and len(np.unique(self.d[rows])) >= 3:
                break
        return _Data(
            n=self.n[rows],
            d=self.d[rows],
            log_loss=self.log_loss[rows],
            n_mean=self.n_mean,
            d_mean=self.d_mean,
        )

    def law(self, theta: Floats) -> ScalingLaw:
        a, b, e, alpha, beta = (float(value) for value in theta)
        return ScalingLaw(
            E=float(np.exp(e)),
            A=float(np.exp(a + alpha * self.n_mean)),
            B=float(np.exp(b + beta * self.d_mean)),
            alpha=alpha,
            beta=beta,
        )


def _objective(theta: Floats, data: _Data) -> tuple[float, Floats]:
    """Sum of Huber losses of LSE(a - alpha n, b - beta d, e) - log L, and its gradient.

    Divided by delta^2: 1 is then one residual of about delta, a scale that L-BFGS handles.
    """
    a, b, e, alpha, beta = theta
    terms = np.stack([a - alpha * data.n, b - beta * data.d, np.full_like(data.n, e)])
    top = terms.max(axis=0)
    weights = np.exp(terms - top)
    total = weights.sum(axis=0)
    residual = (top + np.log(total) - data.log_loss) / HUBER_DELTA
    size = np.abs(residual)
    huber = np.where(size <= 1, 0.5 * residual**2, size - 0.5)
    slope = np.clip(residual, -1, 1) / HUBER_DELTA * weights / total
    gradient = [*slope.sum(axis=1), -(slope[0] * data.n).sum(), -(slope[1] * data.d).sum()]
    return float(huber.sum()), np.asarray(gradient)


def _starts(data: _Data) -> list[Floats]:
    """The best of a grid over exponents and over what share of the loss each term has."""
    low = float(data.log_loss.min())
    grid = [
        np.array(
            [low + np.log(a), low + np.log(b), low + np.log(max(1 - a - b, 0.05)), alpha, beta]
        )
        for a, b in itertools.product(_START_SHARES, repeat=2)
        for alpha, beta in itertools.product(_START_EXPONENTS, repeat=2)
    ]
    return sorted(grid, key=lambda theta: _objective(theta, data)[0])[:_NUM_STARTS]


def _best(data: _Data, starts: Sequence[Floats]) -> Floats:
    low, high = float(data.log_loss.min()), float(data.log_loss.max())
    amplitude = (low - 15.0, high + 1.0)
    found = [
        minimize(
            _objective,
            start,
            args=(data,),
            jac=True,
            method="L-BFGS-B",
            bounds=[amplitude, amplitude, amplitude, _EXPONENTS, _EXPONENTS],
            options={"maxiter": 3000, "maxfun": 6000, "maxcor": 30, "ftol": 1e-12, "gtol": 1e-8},
        )
        for start in starts
    ]
    best: NDArray[np.float64] = min(found, key=lambda result: float(result.fun)).x
    return best


def _intervals(law: ScalingLaw, laws: Sequence[ScalingLaw]) -> dict[str, Estimate]:
    return {
        name: interval_of(np.array([getter(one) for one in laws]), getter(law))
        if laws
        else Estimate(value=getter(law))
        for name, getter in CONSTANTS.items()
    }


CONSTANTS: dict[str, Callable[[ScalingLaw], float]] = {
    "E": lambda law: law.E,
    "A": lambda law: law.A,
    "B": lambda law: law.B,
    "alpha": lambda law: law.alpha,
    "beta": lambda law: law.beta,
    "N_opt exponent": lambda law: law.parameters_exponent,
}


def _undetermined(law: ScalingLaw, points: Sequence[ScalingPoint]) -> tuple[str, ...]:
    low, high = _EXPONENTS
    fewest = min(point.parameters for point in points)
    shortest = min(point.tokens for point in points)
    exponents = {
        "alpha": (law.alpha, law.A / fewest**law.alpha),
        "beta": (law.beta, law.B / shortest**law.beta),
    }
    return tuple(
        name
        for name, (value, largest_term) in exponents.items()
        if not low * 1.001 < value < high * 0.999 or largest_term < _NEGLIGIBLE
    )
