"""Policies against each other in virtual time: who keeps both kinds of promise up to which load?

    python benchmarks/scheduler_policies.py [--seeds 5] [--seconds 120]

SIMULATED: the scheduler is the real one, the device is a roofline (one H100-like device at 55 % of
989 TFLOP/s and 80 % of 3.35 TB/s) that serves an 8 B decoder in bf16 (8 KV heads of 128, 32 layers)
and a 1024 x 1024 latent diffusion model (30 guided steps of 26.5 ms, VAE 40 ms). Poisson arrivals,
log-normal prompts (512 tokens on average), exponential outputs (200). Promises: first token in
1 s, 50 ms per token, image in 6 s. A request counts when it kept all of its promises. All policies
meet the same arrivals; step times are learnt from a wrong prior, as in a real run.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from statistics import mean

from loadsheet.sched.event import Arrived, StepFinished
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import ImageShape, StepKind, StepPlan, TextBatch, TextShape
from loadsheet.sched.policies import POLICIES, make_scheduler
from loadsheet.workload.request import ImageRequest, Request, TextRequest
from loadsheet.workload.slo import ImageSLO, TextSLO

TEXT_SLO = TextSLO(ttft_s=1.0, tpot_s=0.05)
IMAGE_SLO = ImageSLO(deadline_s=6.0)
MEAN_PROMPT, MEAN_OUTPUT, MAX_OUTPUT = 512, 200, 1500
LIMITS = DeviceLimits(
    text=(TextLimits(model="llm", num_blocks=30_000, max_num_seqs=256, max_waiting=1_000),),
    images=(
        ImageLimits(
            model="painter",
            sizes=(ImageSize(width=1024, height=1024, state_bytes=1),),
            budget_bytes=16,
            max_waiting=1_000,
        ),
    ),
)
RATIOS = {3: (2.5, 3.5, 6.0), 10: (6.0, 8.0, 14.0), 30: (12.0, 16.0, 26.0)}


def seconds(plan: StepPlan) -> float:
    """Roofline: weights and cache from memory, or two FLOPs per parameter and token."""
    if isinstance(plan.shape, TextShape):
        shape = plan.shape
        context_tokens = shape.decode_context_tokens + shape.prefill_context_tokens
        memory_s = (16.06e9 + 131_072 * context_tokens) / (0.80 * 3.35e12)
        compute_s = 16.06e9 * (shape.num_decodes + shape.prefill_tokens) / (0.55 * 989e12)
        return 0.001 + max(memory_s, compute_s)
    assert isinstance(plan.shape, ImageShape)
    if plan.kind is StepKind.ENCODE:
        return 0.008 * plan.shape.batch
    if plan.kind is StepKind.DENOISE:
        return 0.001 + 0.0255 * plan.shape.batch
    return 0.040 * plan.shape.batch


@dataclass
class Load:
    """Arrivals, and the output length of each text request."""

    requests: list[Request]
    output_tokens: dict[str, int]


def make_load(ratio: int, rate_rps: float, duration_s: float, seed: int) -> Load:
    random, now_s, load = Random(seed), 0.0, Load([], {})
    while (now_s := now_s + random.expovariate(rate_rps)) < duration_s:
        name = f"r{len(load.requests)}"
        if random.random() < ratio / (1 + ratio):
            prompt = int(MEAN_PROMPT * random.lognormvariate(-0.5, 1.0))
            load.output_tokens[name] = 1 + int(random.expovariate(1 / MEAN_OUTPUT))
            load.requests.append(
                TextRequest(
                    request_id=name,
                    model="llm",
                    arrival_s=now_s,
                    prompt_tokens=min(4000, max(8, prompt)),
                    max_output_tokens=MAX_OUTPUT,
                    slo=TEXT_SLO,
                )
            )
        else:
            load.requests.append(
                ImageRequest(
                    request_id=name,
                    model="painter",
                    arrival_s=now_s,
                    width=1024,
                    height=1024,
                    num_steps=30,
                    is_guided=True,
                    slo=IMAGE_SLO,
                )
            )
    return load


@dataclass
class Times:
    tokens: dict[str, int] = field(default_factory=dict)
    first_s: dict[str, float] = field(default_factory=dict)
    end_s: dict[str, float] = field(default_factory=dict)


def simulate(policy: str, load: Load, until_s: float) -> Times:
    """Ends when all is served, or at `until_s`: what is left by then is late."""
    scheduler, times, now_s = make_scheduler(LIMITS, policy), Times(), 0.0
    todo = iter([*load.requests, None])
    coming = next(todo)
    while now_s < until_s:
        while coming is not None and coming.arrival_s <= now_s:
            scheduler.on_event(Arrived(request=coming), now_s)
            coming = next(todo)
        plan = scheduler.plan(now_s)
        if isinstance(plan, StepPlan):
            duration_s = seconds(plan)
            now_s += duration_s
            ended = tuple(finish(plan, load, times, now_s))
            finished = StepFinished(step_id=plan.step_id, duration_s=duration_s, ended=ended)
            scheduler.on_event(finished, now_s)
        elif coming is None:
            break
        else:
            now_s = coming.arrival_s
    return times


def finish(plan: StepPlan, load: Load, times: Times, now_s: float) -> Iterator[str]:
    """Books the outputs of a step; yields text that produced its last token."""
    if plan.kind is StepKind.VAE_DECODE:
        times.end_s |= dict.fromkeys(plan.request_ids(), now_s)
    if not isinstance(plan.batch, TextBatch):
        return
    sampled = (chunk.request_id for chunk in plan.batch.chunks if chunk.is_last)
    for name in (*plan.batch.decodes, *sampled):
        times.first_s.setdefault(name, now_s)
        times.tokens[name] = times.tokens.get(name, 0) + 1
        if times.tokens[name] == min(load.output_tokens[name], MAX_OUTPUT):
            times.end_s[name] = now_s
            yield name


def is_kept(request: Request, times: Times) -> bool:
    name = request.request_id
    if name not in times.end_s:
        return False
    if isinstance(request, ImageRequest):
        return times.end_s[name] <= request.arrival_s + request.slo.deadline_s
    decode_s = times.end_s[name] - times.first_s[name]
    tpot_s = decode_s / max(1, times.tokens[name] - 1)
    is_started = times.first_s[name] <= request.arrival_s + request.slo.ttft_s
    return is_started and tpot_s <= request.slo.tpot_s + 1e-9


def attainment(policy: str, ratio: int, rate_rps: float, seconds: float, seed: int) -> list[float]:
    """Share of text, share of images that kept their promises; p95 time to first token."""
    load = make_load(ratio, rate_rps, seconds, seed)
    times = simulate(policy, load, until_s=2 * seconds)
    texts = [one for one in load.requests if isinstance(one, TextRequest)]
    images = [one for one in load.requests if isinstance(one, ImageRequest)]
    ttft_s = sorted(times.first_s.get(one.request_id, 1e9) - one.arrival_s for one in texts)
    return [
        mean(is_kept(one, times) for one in texts),
        mean(is_kept(one, times) for one in images),
        ttft_s[int(0.95 * len(ttft_s))],
    ]


def capacity_rps(policy: str, ratio: int, arguments: argparse.Namespace) -> float:
    """Highest offered rate with 95 % of text and 95 % of images in time, to 2 %."""
    low, high = 0.5, 60.0
    while high / low > 1.02:
        middle = (low * high) ** 0.5
        runs = [
            attainment(policy, ratio, middle, arguments.seconds, seed)
            for seed in range(arguments.seeds)
        ]
        is_enough = all(mean(run[place] for run in runs) >= 0.95 for place in (0, 1))
        low, high = (middle, high) if is_enough else (low, middle)
    return low


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare policies in virtual time.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--capacity", action="store_true", help="also search the capacity: slow")
    arguments = parser.parse_args()
    print("| text : image | offered req/s | policy | text in time | images in time | p95 TTFT s |")
    print("|---|---|---|---|---|---|")
    for ratio, rates in RATIOS.items():
        for rate_rps in rates:
            for policy in POLICIES:
                runs = [
                    attainment(policy, ratio, rate_rps, arguments.seconds, seed)
                    for seed in range(arguments.seeds)
                ]
                cells = [f"{mean(values):.3f}" for values in zip(*runs, strict=True)]
                print(f"| {ratio} | {rate_rps} | {policy} | {' | '.join(cells)} |", flush=True)
    if arguments.capacity:
        print("\n| text : image | policy | req/s with 95 % of each in time |\n|---|---|---|")
        for ratio in RATIOS:
            for policy in POLICIES:
                found = capacity_rps(policy, ratio, arguments)
                print(f"| {ratio} | {policy} | {found:.2f} |", flush=True)


if __name__ == "__main__":
    main()
