import numpy as np
import pytest

from loadsheet.adapt.classifier_scores import accuracy_by_domain, confusion_matrix, macro_f1, score
from loadsheet.adapt.text_run import scaled


def probabilities(*rows):
    return np.array([[1 - p, p] for p in rows])


def test_scores_by_hand():
    """Four texts, confidence 0.9, 0.8, 0.6, 0.7; the third is wrong."""
    found = score(probabilities(0.9, 0.2, 0.6, 0.3), np.array([1, 0, 0, 0]))
    assert found.accuracy == 0.75
    assert found.confusion == ((2, 1), (0, 1))
    # label 0: 2·2 / (2·2 + 0 + 1) = 0.8; label 1: 2·1 / (2·1 + 1 + 0) = 2/3
    assert found.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    # each text has a bin of its own: (0.1 + 0.2 + 0.6 + 0.3) / 4
    assert found.ece == pytest.approx(0.3)
    assert found.nll == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean())


def test_perfect_calibration_has_no_error():
    rows = probabilities(*[0.75] * 8)
    found = score(rows, np.array([1, 1, 1, 0, 1, 1, 1, 0]))
    assert found.ece == pytest.approx(0.0, abs=1e-12)
    assert [one.count for one in found.bins] == [8]


def test_certainty_that_is_wrong_is_finite():
    assert score(probabilities(1.0), np.array([0])).nll == pytest.approx(-np.log(1e-12))


def test_a_label_nobody_names_counts_zero():
    assert macro_f1(confusion_matrix(np.array([0, 0]), np.array([0, 0]), 2)) == 0.5


def test_domains_are_scored_apart():
    rows = probabilities(0.9, 0.9, 0.1)
    found = accuracy_by_domain(rows, np.array([1, 0, 0]), ["nyt", "movie", "movie"])
    assert found == {"movie": 0.5, "nyt": 1.0}


def test_temperature_keeps_the_ranking_and_softens():
    rows = probabilities(0.9, 0.2)
    soft = scaled(rows, 2.0)
    # odds of 9 become 3: 3 / 4
    assert soft[0, 1] == pytest.approx(0.75)
    assert (soft.argmax(axis=1) == rows.argmax(axis=1)).all()
    np.testing.assert_allclose(scaled(rows, 1.0), rows)
