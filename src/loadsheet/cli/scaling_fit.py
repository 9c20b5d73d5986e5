"""`loadsheet scaling fit RUNS|CSV`: the constants, their intervals, the best use of a budget."""

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from loadsheet.cli.run_cells import plain_table, print_table
from loadsheet.errors import ConfigError
from loadsheet.estimate import Estimate
from loadsheet.track.json_value import JSON, encode
from loadsheet.track.scaling_fit import CONSTANTS, ScalingFit, fit_scaling
from loadsheet.track.scaling_law import PUBLISHED, ScalingLaw
from loadsheet.track.scaling_plot import plot_scaling
from loadsheet.track.scaling_points import LOSS, ScalingPoint, read_points


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "points", type=Path, help="folder of runs, or a CSV: parameters,tokens,loss"
    )
    parser.add_argument(
        "--loss", default=LOSS, metavar="KEY", help=f"of summaries (default {LOSS})"
    )
    parser.add_argument("--resamples", type=int, default=200, help="of the bootstrap (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    parser.add_argument(
        "--flops",
        type=float,
        action="append",
        default=[],
        help="a budget to spend best; repeatable",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="points and curves, .svg or .png")
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(arguments: argparse.Namespace) -> int:
    if arguments.resamples < 0 or any(flops <= 0 for flops in arguments.flops):
        raise ConfigError("--resamples is at least 0 and --flops above 0")
    points = read_points(arguments.points, arguments.loss)
    fit = _fit(points, arguments.resamples, arguments.seed)
    if arguments.plot is not None:
        plot_scaling(points, fit.law, arguments.plot)
    if arguments.json:
        sys.stdout.write(encode(_fields(points, fit, arguments.flops)) + "\n")
        return 0
    print(f"L(N, D) = E + A/N^alpha + B/D^beta from {len(points)} points, {_span(points)}\n")
    _print_constants(fit)
    print(f"\nresidual of log L: {fit.log_rmse:.2%} (root mean square)")
    for name in fit.undetermined:
        print(f"{name} is not determined by these points")
    for flops in arguments.flops:
        print(_spent(fit.law, flops))
    return 0


def _fit(points: tuple[ScalingPoint, ...], num_resamples: int, seed: int) -> ScalingFit:
    rng = np.random.default_rng(seed)
    with Progress(console=Console(file=sys.stderr), transient=True) as bars:
        task = bars.add_task("bootstrap", total=num_resamples)
        return fit_scaling(
            points,
            num_resamples=num_resamples,
            rng=rng,
            on_resample=lambda count: bars.update(task, completed=count),
        )


def _print_constants(fit: ScalingFit) -> None:
    table = plain_table(["constant", "fit", "95 % interval", *PUBLISHED])
    for name, of in CONSTANTS.items():
        published = [f"{of(law):.4g}" for law in PUBLISHED.values()]
        table.add_row(name, f"{of(fit.law):.4g}", _interval(fit.intervals[name]), *published)
    print_table(table)


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:.4g} to {estimate.high:.4g}"


def _span(points: tuple[ScalingPoint, ...]) -> str:
    sizes, lengths = [p.parameters for p in points], [p.tokens for p in points]
    return (
        f"N {min(sizes):.3g} to {max(sizes):.3g} parameters, "
        f"D {min(lengths):.3g} to {max(lengths):.3g} tokens"
    )


def _spent(law: ScalingLaw, flops: float) -> str:
    n, d = law.best_parameters(flops), law.best_tokens(flops)
    return (
        f"{flops:.3g} FLOP, C = 6ND: best N {n:.3g} parameters, D {d:.3g} tokens "
        f"({d / n:.3g} per parameter), loss {law.loss(n, d):.4g} by the fit"
    )


def _fields(
    points: tuple[ScalingPoint, ...], fit: ScalingFit, budgets: list[float]
) -> dict[str, JSON]:
    law = fit.law
    return {
        "num_points": len(points),
        "constants": {
            name: {"value": e.value, "low": e.low, "high": e.high}
            for name, e in fit.intervals.items()
        },
        "log_rmse": fit.log_rmse,
        "undetermined": list(fit.undetermined),
        "budgets": [
            {
                "flops": flops,
                "parameters": law.best_parameters(flops),
                "tokens": law.best_tokens(flops),
                "loss": law.loss(law.best_parameters(flops), law.best_tokens(flops)),
            }
            for flops in budgets
        ],
    }
