"""The record of what ran: `runs/<id>/` always, other trackers as sinks.

with start_run(Path("runs"), command="train text", name="tiny", config={"layers": 2}) as run:
    run.log(10, {"loss": 2.5})
    run.summary({"loss": 2.5})
"""

from loadsheet.track.json_value import JSON
from loadsheet.track.run import Run, resume_run, start_run
from loadsheet.track.stored_run import MetricPoint, StoredRun, find_run, read_run, read_runs

__all__ = [
    "JSON",
    "MetricPoint",
    "Run",
    "StoredRun",
    "find_run",
    "read_run",
    "read_runs",
    "resume_run",
    "start_run",
]
