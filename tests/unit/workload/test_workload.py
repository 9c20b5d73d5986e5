import pytest

from loadsheet.errors import ConfigError
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.traffic import ImageTraffic, TextTraffic
from loadsheet.workload.workload import RunPlan, Workload, open_arrivals

CHAT = TextTraffic(name="chat", arrivals=OpenLoop(rate_rps=3.0))
ART = ImageTraffic(name="art", arrivals=OpenLoop(rate_rps=1.0))


def test_classes_merge_by_arrival_up_to_the_end():
    found = list(open_arrivals(Workload(name="mix", traffic=(CHAT, ART)), until_s=100.0))
    times_s = [draw.arrival_s for _, draw in found]
    assert times_s == sorted(times_s)
    assert times_s[-1] < 100.0
    assert 250 < sum(traffic is CHAT for traffic, _ in found) < 350
    assert 70 < sum(traffic is ART for traffic, _ in found) < 130


def test_a_closed_loop_has_no_arrivals_to_merge():
    closed = TextTraffic(name="users", arrivals=ClosedLoop())
    with pytest.raises(ConfigError, match="users is a closed loop"):
        list(open_arrivals(Workload(name="x", traffic=(closed,)), until_s=1.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Workload(name="x", traffic=()),
        lambda: Workload(name="x", traffic=(CHAT, CHAT)),
        lambda: Workload(name="x", traffic=(CHAT,), seed=-1),
        lambda: RunPlan(duration_s=0.0),
        lambda: RunPlan(warmup_s=-1.0),
        lambda: RunPlan(timeout_s=float("inf")),
        lambda: RunPlan(standalone_requests=0),
    ],
)
def test_senseless_workloads_are_refused(make):
    with pytest.raises(ConfigError):
        make()
