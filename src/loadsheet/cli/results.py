"""`loadsheet results`: what our runs reached beside published numbers, as Markdown."""

import argparse
import sys
from pathlib import Path

from loadsheet.cli.run_flags import RUNS
from loadsheet.errors import ConfigError
from loadsheet.track import find_run, read_run, read_runs
from loadsheet.track.json_value import JSON, encode
from loadsheet.track.model_index import model_index
from loadsheet.track.result import Result, published_results, results_of
from loadsheet.track.result_table import markdown_results


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="folder of tracked runs; repeatable (default runs)",
    )
    parser.add_argument("--ours", action="store_true", help="leave published numbers out")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown here")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument(
        "--model-index", metavar="RUN", help="the model-index block of one run's model card"
    )


def run(arguments: argparse.Namespace) -> int:
    folders = arguments.runs or [RUNS]
    if arguments.model_index is not None:
        stored = read_run(find_run(folders[0], arguments.model_index))
        return _write(model_index(stored, stored.name), arguments.out)
    results = results_of([one for folder in folders for one in read_runs(folder)])
    if not results:
        names = ", ".join(str(folder) for folder in folders)
        raise ConfigError(f"no finished run with results in {names}; `loadsheet runs list` shows")
    if not arguments.ours:
        tasks = {result.task for result in results}
        results += tuple(result for result in published_results() if result.task in tasks)
    if arguments.json:
        return _write(encode([_fields(result) for result in results]) + "\n", arguments.out)
    return _write(markdown_results(results), arguments.out)


def _write(text: str, out: Path | None) -> int:
    if out is None:
        sys.stdout.write(text)
        return 0
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from error
    print(f"wrote {out}")
    return 0


def _fields(result: Result) -> dict[str, JSON]:
    return {
        "task": result.task,
        "dataset": result.dataset,
        "model": result.model,
        "metric": result.metric,
        "value": result.value.value,
        "low": result.value.low,
        "high": result.value.high,
        "num_seeds": result.num_seeds,
        "source": result.source,
        "is_ours": result.is_ours,
        "note": result.note,
    }
