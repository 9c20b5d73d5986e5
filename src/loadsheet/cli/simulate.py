"""`loadsheet simulate`: the served scheduler in virtual time, under a workload.

loadsheet simulate --workload quick --text smollm2-135m --image sd-1.5 --device l4
loadsheet simulate --workload traffic.toml --plan plan/ --out run/
loadsheet simulate … --fail shared-0@60 --noise 0.1      what may happen besides the load
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadsheet.api.fleet import FleetFlags, fleet_of, fleet_of_plan
from loadsheet.api.model import DEFAULT_DEVICE
from loadsheet.api.simulate import SimulationReport
from loadsheet.cli.scenario_flags import add_scenario_flags, scenario_of
from loadsheet.cli.simulation_tables import print_simulation
from loadsheet.errors import ConfigError
from loadsheet.sim.deployment import Deployment
from loadsheet.sim.output_folder import make_folder, write_result
from loadsheet.sim.plan_simulation import Simulator
from loadsheet.sim.price_book import PriceBook
from loadsheet.sim.result import SimResult
from loadsheet.sim.summary_document import summary_document
from loadsheet.workload.workload import Workload
from loadsheet.workload.workload_file import load_workload

_TRACED_S = 10.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (__doc__ or "").partition("\n\n")[2]
    parser.add_argument("--workload", required=True, metavar="W", help="a file, or `quick`")
    parser.add_argument("--seconds", type=float, help="that count (default: the workload's)")
    parser.add_argument("--warmup", type=float, metavar="S", help="before them (the workload's)")
    parser.add_argument("--seed", type=int, help="of every draw (default: the workload's)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the result there")
    parser.add_argument("--json", action="store_true", help="machine-readable, SI units")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="how long requests take")
    parser.add_argument(
        "--trace", metavar="FROM-TO", help=f"seconds of steps in trace.json (first {_TRACED_S:g})"
    )
    parser.add_argument("--event-log", action="store_true", help="a log per replica; no jumps")
    _add_fleet_flags(parser)
    add_scenario_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    workload, book = load_workload(arguments.workload), PriceBook()
    deployment = _deployment(arguments, workload, book)
    simulator = Simulator(
        scenario=scenario_of(arguments),
        book=book,
        trace_s=_traced(arguments),
        log_dir=arguments.out if arguments.event_log else None,
    )
    if arguments.out is not None:
        make_folder(arguments.out)
    elif arguments.event_log:
        raise ConfigError("--event-log needs a folder; give --out DIR")
    result = _simulate(simulator, deployment, workload, arguments)
    if arguments.out is not None:
        write_result(result, arguments.out)
    if arguments.plot is not None:
        SimulationReport(deployment=deployment, result=result).plot().save(arguments.plot)
    if arguments.json:
        sys.stdout.write(json.dumps(summary_document(result)) + "\n")
    else:
        print_simulation(Console(), deployment, result)
    return 0


def _simulate(
    simulator: Simulator,
    deployment: Deployment,
    workload: Workload,
    arguments: argparse.Namespace,
) -> SimResult:
    """With a bar on stderr."""
    given = arguments
    columns = TextColumn("simulating"), BarColumn(), TextColumn("{task.percentage:.0f} %")
    console = Console(file=sys.stderr)
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        simulator.progress = lambda share: bar.update(task, completed=share)
        return simulator.run(
            deployment,
            workload,
            seconds=workload.run.duration_s if given.seconds is None else given.seconds,
            warmup=workload.run.warmup_s if given.warmup is None else given.warmup,
            seed=workload.seed if given.seed is None else given.seed,
        )


def _add_fleet_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("devices")
    group.add_argument("--plan", type=Path, metavar="P", help="a folder of `loadsheet plan`")
    group.add_argument("--text", metavar="MODEL", help="catalogue name or folder")
    group.add_argument("--image", metavar="MODEL", help="catalogue name or folder")
    group.add_argument("--device", metavar="D", help=f"default: {DEFAULT_DEVICE}")
    group.add_argument("--replicas", type=int, metavar="N", help="default: 1")
    group.add_argument("--apart", action="store_true", help="each model on replicas of its own")
    group.add_argument("--tp", type=int, metavar="N", help="devices that share every layer")
    group.add_argument("--pp", type=int, metavar="N", help="stages of layers")
    group.add_argument("--lanes", type=int, metavar="N", help="steps at a time on each replica")
    group.add_argument("--dtype", help="weights and matmuls (bf16)")
    group.add_argument("--engine", help="overheads and limits of vllm, trtllm or sglang")
    group.add_argument("--policy", help="slack or round-robin")
    group.add_argument("--router", help="least-work, power-of-two, round-robin or session")


_MODEL_FLAGS = ("text", "image", "device", "replicas", "tp", "pp", "lanes", "dtype", "engine")


def _deployment(arguments: argparse.Namespace, workload: Workload, book: PriceBook) -> Deployment:
    given = {name: value for name, value in vars(arguments).items() if name in _MODEL_FLAGS}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.plan is not None:
        if given or arguments.apart:
            raise ConfigError(
                f"--plan says what runs where; leave out --{next(iter(given), 'apart')}"
            )
        return fleet_of_plan(arguments.plan, arguments.policy, arguments.router)
    models = tuple(given.pop(name) for name in ("text", "image") if name in given)
    if not models:
        raise ConfigError("no model to simulate; give --plan P, or --text and --image MODEL")
    flags = FleetFlags(
        models=models,
        device=given.pop("device", DEFAULT_DEVICE),
        apart=arguments.apart,
        policy=arguments.policy,
        router=arguments.router,
    )
    return fleet_of(replace(flags, **given), workload, book)


def _traced(arguments: argparse.Namespace) -> tuple[float, float] | None:
    """Steps are recorded only for a folder to write them to."""
    if arguments.out is None:
        if arguments.trace:
            raise ConfigError("--trace needs a folder; give --out DIR")
        return None
    if arguments.trace is None:
        return 0.0, _TRACED_S
    try:
        start, end = (float(word) for word in arguments.trace.split("-"))
    except ValueError:
        raise ConfigError(f"--trace is {arguments.trace!r}; write FROM-TO in seconds") from None
    return start, end
