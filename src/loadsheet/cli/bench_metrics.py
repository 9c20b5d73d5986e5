"""`loadsheet bench metrics`: what each metric means here, and what other tools call by its name."""

import argparse

from loadsheet.bench.markdown import markdown_table
from loadsheet.bench.tables import definition_table


def run(arguments: argparse.Namespace) -> int:
    del arguments  # same signature as the other actions
    print(markdown_table(definition_table()))
    return 0
