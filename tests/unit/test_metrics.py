"""Each formula on numbers small enough to check in the head."""

import numpy as np
import pytest

from loadsheet.metrics import (
    DEFINITIONS,
    ImageTiming,
    TextTiming,
    goodput_rps,
    interference,
    share_sum,
)
from loadsheet.workload.slo import ImageSLO, TextSLO

TEXT = TextTiming(start_s=10.0, token_s=(10.5, 10.6, 10.9, 11.0), num_tokens=4)


def test_text_formulas():
    assert TEXT.ttft_s == pytest.approx(0.5)
    assert TEXT.e2e_s == pytest.approx(1.0)
    assert TEXT.tpot_s == pytest.approx((1.0 - 0.5) / 3)
    assert TEXT.itl_s == pytest.approx((0.1, 0.3, 0.1))


def test_one_token_has_no_time_per_output_token():
    single = TextTiming(start_s=0.0, token_s=(1.0,), num_tokens=1)
    assert single.tpot_s is None
    assert single.itl_s == ()
    assert single.meets(TextSLO(ttft_s=1.0, tpot_s=1e-9))


def test_a_whole_answer_in_one_chunk_has_no_time_per_output_token():
    """(e2e − TTFT) would be 0 and flatter the server."""
    assert TextTiming(start_s=0.0, token_s=(1.0,), num_tokens=64).tpot_s is None


@pytest.mark.parametrize(
    ("slo", "is_met"),
    [
        (TextSLO(ttft_s=0.6, tpot_s=0.2), True),
        (TextSLO(ttft_s=0.4, tpot_s=0.2), False),
        (TextSLO(ttft_s=0.6, tpot_s=0.1), False),
    ],
)
def test_a_text_must_meet_both_bounds(slo, is_met):
    assert TEXT.meets(slo) is is_met


def test_image_formulas():
    image = ImageTiming(start_s=2.0, end_s=7.0, preview_s=(3.0, 5.0))
    assert image.time_to_image_s == 5.0
    assert image.first_preview_s == 1.0
    assert image.meets(ImageSLO(deadline_s=5.0))
    assert not image.meets(ImageSLO(deadline_s=4.9))
    assert ImageTiming(start_s=0.0, end_s=1.0).first_preview_s is None


def test_goodput_is_good_requests_per_second():
    assert goodput_rps(30, 15.0) == 2.0


def test_interference_is_the_ratio_of_pooled_quantiles():
    rng = np.random.default_rng(0)
    alone = [(1.0, 1.0), (1.0,)]
    mixed = [(3.0, 3.0), (3.0,)]
    found = interference(mixed, alone, 0.99, rng)
    assert (found.value, found.low, found.high) == (3.0, 3.0, 3.0)
    assert interference(mixed, [(0.0,)], 0.5, rng) is None


def test_share_sum_adds_the_kept_share_of_each_class():
    """Half of its tokens and three quarters of its images: 1.25."""
    mixed = [np.full(10, 50.0), np.full(10, 0.3)]
    alone = [np.full(10, 100.0), np.full(10, 0.4)]
    assert share_sum(mixed, alone, np.random.default_rng(0)).value == pytest.approx(1.25)


def test_share_sum_interval_widens_with_noise():
    rng = np.random.default_rng(0)
    steady = share_sum([np.full(10, 1.0)], [np.full(10, 1.0)], rng)
    noisy = share_sum([np.array([0.0, 2.0] * 5)], [np.full(10, 1.0)], rng)
    assert steady.high - steady.low == 0
    assert noisy.high - noisy.low > 0.5


def test_every_definition_has_a_unit_and_a_formula():
    for name, definition in DEFINITIONS.items():
        assert definition.name == name
        assert definition.unit and definition.formula
