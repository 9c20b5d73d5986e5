"""Two runs written to folders and read back."""

import dataclasses

import pytest

from loadsheet.bench.compare import Verdict, compare_runs
from loadsheet.bench.run_folder import RecordWriter, RunFolder
from loadsheet.bench.stored_run import read_run
from loadsheet.errors import ConfigError


@pytest.fixture
def stored(run_of, tmp_path):
    def store(name, records, **changes):
        run = dataclasses.replace(run_of(records), **changes)
        folder = RunFolder(tmp_path / name)
        with RecordWriter(folder.path) as writer:
            for record in records:
                writer.write(record)
        folder.write_summary(run)
        return read_run(folder.path)

    return store


def texts(make_text, num=120, more_ms=0):
    """TTFT grows a lot from request to request, and by `more_ms` between runs."""
    return [
        make_text(index, due_ms=80 * index, gaps_ms=(100 + more_ms + 3 * index, 10, 10))
        for index in range(num)
    ]


def change(comparison, metric, statistic):
    (found,) = [
        item
        for item in comparison.changes
        if (item.metric, item.statistic) == (metric, statistic) and item.traffic == "chat"
    ]
    return found


def test_a_run_is_read_back_as_it_was(stored, make_text, make_image):
    records = [make_text(), make_image(0, due_ms=10)]
    run = stored("a", records)
    assert list(run.records) == records
    assert run.windows["mixed"].length_s == 10.0
    assert run.promises["chat"].slo.ttft_s == 2.0
    assert run.promises["art"].slo.deadline_s == 2.0


def test_the_same_run_shows_no_difference(stored, make_text):
    a, b = stored("a", texts(make_text)), stored("b", texts(make_text))
    comparison = compare_runs(a, b)
    assert {item.verdict for item in comparison.changes} == {Verdict.OPEN}
    assert comparison.warnings == ()


def test_a_slower_run_is_found_and_pairing_makes_the_interval_tight(stored, make_text):
    a, b = stored("a", texts(make_text)), stored("b", texts(make_text, more_ms=10))
    found = change(compare_runs(a, b), "ttft_s", "p50")
    assert found.is_paired and found.num == 120
    assert found.verdict is Verdict.WORSE
    assert found.ratio.value == pytest.approx(288.5 / 278.5, rel=1e-3)
    # between requests TTFT spreads by a factor of four, yet the ratio is known to a few percent
    assert found.ratio.high - found.ratio.low < 0.03


def test_a_faster_run_is_better_and_a_higher_rate_too(stored, make_text):
    slow = [make_text(i, due_ms=160 * i, gaps_ms=(100, 40, 40)) for i in range(60)]
    fast = [make_text(i, due_ms=80 * i, gaps_ms=(50, 10, 10)) for i in range(120)]
    comparison = compare_runs(stored("a", slow), stored("b", fast))
    assert change(comparison, "tpot_s", "p50").verdict is Verdict.BETTER
    rate = change(comparison, "output_tokens_per_s", "mean")
    assert rate.verdict is Verdict.BETTER and rate.ratio.value == pytest.approx(2, rel=0.03)


def test_a_p99_of_few_values_gets_no_verdict(stored, make_text):
    slow = [make_text(i, due_ms=80 * i, gaps_ms=(300, 10, 10)) for i in range(50)]
    fast = [make_text(i, due_ms=80 * i, gaps_ms=(100, 10, 10)) for i in range(50)]
    comparison = compare_runs(stored("a", slow), stored("b", fast))
    assert change(comparison, "ttft_s", "p99").verdict is Verdict.FEW
    assert change(comparison, "ttft_s", "p50").verdict is Verdict.BETTER


def test_runs_of_other_requests_are_compared_unpaired_with_a_warning(stored, make_text):
    others = [make_text(1000 + i, due_ms=80 * i) for i in range(120)]
    comparison = compare_runs(stored("a", texts(make_text)), stored("b", others))
    assert not change(comparison, "ttft_s", "p50").is_paired
    assert any("do not pair up" in warning for warning in comparison.warnings)


def test_differing_circumstances_are_warned_about(stored, make_text):
    a = stored("a", texts(make_text))
    b = stored(
        "b", texts(make_text), environment={"started_at": "2026-01-02T03:04:05+00:00", "cpu": "x"}
    )
    assert any("differ in cpu" in warning for warning in compare_runs(a, b).warnings)


def test_nothing_kept_in_a_gives_no_ratio(stored, make_text):
    late = [make_text(i, due_ms=80 * i, gaps_ms=(5000, 10, 10)) for i in range(20)]
    good = [make_text(i, due_ms=80 * i) for i in range(20)]
    kept = change(compare_runs(stored("a", late), stored("b", good)), "slo_attainment", "share")
    assert (kept.a, kept.b, kept.ratio) == (0.0, 1.0, None)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        read_run(tmp_path)


def test_a_run_is_never_overwritten(tmp_path, stored, make_text):
    stored("a", [make_text()])
    with pytest.raises(ConfigError, match="already holds a run"):
        RunFolder(tmp_path / "a")
