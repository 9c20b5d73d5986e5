from hypothesis import given
from hypothesis import strategies as st

from loadsheet.bench.report_data import pack_lanes, report_data

SPANS = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 50)), max_size=40).map(
    lambda pairs: [(start, start + length) for start, length in sorted(pairs)]
)


@given(spans=SPANS)
def test_no_two_bars_share_a_lane_and_a_moment(spans):
    lanes = pack_lanes(spans)
    for first, (start, end) in enumerate(spans):
        for second in range(first + 1, len(spans)):
            overlaps = spans[second][0] < end and start < spans[second][1]
            assert not (overlaps and lanes[first] == lanes[second])


@given(spans=SPANS)
def test_no_more_lanes_than_ever_run_at_once(spans):
    most = max((sum(s <= start < e for s, e in spans) for start, _ in spans), default=0)
    assert len(set(pack_lanes(spans))) == most


def test_curves_are_shares_of_values_at_or_below(run_of, make_text):
    records = [make_text(index, gaps_ms=(ttft, 10, 10)) for index, ttft in enumerate((50, 60, 70))]
    charts = {chart["metric"]: chart for chart in report_data(run_of(records))["curves"]}
    assert charts["ttft"]["curves"][0]["points"] == [(50.0, 1 / 3), (60.0, 2 / 3), (70.0, 1.0)]
    assert charts["ttft"]["target_ms"] == 2000
    assert charts["e2e"]["target_ms"] is None


def test_the_timeline_counts_seconds_from_the_window(run_of, make_text, make_image):
    run = run_of([make_text(0, due_ms=1000), make_image(0, due_ms=3000)], window_ms=(2000, 12_000))
    (timeline,) = report_data(run)["timelines"]
    chat, art = timeline["classes"]
    assert chat["requests"][0]["due"] == -1.0
    assert chat["requests"][0]["marks"] == [-0.9, -0.89, -0.88]
    assert (art["requests"][0]["due"], art["requests"][0]["end"]) == (1.0, 2.0)


def test_long_runs_are_thinned_and_say_so(run_of, make_text):
    run = run_of([make_text(index, due_ms=index) for index in range(2500)])
    (timeline,) = report_data(run)["timelines"]
    assert timeline["num_requests"] == 2500
    assert len(timeline["classes"][0]["requests"]) == 2000
    assert all(
        len(curve["points"]) <= 160 for c in report_data(run)["curves"] for curve in c["curves"]
    )
