import pytest

from loadsheet.bench.environment import describe_environment
from loadsheet.bench.overhead import Overhead
from loadsheet.bench.target import Target, base_url
from loadsheet.workload.request import RequestKind


@pytest.mark.parametrize(
    "url", ["http://h:8000", "h:8000", "http://h:8000/", "http://h:8000/v1", "http://h:8000/v1/"]
)
def test_urls_with_and_without_v1_mean_the_same(url):
    assert base_url(url) == "http://h:8000"


def test_kinds_go_where_they_belong():
    target = Target(text_url="t", image_url="i", image_model="sd")
    assert target.url(RequestKind.TEXT) == "t" and target.url(RequestKind.IMAGE) == "i"
    assert target.model(RequestKind.TEXT) is None and target.model(RequestKind.IMAGE) == "sd"


QUIET = {"cpu_share": 0.1, "loop_delay_p50_s": 0.0, "loop_delay_p99_s": 0.001}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, []),
        ({"cpu_share": 0.9}, ["may be the bottleneck"]),
        ({"loop_delay_p99_s": 0.02}, ["20.00 ms late"]),
        ({"send_delay_p99_s": 0.5}, ["sends left up to 500.00 ms late"]),
    ],
)
def test_a_client_that_is_the_bottleneck_says_so(changed, words):
    warnings = Overhead(**{"send_delay_p99_s": 0.0} | QUIET | changed).warnings()
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_the_environment_hides_keys(monkeypatch):
    monkeypatch.setattr("sys.argv", ["loadsheet", "bench", "--api-key", "sk-1", "--api-key=sk-2"])
    command = describe_environment()["command"]
    assert "sk-" not in command
    assert command == "loadsheet bench --api-key *** --api-key=***"
