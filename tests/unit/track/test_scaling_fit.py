"""The fit recovers constants that are known, and says when points cannot tell."""

import numpy as np
import pytest

from loadsheet.errors import ConfigError
from loadsheet.track import start_run
from loadsheet.track.scaling_fit import fit_scaling
from loadsheet.track.scaling_law import PUBLISHED, ScalingLaw
from loadsheet.track.scaling_points import ScalingPoint, read_points

TRUE = PUBLISHED["Besiroglu et al. 2024"]


def points(law: ScalingLaw, noise: float = 0.0, sizes: int = 10, lengths: int = 7, seed: int = 0):
    rng = np.random.default_rng(seed)
    return [
        ScalingPoint(
            parameters=n, tokens=d, loss=law.loss(n, d) * np.exp(noise * rng.normal()), source=""
        )
        for n in np.geomspace(5e7, 1.6e10, sizes)
        for d in np.geomspace(5e9, 5e11, lengths)
    ]


def fit(of, num_resamples=0):
    return fit_scaling(of, num_resamples=num_resamples, rng=np.random.default_rng(1))


@pytest.mark.parametrize(
    "law", [*PUBLISHED.values(), ScalingLaw(E=3, A=9, B=70, alpha=0.2, beta=0.3)]
)
def test_exact_points_give_exact_constants(law):
    found = fit(points(law))
    for name in ("E", "A", "B", "alpha", "beta"):
        assert getattr(found.law, name) == pytest.approx(getattr(law, name), rel=1e-3)
    assert found.log_rmse < 1e-6
    assert found.undetermined == ()


def test_noisy_points_give_intervals_that_hold_the_truth():
    found = fit(points(TRUE, noise=0.002, lengths=8), num_resamples=40)
    assert found.law.alpha == pytest.approx(TRUE.alpha, abs=0.02)
    assert found.law.beta == pytest.approx(TRUE.beta, abs=0.03)
    assert abs(found.law.E - TRUE.E) < 0.03
    for name, truth in (("E", TRUE.E), ("alpha", TRUE.alpha), ("beta", TRUE.beta)):
        interval = found.intervals[name]
        assert interval.low < truth < interval.high
        assert interval.high - interval.low > 1e-4
    assert found.log_rmse == pytest.approx(0.002, rel=0.2)


def test_a_few_outliers_hardly_matter():
    of = points(TRUE, noise=0.001)
    of[10] = ScalingPoint(parameters=1e8, tokens=1e11, loss=9.0, source="diverged")
    assert fit(of).law.beta == pytest.approx(TRUE.beta, abs=0.03)


def test_what_does_not_depend_on_the_size_is_called_undetermined():
    law = ScalingLaw(E=1.8, A=1e-12, B=410.7, alpha=0.34, beta=0.28)
    found = fit(points(law))
    assert found.undetermined == ("alpha",)
    assert found.law.beta == pytest.approx(0.28, rel=1e-2)


def test_the_best_use_of_a_budget():
    """Besiroglu et al., section 4: at 5.76e23 FLOP some 70 B parameters, 20 tokens for each."""
    n, d = TRUE.best_parameters(5.76e23), TRUE.best_tokens(5.76e23)
    assert 6 * n * d == pytest.approx(5.76e23)
    assert n == pytest.approx(73e9, rel=0.05)
    assert d / n == pytest.approx(17.9, rel=0.1)
    best = TRUE.loss(n, d)
    assert all(TRUE.loss(n * f, d / f) > best for f in (0.8, 0.95, 1.05, 1.25))


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (points(TRUE)[:5], "5 points; five constants need at least 6"),
        (points(TRUE, sizes=2), "2 different numbers of parameters"),
        (points(TRUE, lengths=1), "1 different numbers of tokens"),
    ],
)
def test_too_few_points_are_refused(of, message):
    with pytest.raises(ConfigError, match=message):
        fit(of)


def test_points_come_from_runs_that_tell_all_three(tmp_path):
    for name, summary in (
        ("a", {"parameters": 10, "tokens": 20, "loss_nats_per_token": 3.5}),
        ("b", {"parameters": 10, "tokens": 20}),
    ):
        with start_run(tmp_path, command="train text", name=name, config={}) as run:
            run.summary(summary)
    (point,) = read_points(tmp_path)
    assert (point.parameters, point.tokens, point.loss) == (10, 20, 3.5)
    with pytest.raises(ConfigError, match=r"none of 2 runs .*bits_per_byte"):
        read_points(tmp_path, "bits_per_byte")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters,tokens\n1,2\n", "lacks the columns loss"),
        ("", "lacks the columns parameters, tokens, loss"),
        ("parameters,tokens,loss\n1,2,x\n", "line 2: .* are not three numbers"),
        ("parameters,tokens,loss\n1,2,3\n1,0,3\n", "line 3: .* above 0"),
        ("parameters,tokens,loss\n1,2,nan\n", "finite"),
        ("parameters,tokens,loss\n1,2\n", "not three numbers"),
    ],
)
def test_a_bad_csv_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_points(path)
