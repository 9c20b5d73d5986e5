"""Steps that take longer or shorter than their price."""

import math
from random import Random

from loadsheet.sched.plan import StepPlan
from loadsheet.sim.device import Noise


def log_normal_noise(cv: float, seed: str) -> Noise:
    """A factor of mean 1 and coefficient of variation `cv`, independent for every step."""
    variance = math.log1p(cv * cv)
    mu, sigma, random = -variance / 2, math.sqrt(variance), Random(seed)

    def noisy(plan: StepPlan, seconds: float) -> float:
        del plan  # every kind of step alike
        return seconds * random.lognormvariate(mu, sigma)

    return noisy
