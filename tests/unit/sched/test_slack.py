"""SLACK against cases worked out by hand. Times are exact: 10 ms per iteration, 1 ms per prompt
token, 50 ms per image step of any batch (see conftest)."""

from itertools import pairwise

import pytest

from loadsheet.sched.event import Arrived, StepFinished
from loadsheet.sched.plan import StepKind
from loadsheet.sched.scheduler import Scheduler
from loadsheet.sched.slack import PATIENCE, SHORT_PATIENCE, SlackPolicy
from loadsheet.sched.step_times import LearnedStepTimes

DENOISE_S = 0.050


def seconds_with(**changed):
    """Step times by kind, over the defaults of conftest."""

    def seconds(kind, model, shape):
        if kind in changed:
            return changed[kind]
        if kind is StepKind.TEXT:
            return 0.010 + 0.001 * shape.prefill_tokens
        return DENOISE_S

    return seconds


def decoding(make_device, make, *, tpot, seconds=None):
    """A device at t = 0.018 s: one sequence has just got its first token."""
    limits = make.device_limits(text=(make.text_limits(num_blocks=4000),))
    device = make_device(limits=limits, seconds=seconds or seconds_with())
    device.arrive(make.text("talk", prompt=8, output=400, tpot=tpot))
    device.step()
    assert device.now_s == pytest.approx(0.018)
    return device


@pytest.mark.parametrize(
    ("tpot", "kind"),
    [
        # next token due one TPOT from now; decode 10 ms; so S = TPOT - 10 ms against a 50 ms step
        (0.061, StepKind.ENCODE),
        (0.059, StepKind.TEXT),
    ],
)
def test_an_image_step_runs_exactly_when_it_fits_before_the_next_token(
    make_device, make, tpot, kind
):
    device = decoding(make_device, make, tpot=tpot)
    device.arrive(make.image())
    assert device.step().kind is kind


def test_early_tokens_are_credit_for_an_image_step(make_device, make):
    device = decoding(make_device, make, tpot=0.030)
    device.arrive(make.image())
    kinds = [device.step().kind for _ in range(4)]
    # each iteration takes 10 ms of its 30: slack 20, 40, 60 ms; the third is enough for 50
    assert kinds == [StepKind.TEXT, StepKind.TEXT, StepKind.ENCODE, StepKind.TEXT]


def test_credit_is_capped(make_device, make):
    device = decoding(make_device, make, tpot=0.040, seconds=seconds_with(encode=0.245))
    for _ in range(20):  # 20 iterations bank 20 · 30 ms = 600 ms
        device.step()
    device.arrive(make.image())
    # max_gap = max(5 · 40, 250) ms = 250 ms, less 10 ms to decode: 245 ms is too long
    assert device.step().kind is StepKind.TEXT


def test_without_images_it_decodes_at_once(make_device, make):
    device = decoding(make_device, make, tpot=0.2)
    start_s = device.now_s
    device.step()
    assert device.now_s == pytest.approx(start_s + 0.010)


def test_the_tightest_sequence_decides(make_device, make):
    device = decoding(make_device, make, tpot=0.2)
    device.arrive(make.text("hasty", prompt=8, output=9, tpot=0.059))
    device.step()
    device.arrive(make.image())
    assert device.step().kind is StepKind.TEXT


def test_an_urgent_prompt_goes_before_an_image_step(make_device, make):
    device = make_device()
    device.arrive(make.image(deadline=0.35))  # not relaxed: it can wait 200 of its 350 ms
    # 8 prompt tokens take 18 ms; urgent when it can wait for less than 4 steps of 50 ms
    device.arrive(make.text("patient", prompt=8, ttft=0.219, output=1))
    assert device.step().kind is StepKind.ENCODE
    device = make_device()
    device.arrive(make.image(deadline=0.35))
    device.arrive(make.text("urgent", prompt=8, ttft=0.217, output=1))
    assert device.step().kind is StepKind.TEXT


def test_a_relaxed_image_lets_an_earlier_prompt_pass(make_device, make):
    device = make_device()
    device.arrive(make.image(deadline=20.0))
    device.arrive(make.text("soon", ttft=2.0))
    assert device.step().kind is StepKind.TEXT
    device = make_device()
    device.arrive(make.image(deadline=0.45))  # laxity 0.45 - 0.15 s: 0.67 of its time
    device.arrive(make.text("later", ttft=2.0))
    assert device.step().kind is StepKind.ENCODE


def test_a_chunk_ends_by_the_next_token(make_device, make):
    device = decoding(make_device, make, tpot=0.100)
    device.arrive(make.text("long", prompt=200, output=4))
    # due in 100 ms: 10 ms for the iteration and 90 prompt tokens
    assert device.step().batch.chunks[0].num_tokens == 90


@pytest.mark.parametrize(("deadline", "tokens"), [(0.35, 0), (0.45, 49)])
def test_beside_an_urgent_image_only_free_prefill_runs(make_device, make, deadline, tokens):
    device = decoding(make_device, make, tpot=0.059)
    # at t = 18 ms it needs 150 ms and could wait for 182 or 282 ms; 4 steps are 200 ms
    device.arrive(make.image(steps=2, deadline=deadline))
    device.arrive(make.text("long", prompt=200, output=4, ttft=5.0))
    plan = device.step()
    assert plan.kind is StepKind.TEXT  # 49 ms of slack
    assert sum(chunk.num_tokens for chunk in plan.batch.chunks) == tokens


def test_an_urgent_prompt_makes_progress_where_nothing_fits(make_device, make):
    device = decoding(make_device, make, tpot=0.012)
    # 12 - 10 ms leave room for 2 tokens, below the useful minimum; but it takes 210 ms and has
    # 22 more, fewer than four iterations of 10 ms
    device.arrive(make.text("urgent", prompt=200, output=4, ttft=0.25))
    assert device.step().batch.chunks[0].num_tokens == 32


def test_a_patient_prompt_waits_where_nothing_fits(make_device, make):
    device = decoding(make_device, make, tpot=0.012)
    device.arrive(make.text("patient", prompt=200, output=4, ttft=9.0))
    assert not device.step().batch.chunks


def test_images_get_their_turn_while_text_is_late(make_device, make):
    device = decoding(make_device, make, tpot=0.005)  # 5 ms further behind with every token
    device.arrive(make.image(steps=3))
    kinds = [device.step().kind for _ in range(SHORT_PATIENCE + 1)]
    assert StepKind.ENCODE in kinds


def test_a_hopeless_sequence_does_not_drive_the_device(make_device, make):
    device = decoding(make_device, make, tpot=0.005)
    device.arrive(make.image(steps=6, deadline=2.0))
    run = device.play([])
    # given up after two misses, it is served within the longest stall of its class (250 ms)
    tokens_s = run.tokens_s["talk"]
    gaps_s = [late - early for early, late in pairwise(tokens_s)]
    assert max(gaps_s) <= 0.25
    image_s = run.images_s["i0"] - 0.018
    assert image_s < 8 * DENOISE_S + 0.25  # its own work and a few iterations


def test_a_step_longer_than_any_credit_still_runs(make_device, make):
    device = decoding(make_device, make, tpot=0.040, seconds=seconds_with(denoise=0.400))
    device.arrive(make.image(steps=1))
    kinds = [device.step().kind for _ in range(12)]
    place = kinds.index(StepKind.DENOISE)
    assert kinds[place - SHORT_PATIENCE : place] == [StepKind.TEXT] * SHORT_PATIENCE


def test_new_sequences_cannot_keep_an_image_waiting_forever(make_device, make):
    limits = make.text_limits(num_blocks=4000, max_num_seqs=500, max_waiting=500)
    device = make_device(limits=make.device_limits(text=(limits,)))
    device.arrive(make.image(steps=1))
    kinds = []
    for number in range(3 * PATIENCE):  # each newcomer's first token is due again in 55 ms
        device.arrive(make.text(f"t{number}", prompt=2, output=40, ttft=0.1, tpot=0.055))
        kinds.append(device.step().kind)
    assert StepKind.ENCODE in kinds[: PATIENCE + 1]


def test_a_given_up_prompt_waits_for_a_few_image_steps_at_most(make_device, make):
    device = make_device(seconds=seconds_with(denoise=3.0))
    for number in range(4):
        device.arrive(make.image(f"i{number}", steps=50, size=128 if number else 64, deadline=900))
    device.step()
    device.step()
    device.arrive(make.text("lost", at=0.0, ttft=0.01))
    kinds = [device.step().kind for _ in range(SHORT_PATIENCE + 1)]
    assert kinds == [StepKind.DENOISE] * SHORT_PATIENCE + [StepKind.TEXT]


def test_a_lost_image_gives_way_to_one_that_can_be_in_time(make_device, make):
    device = make_device(limits=make.device_limits(images=(make.image_limits(max_batch=1),)))
    device.arrive(make.image("lost", steps=10, deadline=0.5))  # 550 ms of work
    device.arrive(make.image("fine", steps=2, deadline=1.0))
    run = device.play([])
    assert list(run.images_s) == ["fine", "lost"]


def test_a_started_image_is_lost_only_when_it_would_be_late_alone(make_device, make):
    limits = make.device_limits(images=(make.image_limits(max_batch=1),))
    device = make_device(limits=limits)
    device.arrive(make.image("tight", steps=4, deadline=0.52))  # 2 · 250 ms: may start
    device.step()
    device.arrive(make.image("other", steps=2, deadline=9.0))
    assert device.step().request_ids() == ("tight",)


def test_an_image_given_up_on_a_wrong_prediction_gets_another_chance(make):
    """The prior says 10 s per denoise step; the first ones take 50 ms."""
    scheduler = Scheduler(
        make.device_limits(images=(make.image_limits(max_batch=1),)),
        SlackPolicy(),
        LearnedStepTimes(lambda kind, model, shape: 10.0 if kind is StepKind.DENOISE else 0.05),
    )
    scheduler.on_event(Arrived(request=make.image("first", steps=9, deadline=4.0)), 0.0)
    for step_id in (1, 2, 3):
        scheduler.plan(step_id - 1)
        scheduler.on_event(StepFinished(step_id=step_id, duration_s=0.05, ended=()), step_id)
    scheduler.on_event(Arrived(request=make.image("second", steps=9, deadline=9.0)), 3.0)
    assert scheduler.plan(3.0).request_ids() == ("first",)


def test_a_lost_prompt_gives_way_to_one_that_can_be_in_time(make_device, make):
    limits = make.text_limits(max_num_seqs=1)
    device = make_device(limits=make.device_limits(text=(limits,)))
    device.arrive(make.text("lost", prompt=100, ttft=0.1, output=1))  # 110 ms of work
    device.arrive(make.text("fine", prompt=100, ttft=0.5, output=1))
    run = device.play([])
    assert list(run.tokens_s) == ["fine", "lost"]


def test_of_two_text_models_a_prompt_goes_first_while_the_decodes_can_wait(make_device, make):
    limits = make.device_limits(text=(make.text_limits(), make.text_limits(model="other")))
    device = make_device(limits=limits)
    device.arrive(make.text("a", tpot=0.1, output=9))
    device.arrive(make.text("b", tpot=0.2, output=9, model="other", ttft=9.0))
    assert device.step().model == "llm"
    assert device.step().model == "other"  # a's next token is due in 100 ms, b takes 18
    # a's is due 100 ms after t = 18 ms, b's 200 ms after t = 36 ms
    assert device.step().model == "llm"
    device.arrive(make.text("c", model="other", prompt=200, ttft=9.0))
    # a has credit, c's chunk takes what is left of it
    assert device.step().batch.chunks[0].num_tokens < 200


def test_of_two_text_models_decodes_go_first_when_they_cannot_wait(make_device, make):
    limits = make.device_limits(text=(make.text_limits(), make.text_limits(model="other")))
    device = make_device(limits=limits)
    device.arrive(make.text("a", tpot=0.045, output=9))
    device.step()
    device.arrive(make.text("b", prompt=100, model="other", ttft=9.0))
    # 35 ms of slack; the smallest chunk of b takes 42 ms
    assert device.step().model == "llm"


def test_slack_leaves_time_for_the_decodes_of_every_text_model(make_device, make):
    limits = make.device_limits(text=(make.text_limits(), make.text_limits(model="other")))
    device = make_device(limits=limits)
    device.arrive(make.text("a", tpot=0.085, output=9))
    device.arrive(make.text("b", tpot=0.069, output=9, model="other"))
    device.step()
    device.step()
    assert device.now_s == pytest.approx(0.036)
    device.arrive(make.image())
    # a is due at 103 ms, b at 105 ms: both decoded by then needs 20 ms, so 49 ms of slack
    assert device.step().kind is StepKind.TEXT


@pytest.mark.parametrize("policy", ["slack", "round-robin"])
def test_every_text_model_progresses(make_device, make, policy):
    limits = make.device_limits(text=(make.text_limits(), make.text_limits(model="other")))
    device = make_device(policy, limits=limits)
    requests = [make.text("a"), make.text("b", model="other"), make.image("i")]
    run = device.play(requests)
    assert set(run.tokens_s) == {"a", "b"}
    assert set(run.images_s) == {"i"}


def test_no_token_deadline_is_missed_where_slack_can_keep_them(make_device, make):
    """G1: with exact times, only steps that fit before D delay a token; round-robin misses."""
    requests = [
        make.text(f"t{number}", at=0.1 * number, prompt=24, output=60, ttft=2.0, tpot=0.040)
        for number in range(30)
    ]
    requests += [
        make.image(f"i{number}", at=0.4 * number, steps=8, deadline=6.0) for number in range(8)
    ]
    limits = make.device_limits(
        text=(make.text_limits(num_blocks=4000, max_num_seqs=64),),
        images=(make.image_limits(budget_bytes=10_000, max_batch=2),),
    )
    outputs = {f"t{number}": 20 + number % 40 for number in range(30)}
    late = {}
    for policy in ("slack", "round-robin"):
        run = make_device(policy, limits=limits).play(requests, outputs)
        late[policy] = [
            (request.request_id, token)
            for request in requests[:30]
            for token, at_s in enumerate(run.tokens_s[request.request_id])
            if at_s > run.tokens_s[request.request_id][0] + token * request.slo.tpot_s + 1e-9
        ]
        assert all(run.ttft_s(request) <= request.slo.ttft_s for request in requests[:30])
        if policy == "slack":
            assert all(
                run.images_s[request.request_id] <= request.arrival_s + request.slo.deadline_s
                for request in requests[30:]
            )
    assert late["slack"] == []
    assert late["round-robin"]


def test_two_lanes_give_up_nothing_while_the_latents_are_elsewhere(make_device, make):
    """An idle call must change nothing: the whole device is taken."""
    limits = make.image_limits(budget_bytes=500, max_batch=1)
    device = make_device(limits=make.device_limits(images=(limits,), num_lanes=2))
    device.arrive(make.image("runs", size=64))
    running = device.scheduler.plan(0.0)
    assert running.request_ids() == ("runs",)
    device.arrive(make.image("lost", size=128, steps=100, deadline=0.1))
    device.arrive(make.image("fine", size=128, deadline=9.0))
    [group] = device.scheduler._images.values()
    due_s = [job.due_s for job in group.jobs()]
    assert device.scheduler.plan(0.0) is None
    assert [job.due_s for job in group.jobs()] == due_s
