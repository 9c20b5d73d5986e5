import json

from loadsheet.bench.call import CallMaker
from loadsheet.bench.promise import Promise
from loadsheet.bench.prompts import TokenLine
from loadsheet.workload.arrivals import ClosedLoop
from loadsheet.workload.shape import ImageShape, TextShape
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import Draw, ImageTraffic, TextTraffic

TEXT = Draw(index=3, arrival_s=None, shape=TextShape(prompt_tokens=50, output_tokens=9))
IMAGE = Draw(
    index=4,
    arrival_s=None,
    shape=ImageShape(width=64, height=32, num_steps=7, guidance_scale=2.5, num_images=2),
)


def body(traffic, draw, **more):
    maker = CallMaker(traffic=traffic, seed=5, **{"model": "m"} | more)
    call = maker.call(draw)
    assert call == maker.call(draw)  # the same draw, the same bytes
    return call.path, json.loads(call.body)


def test_chat_body():
    path, sent = body(TextTraffic(name="a", arrivals=ClosedLoop()), TEXT)
    assert path == "/v1/chat/completions"
    assert sent["model"] == "m"
    assert sent["max_tokens"] == 9
    assert sent["ignore_eos"] is True
    assert sent["stream"] is True and sent["stream_options"] == {"include_usage": True}
    assert len(sent["messages"][0]["content"].split()) == 50


def test_standard_fields_only_where_asked():
    traffic = TextTraffic(name="a", arrivals=ClosedLoop(), ignore_eos=False)
    _, sent = body(traffic, TEXT, model=None)
    assert "ignore_eos" not in sent and "model" not in sent


def test_prompts_follow_the_servers_token_line():
    traffic = TextTraffic(name="a", arrivals=ClosedLoop())
    line = TokenLine(template_tokens=10.0, tokens_per_word=2.0)
    _, sent = body(traffic, TEXT, token_line=line)
    assert len(sent["messages"][0]["content"].split()) == 20


def test_image_body():
    path, sent = body(ImageTraffic(name="a", arrivals=ClosedLoop()), IMAGE)
    assert path == "/v1/images/generations"
    assert sent["size"] == "64x32"
    assert (sent["n"], sent["num_inference_steps"], sent["guidance_scale"]) == (2, 7, 2.5)
    assert sent["seed"] == 9
    assert "stream" not in sent


def test_previews_are_streamed():
    traffic = ImageTraffic(name="a", arrivals=ClosedLoop(), partial_images=3)
    _, sent = body(traffic, IMAGE)
    assert sent["stream"] is True and sent["partial_images"] == 3


def test_the_objective_is_told_where_asked_and_grows_with_the_image():
    slo = TextSLO(ttft_s=0.5, tpot_s=0.05)
    traffic = TextTraffic(name="a", arrivals=ClosedLoop())
    _, sent = body(traffic, TEXT, promise=Promise(slo=slo, origin="test"))
    assert sent["slo"] == {"ttft_s": 0.5, "tpot_s": 0.05}
    measured = Promise(
        slo=ImageSLO(deadline_s=3.0), origin="alone", reference_work=IMAGE.shape.work // 2
    )
    _, sent = body(ImageTraffic(name="a", arrivals=ClosedLoop()), IMAGE, promise=measured)
    assert sent["slo"] == {"deadline_s": 6.0}
