import itertools

import numpy as np
import pytest

from loadsheet.errors import ConfigError
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop


def gaps(process: OpenLoop, num: int) -> np.ndarray:
    times = list(itertools.islice(process.times_s(np.random.default_rng(3)), num))
    return np.diff([0.0, *times])


@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0, 3.0])
def test_gaps_have_the_asked_mean_and_variation(cv):
    found = gaps(OpenLoop(rate_rps=4.0, cv=cv), 60_000)
    assert found.mean() == pytest.approx(0.25, rel=0.05)
    assert found.std() / found.mean() == pytest.approx(cv, abs=0.06 * (1 + cv))
    assert (found >= 0).all()


def test_cv_0_is_a_metronome():
    assert gaps(OpenLoop(rate_rps=5.0, cv=0.0), 4) == pytest.approx([0.2] * 4)


def test_cv_1_is_memoryless():
    """P(gap > 1/rate) = 1/e for an exponential; a gamma of another shape misses it."""
    found = gaps(OpenLoop(rate_rps=2.0), 40_000)
    assert (found > 0.5).mean() == pytest.approx(np.exp(-1), abs=0.01)


@pytest.mark.parametrize(
    "make",
    [
        lambda: OpenLoop(rate_rps=0.0),
        lambda: OpenLoop(rate_rps=float("inf")),
        lambda: OpenLoop(rate_rps=1.0, cv=-0.1),
        lambda: ClosedLoop(concurrency=0),
        lambda: ClosedLoop(think_s=-1.0),
    ],
)
def test_senseless_settings_are_refused(make):
    with pytest.raises(ConfigError):
        make()
