"""`loadsheet predict CASES.jsonl`: price many cases, one JSON line in, one out."""

import argparse
import json
import sys
from pathlib import Path

from loadsheet.cost.case import Answerer, FlopsAnswerer, answer_line
from loadsheet.cost.image_case import OfflineImageAnswerer
from loadsheet.cost.kernel_case import AllreduceAnswerer, AttentionAnswerer, GemmAnswerer
from loadsheet.cost.text_case import LoadAnswerer, OfflineTextAnswerer
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
    known, refused = answerers(), 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        answer = answer_line(line, known)
        refused += "error" in answer
        sys.stdout.write(json.dumps(answer) + "\n")
        if number % _PROGRESS_EVERY == 0:
            sys.stderr.write(f"{number} of {len(lines)} lines\n")
    return 1 if refused else 0


def answerers() -> dict[str, Answerer]:
    """Every kind of case and who answers it."""
    return {
        "flops": FlopsAnswerer(),
        "gemm": GemmAnswerer(),
        "attention": AttentionAnswerer(),
        "allreduce": AllreduceAnswerer(),
        "offline_image": OfflineImageAnswerer(),
        "offline_text": OfflineTextAnswerer(),
        "closed_loop_text": LoadAnswerer("closed_loop_text"),
        "open_loop_text": LoadAnswerer("open_loop_text"),
        "replay_text": LoadAnswerer("replay_text"),
    }


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
