"""How long a simulated request takes: by kind of load, by number of requests, by devices.

    python benchmarks/simulator.py --out benchmarks/results/simulator_HARDWARE_DATE.json

CPU time of one core for the whole of `Simulator.run`, from drawing requests to intervals, with the
prices of llama-3.1-8b and sdxl on an H100 warm; median of three seeds (one above 20,000).
CPU time leaves out what other processes took, but a busy neighbour still slows a core down: the
result says how long a fixed loop took.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from loadsheet.cost.chart import Chart
from loadsheet.sim.deployment import Deployment, ResidentModel
from loadsheet.sim.plan_simulation import Simulator
from loadsheet.sim.sizing import Sizing, replica_group
from loadsheet.workload.arrivals import OpenLoop
from loadsheet.workload.lengths import Fixed, LogNormal
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import ImageTraffic, TextTraffic
from loadsheet.workload.workload import Workload

TEXT, IMAGE = "llama-3.1-8b", "sdxl"
CHAT = TextTraffic(
    name="chat",
    model=TEXT,
    arrivals=OpenLoop(rate_rps=1),
    prompt_tokens=LogNormal(mean=512, cv=1, max=4000),
    output_tokens=LogNormal(mean=200, cv=1, max=2000),
    slo=TextSLO(ttft_s=1.0, tpot_s=0.05),
)
DRAW = ImageTraffic(
    name="draw",
    model=IMAGE,
    arrivals=OpenLoop(rate_rps=1),
    width=1024,
    height=1024,
    num_steps=Fixed(value=30),
    slo=ImageSLO(deadline_s=6.0),
)
TEXT_RPS, MIXED_RPS, RATIO = 12.0, 7.0, 10.0  # of chats per device; chats per image
SEEDS = 3
MANY = 20_000


def workload(devices: int, *, is_mixed: bool) -> tuple[Workload, float]:
    """And its requests per second."""
    chats = devices * (MIXED_RPS if is_mixed else TEXT_RPS)
    traffic = [replace(CHAT, arrivals=OpenLoop(rate_rps=chats))]
    if is_mixed:
        traffic.append(replace(DRAW, arrivals=OpenLoop(rate_rps=chats / RATIO)))
    total = chats * (1 + is_mixed / RATIO)
    return Workload(name="benchmark", traffic=tuple(traffic)), total


def measure(
    simulator: Simulator, devices: int, num: int, *, is_mixed: bool
) -> dict[str, float | bool | int]:
    sizing = Sizing(
        name="h100",
        device="h100-sxm",
        models=(ResidentModel(name=TEXT), ResidentModel(name=IMAGE)),
        sizes=((1024, 1024),),
        num_replicas=devices,
    )
    fleet = Deployment(groups=(replica_group(sizing, simulator.book),))
    load, rate_rps = workload(devices, is_mixed=is_mixed)
    micros = []
    for seed in range(1 if num >= MANY else SEEDS):
        begin_s = time.process_time()
        result = simulator.run(fleet, load, seconds=num / rate_rps, seed=seed)
        spent_s = time.process_time() - begin_s
        micros.append(spent_s / len(result.records) * 1e6)
    row = {
        "is_mixed": is_mixed,
        "devices": devices,
        "requests": num,
        "us_per_request": median(micros),
        "is_joint_met": result.is_joint_met,
    }
    print(json.dumps(row), flush=True)
    return row


def loop_s() -> float:
    """A loop of two million additions, to compare cores and busy moments with."""
    begin_s, total = time.process_time(), 0
    for number in range(2_000_000):
        total += number
    return time.process_time() - begin_s


def plot(rows: list[dict[str, float | bool | int]], path: Path) -> None:
    def line(x: str, *, is_mixed: bool, by_devices: bool) -> list[tuple[float, float]]:
        return sorted(
            (float(row[x]), float(row["us_per_request"]) * float(row["requests"]) / 1e6)
            for row in rows
            if row["is_mixed"] is is_mixed and row["is_by_devices"] is by_devices
        )

    Chart(
        title="one core, seconds for so many requests (measured)",
        x_label="requests on one device; for the dashed line, on requests / 20 devices",
        y_label="CPU seconds",
        lines={
            "text": line("requests", is_mixed=False, by_devices=False),
            "mixed 10:1": line("requests", is_mixed=True, by_devices=False),
        },
        dashed={"text, 1 to 1,000 devices": line("requests", is_mixed=False, by_devices=True)},
        marks={},
    ).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--most", type=int, default=1_000_000, help="requests of the longest run")
    arguments = parser.parse_args()
    simulator = Simulator()
    for is_mixed in (False, True):
        measure(simulator, 1, 1000, is_mixed=is_mixed)  # prices
    rows = []
    sizes = [10**power for power in range(3, 7) if 10**power <= arguments.most]
    for is_mixed in (False, True):
        for num in sizes[: len(sizes) - is_mixed]:  # the last one for text only
            row = measure(simulator, 1, num, is_mixed=is_mixed)
            rows.append({**row, "is_by_devices": False})
    for devices in (1, 10, 100, 1000):
        row = measure(simulator, devices, 20 * devices, is_mixed=False)
        rows.append({**row, "is_by_devices": True})
    document = {
        "script": "benchmarks/simulator.py",
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "loop_s": loop_s(),
        "rows": rows,
    }
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
