"""`loadsheet bench`: mixed text and image load against any OpenAI-compatible server."""

import argparse
import importlib
import os
from pathlib import Path

from loadsheet.errors import ConfigError

_EXAMPLES = """\
examples
  loadsheet bench run --url http://127.0.0.1:8000 --alone
  loadsheet bench run --text-url http://a:8000 --image-url http://b:8001 --workload W.toml --alone
  loadsheet bench compare runs/before runs/after
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_run_flags(
        actions.add_parser(
            "run",
            help="play a workload and write a report",
            description="Play a workload against a server and write a report.",
        )
    )
    compare = actions.add_parser(
        "compare",
        help="two runs side by side",
        description="Two runs side by side: B / A with 95 % paired bootstrap intervals.",
    )
    compare.add_argument("a", type=Path, metavar="A", help="folder of a run")
    compare.add_argument("b", type=Path, metavar="B")
    compare.add_argument("--json", action="store_true")
    overhead = actions.add_parser(
        "overhead",
        help="measure the client itself on this machine",
        description="How many requests and chunks per second one core of this machine can send "
        "and stamp, against a mock server.",
    )
    overhead.add_argument("--duration", type=float, default=4.0, metavar="S", help="of each load")
    actions.add_parser("metrics", help="every metric's formula, here and in other tools")
    actions.add_parser("schema", help="the JSON Schema of workload files")


def run(arguments: argparse.Namespace) -> int:
    """0; 130 after Ctrl-C, with a report of what there was; ConfigError for bad input."""
    try:
        # loaded late: the client needs the extra `bench`, and `--help` should not
        module = importlib.import_module(f"loadsheet.cli.bench_{arguments.action}")
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        message = "the benchmark client needs aiohttp: pip install 'loadsheet[bench]'"
        raise ConfigError(message) from error
    return int(module.run(arguments))


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workload", default="quick", metavar="W.toml", help="a file, or quick (the default)"
    )
    server = parser.add_argument_group("server")
    server.add_argument("--url", help="one server for both kinds")
    server.add_argument("--text-url", metavar="URL", help="the text server, where there are two")
    server.add_argument("--image-url", metavar="URL", help="the image server")
    server.add_argument("--text-model", metavar="NAME", help="default: what the server lists")
    server.add_argument("--image-model", metavar="NAME")
    server.add_argument("--api-key", default=os.environ.get("LOADSHEET_API_KEY"), metavar="KEY")
    plan = parser.add_argument_group("plan (each overrides the workload)")
    plan.add_argument("--duration", type=float, metavar="S", help="length of the steady window")
    plan.add_argument("--warmup", type=float, metavar="S")
    plan.add_argument("--seed", type=int)
    plan.add_argument(
        "--alone",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="play every class alone first: interference and share sum",
    )
    plan.add_argument(
        "--tell-slo",
        action="store_true",
        help="send each request's objective along, for servers that schedule by it (loadsheet's)",
    )
    plan.add_argument(
        "--ignore-eos",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="ask for exactly the drawn number of tokens (some servers refuse the field)",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, metavar="DIR", help="default: runs/bench-TIME")
    output.add_argument("--json", action="store_true", help="print summary.json on stdout")
