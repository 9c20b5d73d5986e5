"""How long the scheduler thinks between two steps, by number of active sequences.

    python benchmarks/scheduler_decision.py [--decisions 4000] [--json]

One decision is everything the scheduler does from the end of a step to the next plan:
on_event(StepFinished), the arrivals that replace what ended, and plan(). Only the executor is left
out: its time is virtual. Text ends at random after 400 tokens on average and is replaced by a new
prompt; in the mixed rows four images are always under way as well. The garbage collector stays on.
CPU time leaves out what other processes took from this one; it includes two clock reads.
"""

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Iterator
from statistics import median, quantiles

from loadsheet.sched.event import Arrived, Event, StepFinished
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import StepKind, StepPlan, StepShape, TextBatch, TextShape
from loadsheet.sched.policies import POLICIES
from loadsheet.sched.scheduler import Scheduler
from loadsheet.sched.step_times import LearnedStepTimes
from loadsheet.workload.request import ImageRequest, TextRequest

ACTIVE = (1, 32, 256, 1024)
NUM_IMAGES = 4
PROMPT_TOKENS = 64
OUTPUT_TOKENS = 2000
P_END = 1 / 400
WARM_UP = 200


def limits(num_active: int) -> DeviceLimits:
    blocks_each = (PROMPT_TOKENS + OUTPUT_TOKENS) // 16 + 1
    size = ImageSize(width=256, height=256, state_bytes=1)
    return DeviceLimits(
        text=(
            TextLimits(
                model="llm",
                num_blocks=blocks_each * num_active,
                max_num_seqs=num_active,
                max_waiting=num_active,
            ),
        ),
        images=(ImageLimits(model="painter", sizes=(size,), budget_bytes=NUM_IMAGES),),
    )


def seconds(kind: StepKind, model: str, shape: StepShape) -> float:
    """A device that keeps up with 1,024 sequences."""
    del model
    if isinstance(shape, TextShape):
        return 0.010 + 2e-5 * (shape.num_decodes + shape.prefill_tokens)
    return 0.005 if kind is StepKind.ENCODE else 0.01 + 0.02 * shape.batch


class Load:
    """Keeps the same number of sequences and images under way."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._num_made = 0

    def text(self, now_s: float) -> Event:
        self._num_made += 1
        return Arrived(
            request=TextRequest(
                request_id=f"chatcmpl-{self._num_made:032x}",
                model="llm",
                arrival_s=now_s,
                prompt_tokens=PROMPT_TOKENS,
                max_output_tokens=OUTPUT_TOKENS,
            )
        )

    def image(self, now_s: float) -> Event:
        self._num_made += 1
        return Arrived(
            request=ImageRequest(
                request_id=f"img-{self._num_made:032x}",
                model="painter",
                arrival_s=now_s,
                width=256,
                height=256,
                num_steps=20,
                is_guided=True,
            )
        )

    def ended(self, plan: StepPlan) -> tuple[str, ...]:
        if not isinstance(plan.batch, TextBatch):
            return ()
        return tuple(one for one in plan.batch.decodes if self._random.random() < P_END)

    def replacements(self, plan: StepPlan, ended: tuple[str, ...], now_s: float) -> Iterator[Event]:
        yield from (self.text(now_s) for _ in ended)
        if plan.kind == "vae_decode":
            yield from (self.image(now_s) for _ in plan.request_ids())


def measure(policy: str, num_active: int, num_images: int, num_decisions: int) -> dict[str, float]:
    """Microseconds per decision."""
    scheduler = Scheduler(limits(num_active), POLICIES[policy](), LearnedStepTimes(seconds))
    load, now_s = Load(seed=1), 0.0
    for _ in range(num_active):
        scheduler.on_event(load.text(now_s), now_s)
    for _ in range(num_images):
        scheduler.on_event(load.image(now_s), now_s)
    plan = scheduler.plan(now_s)
    elapsed_us: list[float] = []
    cpu_us: list[float] = []
    is_full = False
    while len(elapsed_us) < num_decisions + WARM_UP:
        assert isinstance(plan, StepPlan)
        now_s += plan.predicted_s
        ended = load.ended(plan)
        finished = StepFinished(step_id=plan.step_id, duration_s=plan.predicted_s, ended=ended)
        arrivals = list(load.replacements(plan, ended, now_s))
        start_ns, start_cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
        scheduler.on_event(finished, now_s)
        for arrival in arrivals:
            scheduler.on_event(arrival, now_s)
        plan = scheduler.plan(now_s)
        took_cpu_us = (time.thread_time_ns() - start_cpu_ns) / 1e3
        took_us = (time.perf_counter_ns() - start_ns) / 1e3
        is_full = is_full or scheduler.snapshot().text[0].num_running == num_active
        if is_full:
            elapsed_us.append(took_us)
            cpu_us.append(took_cpu_us)
    elapsed_us, cpu_us = elapsed_us[WARM_UP:], cpu_us[WARM_UP:]
    return {
        "median_us": median(elapsed_us),
        "p99_us": quantiles(elapsed_us, n=100)[98],
        "p99_cpu_us": quantiles(cpu_us, n=100)[98],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, default=4000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [
        {
            "policy": policy,
            "active": num_active,
            "images": num_images,
            "decisions": arguments.decisions,
            **measure(policy, num_active, num_images, arguments.decisions),
        }
        for policy in POLICIES
        for num_images in (0, NUM_IMAGES)
        for num_active in ACTIVE
    ]
    if arguments.json:
        json.dump({"python": platform.python_version(), "rows": rows}, sys.stdout, indent=2)
        print()
        return
    print("| policy | active sequences | images | median µs | p99 µs | p99 µs of CPU time |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['policy']} | {row['active']} | {row['images']} "
            f"| {row['median_us']:.1f} | {row['p99_us']:.1f} | {row['p99_cpu_us']:.1f} |"
        )


if __name__ == "__main__":
    main()
