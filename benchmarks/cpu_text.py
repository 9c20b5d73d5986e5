"""Text on a CPU through our engine: decode of many streams, time to first token; no server.

    python benchmarks/cpu_text.py FOLDER [--dtype bf16] [--engine openvino] [--threads 2]

Prompts of 128 random tokens, 64 more each, greedy, end-of-sequence ignored; plans as the scheduler
makes them, lowering and sampling included. `ttft` is the time until the last of the prompts has its
first token, in chunks of at most 512 tokens; `decode` counts the steps after that. One JSON line.
"""

import argparse
import json
import random
import time
from pathlib import Path

from loadsheet.engine.cpu_cores import cores_of_process
from loadsheet.engine.device import open_device
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.executor import Executor
from loadsheet.runtime.payload import Sampling, TextPayload
from loadsheet.sched.event import Arrived, StepFinished
from loadsheet.sched.limits import DeviceLimits
from loadsheet.sched.plan import StepPlan
from loadsheet.sched.policies import make_scheduler
from loadsheet.workload.request import TextRequest
from loadsheet.workload.slo import TextSLO

PROMPT, OUTPUT = 128, 64
PATIENT = TextSLO(ttft_s=1e-3, tpot_s=10.0)  # prompts first, as many as fit


def run(
    executor: Executor, limits: DeviceLimits, streams: int, seed: int
) -> tuple[float, list[float]]:
    """(seconds until every stream has its first token, seconds of each step after it)."""
    scheduler, draw = make_scheduler(limits), random.Random(seed)
    for idx in range(streams):
        request = TextRequest(
            request_id=f"{seed}-{idx}",
            model=limits.text[0].model,
            arrival_s=0.0,
            prompt_tokens=PROMPT,
            max_output_tokens=OUTPUT,
            slo=PATIENT,
        )
        payload = TextPayload(
            prompt_ids=tuple(draw.randrange(2, 49000) for _ in range(PROMPT)),
            sampling=Sampling(temperature=0.0),
            max_output_tokens=OUTPUT,
            is_eos_ignored=True,
        )
        assert scheduler.on_event(Arrived(request=request), 0.0) is None
        executor.admit(request, payload)
    first_s, steps_s, start_s = 0.0, [], time.perf_counter()
    tokens: dict[str, int] = {}
    while True:
        begin_s = time.perf_counter()
        plan = scheduler.plan(begin_s - start_s)
        if not isinstance(plan, StepPlan):
            break
        result = executor.run(plan)
        for output in result.outputs:
            tokens[output.request_id] = tokens.get(output.request_id, 0) + 1
        ended = tuple(one for one in plan.request_ids() if tokens.get(one) == OUTPUT)
        for one in ended:
            executor.release(one)
        now_s = time.perf_counter()
        event = StepFinished(step_id=plan.step_id, duration_s=result.duration_s, ended=ended)
        scheduler.on_event(event, now_s - start_s)
        if not first_s and len(tokens) == streams:
            first_s = now_s - start_s
        elif first_s:
            steps_s.append(now_s - begin_s)
    return first_s, steps_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--threads", type=int, default=len(cores_of_process().numbers))
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 16, 32])
    parser.add_argument("--repeats", type=int, default=3, help="the best of them counts")
    arguments = parser.parse_args()
    config = DeviceConfig(
        text=str(arguments.folder),
        device="cpu",
        engine=arguments.engine,
        dtype=arguments.dtype,
        num_threads=arguments.threads,
        kv_bytes=320 * 2**20,
    )
    start_s = time.perf_counter()
    device = open_device(config, lambda _: None)
    found: dict[str, object] = {
        "engine": arguments.engine,
        "dtype": arguments.dtype,
        "threads": arguments.threads,
        "load_s": round(time.perf_counter() - start_s, 2),
    }
    run(device.executor, device.limits, 2, -1)
    for streams in arguments.streams:
        runs = [
            run(device.executor, device.limits, streams, 100 * streams + repeat)
            for repeat in range(arguments.repeats)
        ]
        decode_s = min(sum(steps) / len(steps) for _, steps in runs)
        found[f"B{streams}"] = {
            "ttft_ms": round(min(first for first, _ in runs) * 1e3, 1),
            "itl_ms": round(decode_s * 1e3, 2),
            "decode_tok_s": round(streams / decode_s, 1),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
