"""`loadsheet bench run`: play a workload, show it live, leave a folder with the report."""

import argparse
import asyncio
import json
import resource
import signal
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from loadsheet.bench.markdown import markdown_report
from loadsheet.bench.progress import Progress
from loadsheet.bench.record import RequestRecord
from loadsheet.bench.run import BenchConfig, BenchRun, Observer, RunResult
from loadsheet.bench.run_folder import RecordWriter, RunFolder
from loadsheet.bench.summary_json import summary_document
from loadsheet.bench.target import Target, base_url
from loadsheet.cli.bench_progress import ProgressPrinter, progress_printer
from loadsheet.errors import ConfigError
from loadsheet.workload.traffic import TextTraffic, Traffic
from loadsheet.workload.workload import Workload
from loadsheet.workload.workload_file import load_workload

_INTERRUPTED = 130


def run(arguments: argparse.Namespace) -> int:
    config = BenchConfig(
        workload=_workload(arguments),
        target=_target(arguments),
        api_key=arguments.api_key,
        tells_slo=arguments.tell_slo,
    )
    _allow_many_connections()
    folder = RunFolder(arguments.out or _default_folder())
    with progress_printer(sys.stderr) as printer, RecordWriter(folder.path) as writer:
        result = asyncio.run(_play(config, _Watcher(writer, printer)))
    folder.write_summary(result)
    _print(result, folder.path, as_json=arguments.json)
    return _INTERRUPTED if result.is_interrupted else 0


class _Watcher(Observer):
    """Records to the file, progress to the terminal."""

    def __init__(self, writer: RecordWriter, printer: ProgressPrinter) -> None:
        self._writer = writer
        self._printer = printer

    def on_record(self, record: RequestRecord) -> None:
        self._writer.write(record)

    def on_progress(self, progress: Progress) -> None:
        self._writer.flush()
        self._printer.show(progress)


async def _play(config: BenchConfig, watcher: _Watcher) -> RunResult:
    """The first Ctrl-C ends the run with a report, the second one ends the program."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    main_task = asyncio.current_task()
    bench = BenchRun(config, observer=watcher, stop=stop)

    def interrupt() -> None:
        if bench.is_playing and not stop.is_set():
            stop.set()
        elif main_task is not None:
            main_task.cancel()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await bench.run()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _workload(arguments: argparse.Namespace) -> Workload:
    workload = load_workload(arguments.workload)
    overrides = {
        "warmup_s": arguments.warmup,
        "duration_s": arguments.duration,
        "measure_alone": arguments.alone,
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    seed = workload.seed if arguments.seed is None else arguments.seed
    return replace(
        workload,
        seed=seed,
        run=replace(workload.run, **given),
        traffic=tuple(_traffic(item, arguments.ignore_eos) for item in workload.traffic),
    )


def _traffic(traffic: Traffic, ignore_eos: bool | None) -> Traffic:
    if ignore_eos is None or not isinstance(traffic, TextTraffic):
        return traffic
    return replace(traffic, ignore_eos=ignore_eos)


def _target(arguments: argparse.Namespace) -> Target:
    text_url, image_url = arguments.text_url or arguments.url, arguments.image_url or arguments.url
    if not (text_url or image_url):
        raise ConfigError("give --url, or --text-url and --image-url")
    return Target(
        text_url=base_url(text_url or image_url),
        image_url=base_url(image_url or text_url),
        text_model=arguments.text_model,
        image_model=arguments.image_model,
    )


def _allow_many_connections() -> None:
    """An overloaded server piles up open requests; the usual limit of 1024 files would end that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _default_folder() -> Path:
    return Path("runs") / f"bench-{datetime.now().strftime('%Y%m%d-%H%M%S')}"


def _print(result: RunResult, folder: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary_document(result)))
    else:
        print(markdown_report(result.workload.name, result.summary))
    state = "interrupted; report of what there was" if result.is_interrupted else "report"
    print(f"{state}: {folder}", file=sys.stderr)
