import pytest

from loadsheet.errors import ConfigError
from loadsheet.sched.event import Arrived
from loadsheet.sched.policies import POLICIES, make_scheduler


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_scheduler_is_made_by_name(make, policy):
    scheduler = make_scheduler(make.device_limits(), policy)
    scheduler.on_event(Arrived(request=make.text()), 0.0)
    assert scheduler.plan(0.0) is not None


def test_an_unknown_name_is_answered_with_the_nearest(make):
    with pytest.raises(ConfigError, match="no policy 'slick'; the nearest is 'slack'"):
        make_scheduler(make.device_limits(), "slick")


def test_two_schedulers_share_no_memory(make):
    first, second = (make_scheduler(make.device_limits()) for _ in range(2))
    first.on_event(Arrived(request=make.text()), 0.0)
    assert second.plan(0.0) is None
