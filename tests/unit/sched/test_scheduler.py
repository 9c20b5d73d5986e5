import pytest

from loadsheet.errors import ExecutorError
from loadsheet.sched.event import Cancelled, RejectReason, StepFinished
from loadsheet.sched.plan import BlockGrant, PrefillChunk, StepKind, Wait
from loadsheet.sched.policy import WaitUntil
from loadsheet.sched.scheduler import Scheduler

BOTH = pytest.mark.parametrize("policy", ["slack", "round-robin"])


@BOTH
def test_an_idle_device_has_no_plan(make_device, policy):
    assert make_device(policy).scheduler.plan(0.0) is None


@BOTH
def test_a_text_request_prefills_then_decodes_until_its_limit(make_device, make, policy):
    device = make_device(policy)
    device.arrive(make.text("a", prompt=8, output=3))
    prefill, first, second = device.step(), device.step(), device.step()
    chunk = PrefillChunk(request_id="a", num_tokens=8, past_tokens=0, is_last=True)
    assert prefill.batch.chunks == (chunk,)
    assert prefill.batch.decodes == ()
    assert first.batch.decodes == second.batch.decodes == ("a",)
    assert device.step() is None  # 3 tokens: one from the prefill, two decoded
    assert len(device.run.tokens_s["a"]) == 3


def test_blocks_are_granted_when_a_sequence_crosses_a_border(make_device, make):
    device = make_device()
    device.arrive(make.text("a", prompt=7, output=7))
    plans = [device.step() for _ in range(7)]
    grants = [plan.batch.grants for plan in plans]
    # 7 prompt tokens take 2 blocks of 4; decodes write positions 7, 8 (a new block), … 12 (another)
    assert grants[0] == (BlockGrant(request_id="a", block_ids=(0, 1)),)
    assert grants[2] == (BlockGrant(request_id="a", block_ids=(2,)),)
    assert grants[6] == (BlockGrant(request_id="a", block_ids=(3,)),)
    assert [grants[it] for it in (1, 3, 4, 5)] == [()] * 4
    assert device.scheduler.snapshot().text[0].used_blocks == 0


def test_context_counts_tokens_already_in_the_cache(make_device, make):
    device = make_device()
    device.arrive(make.text("a", prompt=8))
    device.arrive(make.text("b", prompt=5))
    device.step()
    assert device.step().shape.decode_context_tokens == 13
    assert device.step().shape.decode_context_tokens == 15


def test_a_long_prompt_is_chunked(make_device, make):
    limits = make.device_limits(text=(make.text_limits(max_chunk_tokens=6),))
    device = make_device(limits=limits)
    device.arrive(make.text("a", prompt=16))
    chunks = [device.step().batch.chunks[0] for _ in range(3)]
    assert [(c.past_tokens, c.num_tokens, c.is_last) for c in chunks] == [
        (0, 6, False),
        (6, 6, False),
        (12, 4, True),
    ]
    assert device.step().batch.decodes == ("a",)


def test_one_chunk_budget_serves_several_prompts_by_deadline(make_device, make):
    limits = make.device_limits(text=(make.text_limits(max_chunk_tokens=10),))
    device = make_device(limits=limits)
    device.arrive(make.text("late", prompt=6, ttft=3.0))
    device.arrive(make.text("soon", prompt=6, ttft=1.0))
    chunks = device.step().batch.chunks
    assert [(chunk.request_id, chunk.num_tokens) for chunk in chunks] == [("soon", 6), ("late", 4)]


def test_the_decode_tuple_is_the_same_object_while_nobody_joins_or_leaves(make_device, make):
    device = make_device()
    for name in ("a", "b"):
        device.arrive(make.text(name, output=9))
    device.step()
    first = device.step().batch.decodes
    device.arrive(make.text("one token", output=1))
    with_prefill = device.step()
    assert with_prefill.batch.chunks
    assert with_prefill.batch.decodes is first
    assert device.step().batch.decodes is first


def test_end_of_sequence_at_the_first_token_leaves_at_once(make_device, make):
    device = make_device()
    device.arrive(make.text("a"))
    plan = device.scheduler.plan(0.0)
    device.finish(plan, ended=("a",))
    assert device.scheduler.plan(device.now_s) is None
    device.scheduler.check_integrity()


def test_a_prompt_that_ends_at_once_leaves_the_decode_tuple_alone(make_device, make):
    device = make_device()
    device.arrive(make.text("a", output=9))
    device.step()
    first = device.step().batch.decodes
    device.arrive(make.text("b"))
    device.finish(device.scheduler.plan(device.now_s), ended=("b",))
    assert device.step().batch.decodes is first


def test_blocks_come_back_in_the_order_in_which_requests_ended(make_device, make):
    device = make_device()
    names = "abcdefgh"
    for name in names:
        device.arrive(make.text(name, prompt=4))
    plan = device.scheduler.plan(0.0)
    device.finish(plan, ended=tuple("hbgcfdea"))
    for name in names:
        device.arrive(make.text(name, prompt=4))
    grants = device.step().batch.grants
    assert [grant.block_ids for grant in grants] == [(ord(one) - 97,) for one in "aedfcgbh"]


def test_an_id_is_free_again_after_a_cancelled_step(make_device, make):
    device = make_device()
    device.arrive(make.text("a"))
    plan = device.scheduler.plan(0.0)
    device.tell(Cancelled(request_id="a"))
    device.finish(plan)
    device.arrive(make.text("a", output=3))
    device.run.tokens_s.clear()
    assert len(device.play([]).tokens_s["a"]) == 3


def test_an_image_encodes_denoises_and_decodes(make_device, make):
    device = make_device()
    device.arrive(make.image("i", steps=2))
    plans = [device.step() for _ in range(4)]
    assert [plan.kind for plan in plans] == [
        StepKind.ENCODE,
        StepKind.DENOISE,
        StepKind.DENOISE,
        StepKind.VAE_DECODE,
    ]
    assert [plan.batch.items[0].step_idx for plan in plans[1:3]] == [0, 1]
    assert device.step() is None
    assert device.scheduler.snapshot().images[0].used_bytes == 0


def test_latents_are_booked_from_the_encode_to_the_end(make_device, make):
    limits = make.device_limits(images=(make.image_limits(budget_bytes=500, max_batch=1),))
    device = make_device(limits=limits)
    for name in ("a", "b"):
        device.arrive(make.image(name, size=128))  # 400 bytes each: one at a time
    device.scheduler.plan(0.0)
    counts = device.scheduler.snapshot().images[0]
    assert (counts.used_bytes, counts.num_running, counts.num_waiting) == (400, 1, 1)


def test_a_large_image_is_not_overtaken_by_smaller_ones_behind_it(make_device, make):
    device = make_device(limits=make.device_limits(images=(make.image_limits(budget_bytes=450),)))
    device.arrive(make.image("started", deadline=5))
    device.step()
    device.arrive(make.image("large", size=128, deadline=6))
    device.arrive(make.image("small", deadline=7))
    order = list(device.play([]).images_s)
    assert order == ["started", "large", "small"]


def test_a_large_image_waits_for_its_bytes_even_when_it_is_due_first(make_device, make):
    device = make_device(limits=make.device_limits(images=(make.image_limits(budget_bytes=450),)))
    device.arrive(make.image("started", deadline=9))
    device.step()
    device.arrive(make.image("large", size=128, deadline=5))
    order = list(device.play([]).images_s)
    device.scheduler.check_integrity()
    assert order == ["started", "large"]


def test_only_equal_images_batch(make_device, make):
    device = make_device()
    for name, size, guided in [("a", 64, False), ("b", 64, True), ("c", 128, False)]:
        device.arrive(make.image(name, size=size, guided=guided))
    run = device.play([])
    assert all(len(plan.batch.items) == 1 for _, plan in run.plans)
    assert set(run.images_s) == {"a", "b", "c"}


def test_a_busy_lane_gets_no_second_plan(make_device, make):
    device = make_device()
    device.arrive(make.text("a"))
    plan = device.scheduler.plan(0.0)
    assert device.scheduler.snapshot().lanes == (plan,)
    assert device.scheduler.plan(0.1) is None


def test_two_lanes_never_share_a_request(make_device, make):
    device = make_device(limits=make.device_limits(num_lanes=2))
    device.arrive(make.text("t"))
    device.arrive(make.image("i"))
    first, second = device.scheduler.plan(0.0), device.scheduler.plan(0.0)
    assert {first.lane, second.lane} == {0, 1}
    assert set(first.request_ids()).isdisjoint(second.request_ids())
    assert device.scheduler.plan(0.0) is None
    device.finish(second)
    assert device.scheduler.snapshot().lanes[second.lane] is None


def test_a_running_text_step_keeps_its_model_from_a_second_lane(make_device, make):
    device = make_device(limits=make.device_limits(num_lanes=2))
    device.arrive(make.text("a"))
    assert device.scheduler.plan(0.0) is not None
    device.arrive(make.text("b"))
    assert device.scheduler.plan(0.0) is None


def test_cancelling_a_waiting_request_takes_effect_at_once(make_device, make):
    device = make_device()
    device.arrive(make.text("t"))
    device.arrive(make.image("i"))
    device.tell(Cancelled(request_id="t"))
    device.tell(Cancelled(request_id="i"))
    device.tell(Cancelled(request_id="i"))  # again, and unknown by now
    assert device.scheduler.plan(0.0) is None
    device.scheduler.check_integrity()


@pytest.mark.parametrize("num_steps_before", [0, 1, 3])
@pytest.mark.parametrize("kind", ["text", "image"])
def test_cancelling_in_a_running_step_frees_when_it_finishes(
    make_device, make, kind, num_steps_before
):
    device = make_device()
    device.arrive(make.text("gone", output=9) if kind == "text" else make.image("gone"))
    for _ in range(num_steps_before):
        device.step()
    plan = device.scheduler.plan(device.now_s)
    device.tell(Cancelled(request_id="gone"))
    device.tell(Cancelled(request_id="gone"))
    counts = device.scheduler.snapshot()
    assert counts.text[0].num_running + counts.images[0].num_running == 1
    device.finish(plan)
    device.scheduler.check_integrity()
    counts = device.scheduler.snapshot()
    assert counts.text[0].used_blocks == counts.images[0].used_bytes == 0
    assert device.scheduler.plan(device.now_s) is None


def test_a_started_prompt_can_be_cancelled_between_its_chunks(make_device, make):
    limits = make.device_limits(text=(make.text_limits(max_chunk_tokens=4),))
    device = make_device(limits=limits)
    device.arrive(make.text("a", prompt=8))
    device.step()
    device.tell(Cancelled(request_id="a"))
    assert device.scheduler.snapshot().text[0].used_blocks == 0
    assert device.step() is None


def test_a_started_image_can_be_cancelled_between_its_steps(make_device, make):
    device = make_device()
    device.arrive(make.image("i"))
    device.step()
    device.tell(Cancelled(request_id="i"))
    assert device.scheduler.snapshot().images[0].used_bytes == 0
    assert device.step() is None


def test_a_failed_image_leaves_its_batch(make_device, make):
    device = make_device()
    device.arrive(make.image("a"))
    device.arrive(make.image("b"))
    plan = device.scheduler.plan(0.0)
    assert plan.request_ids() == ("a", "b")
    device.finish(plan, ended=("a",))
    assert device.step().request_ids() == ("b",)


def test_a_request_may_fail_outside_its_step(make_device, make):
    device = make_device()
    device.arrive(make.image("i"))
    device.arrive(make.text("t"))
    plan = device.scheduler.plan(0.0)
    device.finish(plan, ended=("t", "i"))
    assert device.scheduler.plan(device.now_s) is None
    device.scheduler.check_integrity()


def test_seats_bound_the_number_of_sequences(make_device, make):
    limits = make.device_limits(text=(make.text_limits(max_num_seqs=2),))
    device = make_device(limits=limits)
    for name in "abc":
        device.arrive(make.text(name))
    assert [chunk.request_id for chunk in device.step().batch.chunks] == ["a", "b"]
    counts = device.scheduler.snapshot().text[0]
    assert (counts.num_running, counts.num_waiting) == (2, 1)
    run = device.play([])
    assert set(run.tokens_s) == {"a", "b", "c"}


def test_a_sequence_starts_only_when_its_worst_case_fits(make_device, make):
    limits = make.device_limits(text=(make.text_limits(num_blocks=5),))
    device = make_device(limits=limits)
    device.arrive(make.text("a", prompt=4, output=8))  # 3 blocks
    device.arrive(make.text("b", prompt=4, output=8))  # 3 blocks: not now
    assert [chunk.request_id for chunk in device.step().batch.chunks] == ["a"]
    assert device.scheduler.snapshot().text[0].used_blocks == 1


@pytest.mark.parametrize(
    ("name", "reason", "numbers"),
    [
        ("unknown text", RejectReason.UNKNOWN_MODEL, ["llm"]),
        ("unknown image", RejectReason.UNKNOWN_MODEL, ["painter"]),
        ("long", RejectReason.TOO_LARGE, ["8190", "8194", "8192"]),
        ("wide", RejectReason.TOO_LARGE, ["250", "8", "65", "64"]),
        ("size", RejectReason.TOO_LARGE, ["63x63", "64x64, 128x128"]),
        ("bytes", RejectReason.TOO_LARGE, ["128x128", "400 B", "300 B"]),
        ("steps", RejectReason.TOO_LARGE, ["101", "100"]),
        ("no steps", RejectReason.INVALID, ["0"]),
        ("no prompt", RejectReason.INVALID, ["0"]),
        ("no output", RejectReason.INVALID, ["0"]),
    ],
)
def test_what_can_never_run_is_refused_with_the_numbers(make_device, make, name, reason, numbers):
    requests = {
        "unknown text": make.text(model="lmm"),
        "unknown image": make.image(model="llm"),
        "long": make.text(prompt=8190, output=4),
        "wide": make.text(prompt=250, output=8),
        "size": make.image(size=63),
        "bytes": make.image(size=128),
        "steps": make.image(steps=101),
        "no steps": make.image(steps=0),
        "no prompt": make.text(prompt=0),
        "no output": make.text(output=0),
    }
    device = make_device(limits=make.device_limits(images=(make.image_limits(budget_bytes=300),)))
    device.arrive(requests[name])
    (rejection,) = device.run.rejections
    assert rejection.reason is reason
    assert rejection.request_id == requests[name].request_id
    assert rejection.retry_after_s is None
    for number in numbers:
        assert number in rejection.message


def test_a_device_without_models_says_so(make_device, make):
    device = make_device(limits=make.device_limits(text=(), images=()))
    device.arrive(make.text())
    assert "nearest names: none" in device.run.rejections[0].message


def test_an_id_in_use_is_refused_and_free_again_afterwards(make_device, make):
    device = make_device()
    device.arrive(make.text("a"))
    device.arrive(make.image("a"))
    assert device.run.rejections[0].reason is RejectReason.INVALID
    device.play([])
    device.arrive(make.text("a"))
    assert len(device.run.rejections) == 1


def test_a_full_queue_says_when_to_come_back(make_device, make):
    limits = make.device_limits(
        text=(make.text_limits(max_waiting=2),), images=(make.image_limits(max_waiting=2),)
    )
    device = make_device(limits=limits)
    for name in "abc":
        device.arrive(make.text(f"t{name}", prompt=8, output=4))
    for name in "abc":
        device.arrive(make.image(f"i{name}", steps=2))
    for_text, for_image = device.run.rejections
    assert for_text.reason is for_image.reason is RejectReason.QUEUE_FULL
    # 16 prompt tokens at 0.522 s per 512, then 8 output tokens at 10 ms; shared by 2 who wait
    text_s = 16 / 512 * 0.522 + 8 * 0.010
    assert for_text.retry_after_s == pytest.approx(text_s / 2)
    # and 2 images of 2 steps and a VAE decode at 50 ms
    assert for_image.retry_after_s == pytest.approx((text_s + 2 * 3 * 0.050) / 2)


def test_waiting_text_shares_the_batch_it_will_join(make_device, make):
    limits = make.device_limits(text=(make.text_limits(max_num_seqs=2, max_waiting=1),))
    device = make_device(limits=limits)
    for name in "ab":
        device.arrive(make.text(name, output=9))
        device.step()
    for name in "cd":
        device.arrive(make.text(name, prompt=8, output=4))
    (rejection,) = device.run.rejections
    # 8 prompt tokens at 0.522 s per 512, then 4 tokens beside another sequence at 10 ms
    assert rejection.retry_after_s == pytest.approx(8 / 512 * 0.522 + 4 * 0.010 / 2)


def test_draining_refuses_the_new_and_finishes_the_old(make_device, make):
    device = make_device()
    device.arrive(make.text("old"))
    device.scheduler.drain()
    assert device.scheduler.snapshot().is_draining
    device.arrive(make.text("new"))
    assert device.run.rejections[0].reason is RejectReason.DRAINING
    assert len(device.play([]).tokens_s["old"]) == 4


def test_a_policy_may_leave_the_lane_idle(make):
    class Later:
        def choose(self, state, now_s):
            return WaitUntil(until_s=now_s + 1)

    scheduler = Scheduler(make.device_limits(), Later(), make.exact(lambda *_: 1.0))
    assert scheduler.plan(2.0) == Wait(until_s=3.0)


def test_time_must_not_go_back(make_device):
    scheduler = make_device().scheduler
    scheduler.plan(1.0)
    with pytest.raises(ValueError, match="time went back"):
        scheduler.plan(0.9)


def test_a_step_that_does_not_run_cannot_finish(make_device):
    with pytest.raises(ExecutorError, match="step 7"):
        make_device().tell(StepFinished(step_id=7, duration_s=1.0, ended=()))


def test_events_at_the_same_moment_keep_the_order_of_arrival(make_device, make):
    device = make_device()
    for name in ("z", "a", "m"):
        device.arrive(make.text(name))
    assert [chunk.request_id for chunk in device.step().batch.chunks] == ["z", "a", "m"]
