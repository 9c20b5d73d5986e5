"""The first table of a machine: decode speed, token gaps and images alone and together, start-up.

    python benchmarks/first_flight.py [--rounds 3] [--out benchmarks/results]

Runs, in this order and never at the same time: `scheduler_decision.py`, `text_decode.py`, and
`loadsheet bench run` (workload `first_flight.toml`) against a fresh `loadsheet up`, once per round.
Writes `first_flight_<machine>_<date>.md` with a table of medians and the spread, and the raw
summaries beside it. Everything is measured; nothing is simulated.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

from loadsheet.bench.environment import describe_environment

HERE = Path(__file__).parent
LOADSHEET = Path(sys.executable).with_name("loadsheet")
START_TIMEOUT_S = 900.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--port", type=int, default=8765)
    arguments = parser.parse_args()
    environment = describe_environment()
    raw = {
        "environment": environment,
        "scheduler": run_json("scheduler_decision.py", "--json"),
        "decode": run_decode(arguments.rounds),
        "flights": [fly(arguments.port, idx) for idx in range(arguments.rounds)],
    }
    stem = f"first_flight_{machine_name()}_{date.today()}"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{stem}.json").write_text(json.dumps(raw, indent=1) + "\n")
    report = write_report(raw)
    (arguments.out / f"{stem}.md").write_text(report)
    print(report)


def machine_name() -> str:
    return f"{platform.system()}-{platform.machine()}-{os.cpu_count()}-cores".lower()


def run_json(script: str, *flags: str) -> dict:
    say(f"running {script}")
    done = subprocess.run(
        [sys.executable, HERE / script, *flags], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def run_decode(rounds: int) -> dict:
    say("running text_decode.py")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, HERE / "text_decode.py", "--dtype", "bf16"]
        command += ["--rounds", str(max(5, rounds)), "--out", folder]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        [found] = Path(folder).glob("*.json")
        [table] = Path(folder).glob("*.md")
        return {**json.loads(found.read_text()), "table": table.read_text()}


@dataclass
class Server:
    """A fresh `loadsheet up` in a process of its own."""

    process: subprocess.Popen
    lines: list[str] = field(default_factory=list)
    is_ready: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)
            if "Ready." in line:
                self.is_ready.set()
        self.is_ready.set()

    def peak_rss_bytes(self) -> int | None:
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return None
        match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(match.group(1)) * 1024 if match else None

    def phases(self) -> str:
        [line] = [line for line in self.lines if line.startswith("start-up:")]
        return line.removeprefix("start-up:").strip()


def fly(port: int, idx: int) -> dict:
    """One round: start, measure alone and together, stop."""
    say(f"round {idx + 1}: starting the server")
    process = subprocess.Popen(
        [LOADSHEET, "up", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "240"},
    )
    server = Server(process)
    threading.Thread(target=server.read, daemon=True).start()
    try:
        if not server.is_ready.wait(START_TIMEOUT_S) or process.poll() is not None:
            raise SystemExit(f"the server did not start:\n{''.join(server.lines)}")
        url = f"http://127.0.0.1:{port}"
        summary = bench(url, idx)
        return {
            "summary": summary,
            "phases": server.phases(),
            "peak_rss_bytes": server.peak_rss_bytes(),
            "status": json.load(urllib.request.urlopen(f"{url}/v1/loadsheet/status")),
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def bench(url: str, idx: int) -> dict:
    say(f"round {idx + 1}: chat alone, images alone, both")
    with tempfile.TemporaryDirectory() as folder:
        command = [LOADSHEET, "bench", "run", "--url", url, "--seed", str(idx)]
        command += ["--workload", HERE / "first_flight.toml", "--out", Path(folder) / "run"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return json.loads((Path(folder) / "run" / "summary.json").read_text())


def write_report(raw: dict) -> str:
    environment = raw["environment"]
    head = (
        f"# First flight, measured\n\n{environment['cpu']}, {environment['num_cpus']} cores, "
        f"{environment['os']}, Python {environment['python']}, torch {torch_version()}, "
        f"commit {environment['commit']}, {environment['started_at']}. Load average at the start "
        f"{environment['load_average']}. Command: `python benchmarks/first_flight.py`.\n\n"
        "The machine is shared: compare ratios inside one table rather than seconds across days. "
        "Numbers are medians over rounds with (min to max).\n"
    )
    sections = [
        head,
        "## Decode speed, decode only\n\n" + raw["decode"]["table"].split("\n", 2)[2],
        "## Chat and images, alone and together\n\n" + mixed_table(raw["flights"]),
        "## Scheduler decision\n\n" + decision_table(raw["scheduler"]["rows"]),
        "## Cold start and memory\n\n" + start_lines(raw["flights"]),
    ]
    return "\n".join(sections)


def torch_version() -> str:
    return version("torch")


def mixed_table(flights: list[dict]) -> str:
    """One chat stream (128 + 64 tokens) and one image (20 guided steps), both without pause."""
    rows = ["| | alone | together |", "|---|---|---|"]
    for label, traffic, metric, quantile, scale in (
        ("text TTFT p50, ms", "chat", "ttft_s", "p50", 1e3),
        ("text ITL p50, ms", "chat", "itl_s", "p50", 1e3),
        ("text ITL p99, ms", "chat", "itl_s", "p99", 1e3),
        ("image p50, s", "emoji", "time_to_image_s", "p50", 1.0),
        ("image p99, s", "emoji", "time_to_image_s", "p99", 1.0),
    ):
        alone, mixed = (
            spread([latency(flight, is_mixed, traffic, metric, quantile) for flight in flights])
            for is_mixed in (False, True)
        )
        rows.append(f"| {label} | {alone(scale)} | {mixed(scale)} |")
    for label, traffic, rate in (
        ("output tokens/s, prefill included", "chat", "output_tokens_per_s"),
        ("images/s", "emoji", "images_per_s"),
    ):
        alone, mixed = (
            spread(
                [
                    phase_class(flight, is_mixed, traffic)["rates"][rate]["value"]
                    for flight in flights
                ]
            )
            for is_mixed in (False, True)
        )
        rows.append(f"| {label} | {alone(1.0)} | {mixed(1.0)} |")
    shares = spread([flight["summary"]["share_sum"]["value"] for flight in flights])
    rows.append(f"| share sum (1 = perfect time slicing) | | {shares(1.0)} |")
    return "\n".join(rows) + "\n"


def latency(flight: dict, is_mixed: bool, traffic: str, metric: str, quantile: str) -> float:
    return phase_class(flight, is_mixed, traffic)["latency"][metric][quantile]["value"]


def phase_class(flight: dict, is_mixed: bool, traffic: str) -> dict:
    """The class's summary in the mix, or in the phase that holds it alone."""
    [found] = [
        item
        for phase in flight["summary"]["phases"]
        for item in phase["classes"]
        if item["traffic"] == traffic and (len(phase["classes"]) > 1) == is_mixed
    ]
    return found


def spread(values: list[float]):
    """Formats median (min to max) at a scale."""

    def text(scale: float) -> str:
        middle, low, high = (scale * value for value in (median(values), min(values), max(values)))
        return f"{middle:.3g} ({low:.3g} to {high:.3g})"

    return text


def decision_table(rows: list[dict]) -> str:
    lines = ["| policy | active texts | images | median µs | p99 µs |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['policy']} | {row['active']} | {row['images']} "
        f"| {row['median_us']:.1f} | {row['p99_us']:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def start_lines(flights: list[dict]) -> str:
    lines = [f"- round {idx + 1}: {flight['phases']}" for idx, flight in enumerate(flights)]
    peaks = [flight["peak_rss_bytes"] for flight in flights if flight["peak_rss_bytes"]]
    if peaks:
        lines.append(f"- peak resident memory of the server: {max(peaks) / 2**20:.0f} MiB")
    return "\n".join(lines) + "\n"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
