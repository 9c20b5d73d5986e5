"""Rates that change keep their mean, and change as they say."""

from itertools import islice, takewhile

import numpy as np
import pytest

from loadsheet.errors import ConfigError
from loadsheet.workload.arrivals import OpenLoop
from loadsheet.workload.rhythm import HOUR_S, Bursts, Rhythm, Week, clock_times
from loadsheet.workload.traffic import ImageTraffic, TextTraffic, draws

ON_OFF = Bursts(factors=(1.0, 0.0), dwell_s=(10.0, 30.0))


def times(rhythm: Rhythm, rate_rps: float, until_s: float, seed: int = 1) -> np.ndarray:
    process = OpenLoop(rate_rps=rate_rps, rhythm=rhythm)
    streams = (np.random.default_rng([seed, idx]) for idx in range(2))
    return np.array(list(takewhile(lambda time_s: time_s < until_s, process.times_s(*streams))))


def test_time_is_stretched_piece_by_piece() -> None:
    """Factors 2, 0, 1 for 10 s each: 20 s of operational time pass in the first piece."""
    pieces = iter([(10.0, 2.0), (10.0, 0.0), (10.0, 1.0), (10.0, 1.0)])
    found = list(clock_times(iter([4.0, 20.0, 21.0, 35.0]), pieces))
    assert found == [2.0, 10.0, 21.0, 35.0]


def test_an_on_off_source_keeps_its_mean_rate() -> None:
    """On a quarter of the time at four times the rate; 2,000 cycles leave about 3 % of error."""
    found = times(ON_OFF, 2.0, 80_000.0)
    assert len(found) / 80_000 == pytest.approx(2.0, rel=0.1)
    gaps = np.diff(found)
    assert gaps.std() / gaps.mean() > 2  # Poisson would have 1
    assert np.median(gaps) == pytest.approx(np.log(2) / 8, rel=0.1)  # within bursts: 8 per second


def test_a_week_has_its_days_and_hours() -> None:
    """Counts per hour follow the factors within five standard deviations of a Poisson count."""
    week = Week(hours=tuple(range(1, 25)))
    found = times(week, 0.5, 7 * 24 * HOUR_S)
    counts, _ = np.histogram(found, bins=168, range=(0, 168 * HOUR_S))
    expected = 0.5 * HOUR_S * np.array(week.factors())
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert sum(week.factors()) == pytest.approx(168)
    assert week.factors()[23] == pytest.approx(24 * week.factors()[0])
    assert week.factors()[5 * 24] == pytest.approx(week.factors()[0] / 2)  # Saturday


def test_a_week_may_begin_anywhere() -> None:
    week = Week(start_hour=14.5)
    first, second = islice(week.pieces(np.random.default_rng(0)), 2)
    assert first == (HOUR_S / 2, week.factors()[14])
    assert second == (HOUR_S, week.factors()[15])
    assert max(week.factors()[:24]) == week.factors()[13]  # the hour to two o'clock


def test_classes_that_share_a_rhythm_burst_together() -> None:
    def counts(shared: str) -> np.ndarray:
        rhythm = Bursts(factors=(1.0, 0.0), dwell_s=(10.0, 30.0), shared=shared)
        arrivals = OpenLoop(rate_rps=2.0, rhythm=rhythm)
        classes = (
            TextTraffic(name="a", arrivals=arrivals),
            ImageTraffic(name="b", arrivals=arrivals),
        )
        found = []
        for traffic in classes:
            drawn = takewhile(lambda one: one.arrival_s < 8_000, draws(traffic, 3))
            found.append(np.histogram([one.arrival_s for one in drawn], 800, (0, 8_000))[0])
        return np.corrcoef(*found)[0, 1]

    assert counts("campaign") > 0.7
    assert abs(counts("")) < 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bursts(factors=(1.0,), dwell_s=(1.0,)), "two states"),
        (lambda: Bursts(factors=(0.0, 0.0), dwell_s=(1.0, 1.0)), "not all 0"),
        (lambda: Bursts(factors=(1.0, 0.0), dwell_s=(1.0, 0.0)), "above 0"),
        (lambda: Week(weekdays=(1.0,)), "give 7"),
        (lambda: Week(swing=2.0), "swing is 2.0"),
        (lambda: Week(start_hour=168), "below 168"),
        (lambda: Week(peak_hour=24), "below 24"),
    ],
)
def test_impossible_rhythms_are_refused(make, message) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_rhythm_needs_a_stream_of_its_own() -> None:
    with pytest.raises(ValueError, match="own generator"):
        OpenLoop(rate_rps=1.0, rhythm=ON_OFF).times_s(np.random.default_rng(0))
