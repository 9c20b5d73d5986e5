"""Text and images together: objectives measured beforehand, interference, share sum, traces."""

import asyncio

import pytest

from loadsheet.bench.mock_server import Pace, image_reply, preview_reply, text_reply
from loadsheet.bench.summarize import MIXED
from loadsheet.workload.shape import ImageShape, TextShape
from loadsheet.workload.trace import TraceRow, write_trace


def exactly(seconds):
    return pytest.approx(seconds, abs=1e-7)


def chat(**more):
    return {
        "name": "chat",
        "kind": "text",
        "output_tokens": 5,
        "arrivals": {"process": "closed"},
        **more,
    }


def emoji(**more):
    return {
        "name": "emoji",
        "kind": "image",
        "width": 64,
        "height": 64,
        "num_steps": 10,
        "arrivals": {"process": "closed"},
        **more,
    }


def workload(*traffic, measure_alone=False, duration_s=30):
    return {
        "run": {"warmup_s": 2, "duration_s": duration_s, "measure_alone": measure_alone},
        "traffic": list(traffic),
    }


class FightingServer:
    """Tokens take twice as long while an image is drawn; images take 0.5 s more beside text."""

    def __init__(self) -> None:
        self.image_until_s = -1.0
        self.text_until_s = -1.0

    def __call__(self, path, body):
        now_s = asyncio.get_running_loop().time()
        if path.endswith("completions"):
            slow = 2 if now_s < self.image_until_s else 1
            self.text_until_s = now_s + slow * 0.5
            return text_reply([slow * 0.1] * 5)
        if path.endswith("generations"):
            duration_s = 1.0 + (0.5 if now_s < self.text_until_s else 0.0)
            self.image_until_s = now_s + duration_s
            return image_reply(duration_s)
        return Pace()(path, body)


def test_interference_and_share_sum_of_a_known_fight(bench):
    result = bench(workload(chat(), emoji(), measure_alone=True), FightingServer())
    assert [phase.name for phase in result.summary.phases] == ["alone:chat", "alone:emoji", MIXED]
    ratios = {
        (item.traffic, item.metric, item.quantile): item.ratio.value
        for item in result.summary.interference
    }
    assert ratios["chat", "tpot_s", "p99"] == pytest.approx(2, abs=0.01)
    assert ratios["chat", "itl_s", "p50"] == pytest.approx(2, abs=0.01)
    assert ratios["chat", "ttft_s", "p50"] == pytest.approx(2, abs=0.01)
    assert ratios["emoji", "time_to_image_s", "p99"] == pytest.approx(1.5, abs=0.01)
    # tokens: half their rate alone; images: 1 / 1.5 of it
    assert result.summary.share_sum.value == pytest.approx(0.5 + 1 / 1.5, abs=0.05)


def test_without_the_classes_alone_there_is_no_interference(bench):
    result = bench(workload(chat(), emoji()), FightingServer())
    assert [phase.name for phase in result.summary.phases] == [MIXED]
    assert result.summary.interference == ()
    assert result.summary.share_sum is None


def test_images_without_an_objective_get_three_times_their_time_alone(bench):
    result = bench(workload(emoji()), Pace(image_s=0.7))
    promise = result.facts.promises["emoji"]
    assert promise.slo.deadline_s == exactly(2.1)
    assert "3 × 0.700 s alone" in promise.origin


def test_the_standalone_objective_grows_with_steps(bench):
    """A class of 10 or 40 steps: 40 steps take four times as long and are allowed to."""

    def script(path, body):
        if path.endswith("generations"):
            return image_reply(0.05 * body["num_inference_steps"])
        return Pace()(path, body)

    steps = {"distribution": "empirical", "values": [10, 40]}
    (phase,) = bench(workload(emoji(num_steps=steps)), script).summary.phases
    assert phase.classes[0].attainment.share == 1.0
    assert phase.classes[0].distribution("time_to_image_s").maximum == exactly(2.0)


def test_image_rates_count_images_steps_and_pixels(bench):
    document = workload(emoji(num_images=2))
    (images,) = bench(document, Pace(image_s=0.5)).summary.phases[0].classes
    assert images.rates["requests_per_s"].value == pytest.approx(2, abs=0.05)
    assert images.rates["images_per_s"].value == pytest.approx(4, abs=0.1)
    assert images.rates["denoise_steps_per_s"].value == pytest.approx(40, abs=1)
    assert images.rates["megapixels_per_s"].value == pytest.approx(4 * 64 * 64 / 1e6, rel=0.03)
    assert images.distribution("time_to_image_s").mean.value == exactly(0.5)


def test_previews_are_stamped(bench):
    def script(path, body):
        if path.endswith("generations"):
            assert body["stream"] is True and body["partial_images"] == 2
            return preview_reply([0.2, 0.2, 0.3])
        return Pace()(path, body)

    (images,) = bench(workload(emoji(partial_images=2)), script).summary.phases[0].classes
    assert images.distribution("first_preview_s").mean.value == exactly(0.2)
    assert images.distribution("time_to_image_s").mean.value == exactly(0.7)


def test_joint_goodput_needs_every_class(bench):
    hopeless, easy = emoji(slo={"deadline_s": 0.1}), chat(slo={"tpot_s": 0.3})
    (phase,) = bench(workload(easy, hopeless), FightingServer()).summary.phases
    words, images = phase.classes
    assert words.attainment.is_met and not images.attainment.is_met
    assert phase.joint_goodput_rps == pytest.approx(words.attainment.goodput_rps)
    assert not phase.is_joint_met


def test_a_merged_trace_is_replayed_on_time(bench, tmp_path):
    trace = tmp_path / "mixed.jsonl"
    rows = [
        TraceRow(arrival_s=4.0, shape=TextShape(prompt_tokens=30, output_tokens=3)),
        TraceRow(arrival_s=6.0, shape=ImageShape(width=64, height=64, num_steps=5)),
        TraceRow(arrival_s=8.0, shape=TextShape(prompt_tokens=60, output_tokens=2)),
    ]
    write_trace(trace, rows)
    arrivals = {"process": "trace", "trace": str(trace), "time_scale": 0.5}
    document = workload(chat(arrivals=arrivals), emoji(arrivals=arrivals))
    document["run"] |= {"warmup_s": 0}
    result = bench(document, Pace(ttft_s=0.1, itl_s=0.1, image_s=1))
    (phase,) = result.phases
    start_ns = phase.window.start_ns
    played = sorted((record.due_ns - start_ns, record.kind.value) for record in phase.records)
    assert played == [
        (2_000_000_000, "text"),
        (3_000_000_000, "image"),
        (4_000_000_000, "text"),
    ]
    assert [record.num_tokens for record in phase.of("chat")] == [3, 2]


def test_prompts_hit_the_asked_length_in_the_servers_tokens(bench):
    """This server splits words in two and its template costs 10 tokens."""

    def script(path, body):
        if path.endswith("completions"):
            words = len(body["messages"][0]["content"].split())
            return text_reply([0.1, 0.1], prompt_tokens=10 + 2 * words)
        return Pace()(path, body)

    result = bench(workload(chat(prompt_tokens=200)), script)
    ok = [record for record in result.phases[0].records if record.is_ok]
    assert {record.reply.prompt_tokens for record in ok} == {200}


def test_the_same_seed_asks_for_the_same(bench):
    asked: list[list] = []

    def run():
        seen = []

        def script(path, body):
            seen.append((path, body.get("messages"), body.get("prompt"), body.get("seed")))
            return FightingServer()(path, body)

        bench(workload(chat(), emoji(), duration_s=5), script)
        asked.append(seen)

    run()
    run()
    assert asked[0] == asked[1]
    assert len({str(entry) for entry in asked[0] if entry[1]}) > 5  # prompts differ
