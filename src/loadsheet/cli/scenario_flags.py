"""The flags that say what happens to a simulated fleet besides its load."""

import argparse
import re

from loadsheet.errors import ConfigError
from loadsheet.sim.scenario import (
    Autoscaler,
    Failure,
    OnFailure,
    Reactive,
    Scenario,
    Scheduled,
    Startup,
    Straggler,
)

_DEFAULT = Startup()


def add_scenario_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what happens (replicas are GROUP-0, GROUP-1, …)")
    group.add_argument("--noise", type=float, default=0.0, metavar="CV", help="of step times")
    group.add_argument("--slow", action="append", default=[], metavar="REPLICA=FACTOR")
    group.add_argument("--fail", action="append", default=[], metavar="REPLICA@S[+REPAIR]")
    group.add_argument(
        "--lose", action="store_true", help="requests of a failed replica are lost, not rerouted"
    )
    group.add_argument(
        "--autoscale", action="append", default=[], metavar="GROUP=TARGET[:LOW-HIGH]",
        help="replicas for so many requests inside each",
    )  # fmt: skip
    group.add_argument(
        "--schedule", action="append", default=[], metavar="GROUP=S:N,S:N", help="N from S on"
    )
    group.add_argument(
        "--startup", type=float, default=_DEFAULT.base_s, metavar="S",
        help="of a replica, besides loading its weights (%(default)s)",
    )  # fmt: skip
    group.add_argument("--step-by-step", action="store_true", help="no jumps; the same result")


def scenario_of(arguments: argparse.Namespace) -> Scenario:
    scalers: list[Autoscaler] = [_reactive(text) for text in arguments.autoscale]
    scalers += [_scheduled(text) for text in arguments.schedule]
    return Scenario(
        noise_cv=arguments.noise,
        stragglers=tuple(_straggler(text) for text in arguments.slow),
        failures=tuple(_failure(text) for text in arguments.fail),
        on_failure=OnFailure.LOSE if arguments.lose else OnFailure.REROUTE,
        startup=Startup(base_s=arguments.startup),
        autoscalers=tuple(scalers),
        step_by_step=arguments.step_by_step,
    )


def _straggler(text: str) -> Straggler:
    replica, factor = _match(r"(.+)=([\d.]+)", text, "--slow", "REPLICA=FACTOR")
    return Straggler(replica=replica, slowdown=float(factor))


def _failure(text: str) -> Failure:
    replica, at_s, repair_s = _match(
        r"(.+)@([\d.]+)(?:\+([\d.]+))?", text, "--fail", "REPLICA@S or REPLICA@S+REPAIR"
    )
    if not repair_s:
        return Failure(replica=replica, at_s=float(at_s))
    return Failure(replica=replica, at_s=float(at_s), repair_s=float(repair_s))


def _reactive(text: str) -> Reactive:
    group, target, low, high = _match(
        r"(.+)=([\d.]+)(?::(\d+)-(\d+))?", text, "--autoscale", "GROUP=TARGET or …:LOW-HIGH"
    )
    if not low:
        return Reactive(group=group, target=float(target))
    return Reactive(group=group, target=float(target), low=int(low), high=int(high))


def _scheduled(text: str) -> Scheduled:
    group, steps = _match(r"(.+)=((?:[\d.]+:\d+,?)+)", text, "--schedule", "GROUP=S:N,S:N")
    pairs = (step.split(":") for step in steps.rstrip(",").split(","))
    return Scheduled(group=group, steps=tuple((float(at_s), int(num)) for at_s, num in pairs))


def _match(pattern: str, text: str, flag: str, form: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ConfigError(f"{flag} is {text!r}; write it as {form}")
    return tuple(part or "" for part in found.groups())
