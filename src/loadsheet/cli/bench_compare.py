"""`loadsheet bench compare A B`: two runs side by side, with intervals on the ratios."""

import argparse
import json

from loadsheet.bench.compare import compare_runs
from loadsheet.bench.compare_table import comparison_document, comparison_table
from loadsheet.bench.markdown import markdown_table
from loadsheet.bench.stored_run import read_run


def run(arguments: argparse.Namespace) -> int:
    comparison = compare_runs(read_run(arguments.a), read_run(arguments.b))
    if arguments.json:
        print(json.dumps(comparison_document(comparison)))
        return 0
    print(markdown_table(comparison_table(comparison)))
    for warning in comparison.warnings:
        print(f"- WARNING: {warning}")
    return 0
