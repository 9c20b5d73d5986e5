"""`loadsheet predict CASES.jsonl`: price many cases, one JSON line in, one out."""

import argparse
import json
import sys
from pathlib import Path

from loadsheet.api.predict import answered
from loadsheet.errors import ConfigError, LoadsheetError

_PROGRESS_EVERY = 1000


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
    for number, answer in enumerate(answered(written), start=1):
        refused += "error" in answer
        sys.stdout.write(json.dumps(answer) + "\n")
        if number % _PROGRESS_EVERY == 0:
            sys.stderr.write(f"{number} of {len(written)} cases\n")
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
