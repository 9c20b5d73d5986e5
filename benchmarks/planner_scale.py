"""How long planning takes: 20 models, 6 kinds of devices, 1,000 devices.

    python benchmarks/planner_scale.py --out benchmarks/results

Analytic and with the simulated check, once each; the machine's load is recorded beside the times.
"""

import argparse
import json
import os
import time
from pathlib import Path

from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.cluster import Cluster, Link, Node
from loadsheet.planner.make_plan import make_plan
from loadsheet.planner.question import Question
from loadsheet.workload.arrivals import OpenLoop
from loadsheet.workload.lengths import Fixed, LogNormal
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import ImageTraffic, TextTraffic
from loadsheet.workload.workload import Workload

TEXT = (
    "llama-3.1-8b", "llama-2-7b", "llama-2-13b", "llama-2-70b", "qwen2.5-7b", "qwen2.5-72b",
    "qwen3-30b-a3b", "mistral-7b", "phi-4", "gemma-3-27b", "falcon-7b", "gpt-oss-20b",
    "smollm2-135m", "mixtral-8x7b",
)  # fmt: skip
IMAGES = ("sd-1.5", "sdxl", "pixart-alpha", "kolors", "lumina-2", "hunyuan-dit-1.2")
DEVICES = ("h100-sxm-80gb", "h200-sxm-141gb", "a100-sxm-80gb", "l40s", "l4", "b200-sxm-180gb")
NETWORK = Link(name="network", bytes_per_s=12.5e9, latency_s=1e-5)


def question(num_models: int, num_devices: int, seeds: tuple[int, ...]) -> Question:
    """About a third of the devices full."""
    num_text = round(num_models * 0.7)
    text = [
        TextTraffic(
            name=name,
            model=name,
            arrivals=OpenLoop(rate_rps=num_devices * 0.03 * (1 + place % 3)),
            prompt_tokens=LogNormal(mean=500, cv=0.6, max=3000),
            output_tokens=LogNormal(mean=150, cv=0.6, max=800),
            slo=TextSLO(ttft_s=2.0, tpot_s=0.06),
        )
        for place, name in enumerate(TEXT[:num_text])
    ]
    images = [
        ImageTraffic(
            name=name,
            model=name,
            arrivals=OpenLoop(rate_rps=num_devices * 0.004),
            width=1024 if place else 512,
            height=1024 if place else 512,
            num_steps=Fixed(value=25),
            slo=ImageSLO(deadline_s=20.0),
        )
        for place, name in enumerate(IMAGES[: num_models - num_text])
    ]
    catalog = DeviceCatalog()
    each = num_devices // len(DEVICES) // 8
    nodes = tuple(
        (Node(device=catalog.find(name), num_devices=8, network=NETWORK, name=name), each)
        for name in DEVICES
    )
    return Question(
        workload=Workload(name="scale", traffic=(*text, *images)),
        cluster=Cluster(nodes=nodes, name="scale"),
        seeds=seeds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--analytic", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for seeds in ((),) if arguments.analytic else ((), (0, 1, 2, 3, 4)):
        asked = question(arguments.models, arguments.devices, seeds)
        wall, cpu = time.perf_counter(), time.process_time()
        plan = make_plan(asked)
        rows.append(
            {
                "seeds": len(seeds),
                "wall_s": round(time.perf_counter() - wall, 2),
                "cpu_s": round(time.process_time() - cpu, 2),
                "candidates": len(plan.candidates),
                "groups": len(plan.groups),
                "devices_used": plan.num_devices.value,
                "usd_per_hour": plan.usd_per_hour.value if plan.usd_per_hour else None,
                "is_checked": plan.is_checked,
                "load_per_core": round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
        print(*plan.sentences, sep="\n")
    if arguments.out is not None:
        name = f"planner_scale_{arguments.models}x{arguments.devices}.json"
        (arguments.out / name).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
