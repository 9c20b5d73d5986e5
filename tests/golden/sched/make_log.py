"""Write the stored logs again, after a decision changed on purpose:

    python tests/golden/sched/make_log.py

Two text models and one image model under more load than they can bear: chunked prompts, cancelled
and failed requests, full queues, lost deadlines, a drain at the end. Step durations differ from the
predictions, so that what was learnt is part of every decision.
"""

from pathlib import Path
from random import Random

from loadsheet.runtime.event_log import EventLogWriter
from loadsheet.sched.event import Arrived, Cancelled, Event, StepFinished
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import StepPlan
from loadsheet.sched.policies import POLICIES, make_scheduler
from loadsheet.workload.request import ImageRequest, Request, TextRequest
from loadsheet.workload.slo import ImageSLO, TextSLO

FOLDER = Path(__file__).parent
NUM_STEPS = 130
LIMITS = DeviceLimits(
    text=(
        TextLimits(model="llm", num_blocks=40, max_num_seqs=6, max_waiting=3, max_chunk_tokens=96),
        TextLimits(model="small", num_blocks=20, max_num_seqs=2),
    ),
    images=(
        ImageLimits(
            model="painter",
            sizes=(
                ImageSize(width=128, height=128, state_bytes=100),
                ImageSize(width=256, height=256, state_bytes=400),
            ),
            budget_bytes=900,
            max_waiting=3,
        ),
    ),
)


def make_request(random: Random, number: int, now_s: float) -> Request:
    if random.random() < 0.7:
        return TextRequest(
            request_id=f"t{number}",
            model=random.choice(["llm", "llm", "small"]),
            arrival_s=now_s,
            prompt_tokens=random.randint(1, 180),
            max_output_tokens=random.randint(1, 40),
            slo=TextSLO(ttft_s=random.choice([0.3, 2.0]), tpot_s=random.choice([0.03, 0.1])),
        )
    side = random.choice([128, 128, 256])
    return ImageRequest(
        request_id=f"i{number}",
        model="painter",
        arrival_s=now_s,
        width=side,
        height=side,
        num_steps=random.randint(1, 6),
        is_guided=random.random() < 0.7,
        slo=ImageSLO(deadline_s=random.choice([0.8, 6.0])),
    )


def write_log(path: Path, policy: str) -> None:
    random = Random(20)
    scheduler = make_scheduler(LIMITS, policy)
    now_s = 0.0
    accepted: list[str] = []
    with EventLogWriter(path, LIMITS, policy) as log:

        def tell(event: Event) -> None:
            log.record_event(event, now_s)
            if scheduler.on_event(event, now_s) is None and isinstance(event, Arrived):
                accepted.append(event.request.request_id)

        for number in range(NUM_STEPS):
            if number == NUM_STEPS - 15:
                log.record_drain(now_s)
                scheduler.drain()
            if random.random() < 0.45:
                tell(Arrived(request=make_request(random, number, now_s)))
            plan = scheduler.plan(now_s)
            if not isinstance(plan, StepPlan):
                now_s += 0.01
                continue
            log.record_plan(plan, now_s)
            if random.random() < 0.1:
                tell(Cancelled(request_id=random.choice(accepted)))
            duration_s = plan.predicted_s * random.uniform(0.6, 1.5)
            now_s += duration_s
            ended = tuple(one for one in plan.request_ids() if random.random() < 0.03)
            tell(StepFinished(step_id=plan.step_id, duration_s=duration_s, ended=ended))


if __name__ == "__main__":
    for name in POLICIES:
        write_log(FOLDER / f"{name}.jsonl", name)
