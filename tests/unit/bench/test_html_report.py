import json
import re

from loadsheet.bench.html_report import html_report


def test_the_page_is_whole_and_needs_no_network(run_of, make_text, make_image):
    page = html_report(run_of([make_text(), make_image()]))
    assert "{{" not in re.sub(r"<script>.*", "", page, flags=re.S)
    assert not re.search(r"(src|href)=|@import|url\(|fetch\(", page)
    data = re.search(r'id="data">(.*?)</script>', page, flags=re.S)
    assert json.loads(data[1])["timelines"][0]["phase"] == "mixed"


def test_names_from_outside_are_escaped(run_of, make_text):
    page = html_report(run_of([make_text()]))
    assert "&lt;by hand&gt;" in page
    assert "<by hand>" not in page


def test_a_p99_of_few_values_is_shown_as_the_worst(run_of, make_text):
    few = html_report(run_of([make_text()]))
    many = html_report(run_of([make_text(index, due_ms=index) for index in range(150)]))
    assert "chat ttft worst" in few and "chat ttft p99" not in few
    assert "chat ttft p99" in many


def test_a_run_without_a_window_has_a_page_too(run_of):
    run = run_of([])
    bare = run.__class__(
        **{name: getattr(run, name) for name in run.__slots__ if name not in ("phases", "summary")},
        phases=(),
        summary=run.summary.__class__(phases=()),
    )
    assert "stopped while warming up" in html_report(bare)
