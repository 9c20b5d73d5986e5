"""The policies by name, and a scheduler ready to use."""

from collections.abc import Callable
from difflib import get_close_matches

from loadsheet.errors import ConfigError
from loadsheet.sched.limits import DeviceLimits
from loadsheet.sched.policy import Policy
from loadsheet.sched.round_robin import RoundRobinPolicy
from loadsheet.sched.scheduler import Scheduler
from loadsheet.sched.slack import SlackPolicy
from loadsheet.sched.step_times import LearnedStepTimes, Prior, small_cpu_prior

POLICIES: dict[str, Callable[[], Policy]] = {
    "slack": SlackPolicy,
    "round-robin": RoundRobinPolicy,
}


def make_scheduler(
    limits: DeviceLimits, policy: str = "slack", prior: Prior = small_cpu_prior
) -> Scheduler:
    """A scheduler that learns its step times, beginning with `prior`. Same limits, policy, prior
    and events: same plans."""
    return Scheduler(limits, make_policy(policy), LearnedStepTimes(prior))


def make_policy(policy: str) -> Policy:
    """A fresh one by name."""
    if policy not in POLICIES:
        near = get_close_matches(policy, POLICIES, n=1, cutoff=0.0)
        raise ConfigError(f"no policy {policy!r}; the nearest is {near[0]!r} of {sorted(POLICIES)}")
    return POLICIES[policy]()
