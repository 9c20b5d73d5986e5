"""`loadsheet predict CASES.jsonl`: price many cases, one JSON line in, one out."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from loadsheet.api.predict import answered
from loadsheet.errors import ConfigError, LoadsheetError


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cases", type=Path, metavar="CASES.jsonl", help="one JSON object per line")


def run(arguments: argparse.Namespace) -> int:
    """0 when every case was answered, 1 when some were refused."""
    try:
        lines = arguments.cases.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{arguments.cases}: cannot be read ({error})") from error
    written = [line for line in lines if line.strip()]
    refused = 0
    # the bar must not take standard output over: answers go where the user sent them
    bar = Progress(console=Console(stderr=True), transient=True, redirect_stdout=False)
    with bar:
        for answer in bar.track(answered(written), len(written), description="cases"):
            refused += "error" in answer
            sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if refused else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_flags(parser)
    try:
        return run(parser.parse_args())
    except LoadsheetError as error:
        sys.stderr.write(f"predict: {error}\n")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
