"""`loadsheet bench schema`: the JSON Schema of workload files, for editors."""

import argparse
import json

from loadsheet.workload.workload_file import workload_schema


def run(arguments: argparse.Namespace) -> int:
    del arguments  # same signature as the other actions
    print(json.dumps(workload_schema(), indent=2))
    return 0
