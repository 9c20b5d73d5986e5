import itertools

import pytest

from loadsheet.errors import ConfigError
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.lengths import Fixed, LogNormal
from loadsheet.workload.request import RequestKind
from loadsheet.workload.shape import ImageShape, TextShape
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.trace import Replay, TraceRow
from loadsheet.workload.traffic import ImageTraffic, TextTraffic, draws

LENGTHS = LogNormal(mean=100, cv=0.8)


def chat(arrivals, name="chat"):
    return TextTraffic(name=name, arrivals=arrivals, prompt_tokens=LENGTHS, output_tokens=LENGTHS)


def first(traffic, num=50, seed=1):
    return list(itertools.islice(draws(traffic, seed), num))


def shapes(found):
    return [draw.shape for draw in found]


def test_the_same_seed_draws_the_same_requests():
    process = OpenLoop(rate_rps=2.0)
    assert first(chat(process)) == first(chat(process))
    assert first(chat(process)) != first(chat(process), seed=2)


def test_shapes_do_not_depend_on_how_requests_arrive():
    """So the i-th request of an open and of a closed loop can be compared as a pair."""
    opened, closed = first(chat(OpenLoop(rate_rps=2.0))), first(chat(ClosedLoop(concurrency=3)))
    assert shapes(opened) == shapes(closed)
    assert all(draw.arrival_s is None for draw in closed)
    assert [draw.index for draw in opened] == list(range(50))


def test_classes_draw_from_streams_of_their_own():
    assert shapes(first(chat(ClosedLoop()))) != shapes(first(chat(ClosedLoop(), name="other")))


def test_a_replay_gives_each_class_the_rows_of_its_kind():
    rows = (
        TraceRow(arrival_s=1.0, shape=TextShape(prompt_tokens=5, output_tokens=6)),
        TraceRow(arrival_s=2.0, shape=ImageShape(width=8, height=8, num_steps=3)),
        TraceRow(arrival_s=3.0, shape=TextShape(prompt_tokens=7, output_tokens=8)),
    )
    replay = Replay(source="test", rows=rows)
    texts = list(draws(TextTraffic(name="chat", arrivals=replay), 0))
    images = list(draws(ImageTraffic(name="art", arrivals=replay), 0))
    assert [(draw.index, draw.arrival_s) for draw in texts] == [(0, 1.0), (1, 3.0)]
    assert shapes(images) == [rows[1].shape]


def test_shapes_become_requests_for_the_scheduler():
    slo = TextSLO(ttft_s=1.0)
    text = TextShape(prompt_tokens=5, output_tokens=6).request("a", "llm", 2.0, slo)
    assert (text.kind, text.prompt_tokens, text.max_output_tokens) == (RequestKind.TEXT, 5, 6)
    assert text.slo is slo and text.arrival_s == 2.0
    art = ImageTraffic(name="art", arrivals=ClosedLoop(), num_steps=Fixed(value=9))
    (draw,) = first(art, 1)
    image = draw.shape.request("b", "sd", 0.0, ImageSLO())
    assert (image.num_steps, image.width, image.is_guided) == (9, 512, True)


def test_guidance_of_one_or_less_runs_no_second_branch():
    shape = ImageShape(width=8, height=8, num_steps=1, guidance_scale=1.0)
    assert not shape.request("a", "sd", 0.0, ImageSLO()).is_guided


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0, "height": 8, "num_steps": 1},
        {"width": 8, "height": 8, "num_steps": 1, "guidance_scale": -1.0},
        {"width": 8, "height": 8, "num_steps": 1, "num_images": 0},
    ],
)
def test_senseless_shapes_are_refused(wrong):
    with pytest.raises(ConfigError):
        ImageShape(**wrong)


def test_image_work_grows_with_pixels_steps_and_images():
    shape = ImageShape(width=4, height=5, num_steps=6, num_images=7)
    assert shape.work == 4 * 5 * 6 * 7
