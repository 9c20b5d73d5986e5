import pytest

from loadsheet.bench.markdown import markdown_report, markdown_table
from loadsheet.bench.summary import RunSummary
from loadsheet.bench.tables import Table, number, share_sum_text, with_interval
from loadsheet.estimate import Estimate


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5, "1234"), (56.78, "56.8"), (0.01234, "0.0123"), (0.00012, "1.20e-04")],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(value=2.0, low=1.0, high=3.0), "2 [1, 3]"),
        (Estimate(value=2.0, low=1.0), "2 [≥ 1]"),
        (Estimate(value=2.0, high=3.0), "2 [≤ 3]"),
        (Estimate(value=2.0), "2"),
    ],
)
def test_open_intervals_say_which_side_is_known(estimate, text):
    assert with_interval(estimate) == text


def test_columns_line_up():
    lines = markdown_table(Table(header=("a", "long"), rows=(("wide cell", "b"),))).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1] == "| --------- | ---- |"


def test_the_report_shows_promise_rates_and_verdict(run_of, make_text, make_image):
    report = markdown_report("mine", run_of([make_text(), make_image()]).summary)
    assert "# mine" in report
    assert "ttft 2000 ms, tpot 200 ms at p95 (workload)" in report
    assert "| decode_tokens_per_s_per_stream | 100" in report
    assert "every class met: yes" in report
    assert "100*" in report  # a p99 of one value is marked


def test_an_impossible_share_sum_is_a_warning_about_the_machine(run_of):
    phases = run_of([]).summary.phases
    text = share_sum_text(RunSummary(phases=phases, share_sum=Estimate(value=2.4)))
    assert "WARNING: a share sum above 2" in text
    assert "WARNING" not in share_sum_text(RunSummary(phases=phases, share_sum=Estimate(value=1.2)))
