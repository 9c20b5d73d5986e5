import pytest

from loadsheet.sched.token_deadlines import TokenDeadlines, max_gap_s

INF = float("inf")


@pytest.fixture
def deadlines():
    return TokenDeadlines()


@pytest.mark.parametrize(("tpot_s", "gap_s"), [(0.2, 1.0), (0.05, 0.25), (0.01, 0.25)])
def test_the_longest_stall_is_five_tokens_or_a_quarter_second(tpot_s, gap_s):
    assert max_gap_s(tpot_s) == pytest.approx(gap_s)


def test_nobody_waits_for_a_token(deadlines):
    assert deadlines.next_s(it=3, last_s=1.0) == INF
    assert deadlines.max_gap_s() == INF


def test_the_key_gives_the_deadline_of_every_token(deadlines):
    # first token at 2.0 s after iteration 7, TPOT 0.1: the next are due at 2.1, 2.2, …
    deadlines.add(2.0 - 7 * 0.1, order=1, tpot_s=0.1)
    assert deadlines.next_s(it=7, last_s=2.0) == pytest.approx(2.1)
    assert deadlines.next_s(it=9, last_s=2.1) == pytest.approx(2.3)


def test_credit_is_capped_by_the_longest_stall(deadlines):
    deadlines.add(0.0, order=1, tpot_s=0.1)
    assert deadlines.next_s(it=99, last_s=2.0) == pytest.approx(2.5)  # not 10.0


def test_the_tightest_of_all_classes_decides(deadlines):
    deadlines.add(0.0, order=1, tpot_s=0.1)
    deadlines.add(0.5, order=2, tpot_s=0.02)
    assert deadlines.next_s(it=0, last_s=0.0) == pytest.approx(0.1)
    assert deadlines.next_s(it=9, last_s=0.6) == pytest.approx(0.7)  # 0.5 + 10 · 0.02
    assert deadlines.max_gap_s() == 0.25
    deadlines.remove(0.5, order=2, tpot_s=0.02)
    assert deadlines.max_gap_s() == 0.5


def test_equal_keys_are_told_apart_by_order(deadlines):
    deadlines.add(0.0, order=1, tpot_s=0.1)
    deadlines.add(0.0, order=2, tpot_s=0.1)
    deadlines.remove(0.0, order=1, tpot_s=0.1)
    assert deadlines.next_s(it=0, last_s=0.0) == pytest.approx(0.1)
    deadlines.remove(0.0, order=2, tpot_s=0.1)
    assert deadlines.next_s(it=0, last_s=0.0) == INF


def test_a_class_that_cannot_catch_up_gives_up_what_is_late(deadlines):
    deadlines.add(0.0, order=1, tpot_s=0.1)  # due at 0.1
    deadlines.add(0.3, order=2, tpot_s=0.1)  # due at 0.4
    deadlines.give_up(it=0, end_s=0.2, pace_s=0.1)
    assert deadlines.next_s(it=0, last_s=0.0) == pytest.approx(0.4)
    deadlines.give_up(it=0, end_s=0.5, pace_s=0.1)
    assert deadlines.next_s(it=0, last_s=0.0) == pytest.approx(0.5)  # only the longest stall
    deadlines.remove(0.0, order=1, tpot_s=0.1)
    deadlines.remove(0.3, order=2, tpot_s=0.1)
    assert deadlines.next_s(it=0, last_s=0.0) == INF


def test_a_class_that_catches_up_is_given_up_only_when_far_behind(deadlines):
    deadlines.add(0.0, order=1, tpot_s=0.1)  # due at 0.1; credit could carry 0.5
    deadlines.give_up(it=0, end_s=0.59, pace_s=0.05)
    assert deadlines.next_s(it=0, last_s=0.0) == pytest.approx(0.1)
    deadlines.give_up(it=0, end_s=0.61, pace_s=0.05)
    assert deadlines.next_s(it=0, last_s=0.0) == pytest.approx(0.5)
