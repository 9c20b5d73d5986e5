"""Image bodies: what they become, and every way in which they are refused."""

import pytest

from loadsheet.server.errors import ApiError
from loadsheet.server.images import read_image
from loadsheet.server.text_body import MAX_SEED


@pytest.fixture
def read(catalog, context, encode):
    def read_body(**fields):
        return read_image(encode({"prompt": "a cat", **fields}), catalog, context, 77)

    return read_body


@pytest.fixture
def refusal(read):
    def refused(**fields):
        with pytest.raises(ApiError) as caught:
            read(**fields)
        return caught.value

    return refused


def test_defaults_come_from_the_card(read):
    call = read()
    (task,) = call.tasks
    assert (task.request.width, task.request.height, task.request.num_steps) == (64, 64, 8)
    assert task.request.is_guided
    assert task.request.slo.deadline_s == 10.0
    assert (task.payload.guidance_scale, task.payload.seed) == (4.5, 77)
    assert (call.model, call.size, call.seeds) == ("painter", "64x64", (77,))


def test_request_and_payload_agree(read):
    task = read(size="96x64", num_inference_steps=40, guidance_scale=7, seed=3).tasks[0]
    assert (task.request.width, task.request.height) == (96, 64)
    assert (task.payload.width, task.payload.height) == (96, 64)
    assert task.request.num_steps == task.payload.num_steps == 40
    assert (task.payload.guidance_scale, task.payload.seed) == (7.0, 3)


@pytest.mark.parametrize(
    ("scale", "is_guided"), [(0, False), (1, False), (1.0001, True), (30, True)]
)
def test_guidance_needs_a_scale_above_one(read, scale, is_guided):
    assert read(guidance_scale=scale).tasks[0].request.is_guided is is_guided


def test_n_counts_seeds_up_and_wraps(read):
    call = read(n=3, seed=MAX_SEED - 1)
    assert call.seeds == (MAX_SEED - 1, MAX_SEED, 0)
    assert [task.payload.seed for task in call.tasks] == list(call.seeds)
    assert len({task.request.request_id for task in call.tasks}) == 3


@pytest.mark.parametrize("size", [None, "auto", "64x64"])
def test_the_first_size_is_the_default(read, size):
    assert read(size=size).size == "64x64"


@pytest.mark.parametrize("size", ["64X64", "64x", "x", "0x64", "-64x64", "65x64", "1024x1024", ""])
def test_other_sizes_are_refused_with_the_list(refusal, size):
    error = refusal(size=size)
    assert error.param == "size"
    assert "64x64, 96x64" in error.message


def test_a_negative_prompt_reaches_the_payload(read):
    call = read(negative_prompt="rain")
    assert call.tasks[0].payload.negative_prompt == "rain"
    assert call.ignored == ()


def test_a_negative_prompt_without_guidance_is_reported(read):
    assert read(negative_prompt="rain", guidance_scale=1).ignored == ("negative_prompt",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": "a\x00"}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": True}, "n"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": 41}, "num_inference_steps"),
        ({"num_inference_steps": True}, "num_inference_steps"),
        ({"num_inference_steps": 2.5}, "num_inference_steps"),
        ({"guidance_scale": -0.1}, "guidance_scale"),
        ({"guidance_scale": 30.1}, "guidance_scale"),
        ({"guidance_scale": "7"}, "guidance_scale"),
        ({"seed": -1}, "seed"),
        ({"seed": MAX_SEED + 1}, "seed"),
        ({"size": 64}, "size"),
        ({"slo": {"deadline_s": 0}}, "slo.deadline_s"),
        ({"slo": {}}, "slo.deadline_s"),
        ({"slo": {"deadline_s": 1, "ttft_s": 1}}, "slo.ttft_s"),
    ],
)
def test_values_that_are_refused(refusal, fields, param):
    error = refusal(**fields)
    assert (error.status, error.param) == (400, param)


def test_an_own_deadline(read):
    assert read(slo={"deadline_s": 2.5}).tasks[0].request.slo.deadline_s == 2.5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("response_format", "url"),
        ("output_format", "webp"),
        ("image", "data:..."),
        ("mask", "x"),
        ("true_cfg_scale", 4.0),
    ],
)
def test_what_is_not_done_is_refused_by_name(refusal, field, value):
    error = refusal(**{field: value})
    assert (error.code, error.param) == ("unsupported_parameter", field)


def test_openai_parameters_without_effect_are_reported(read):
    call = read(quality="hd", style="vivid", background="auto", moderation="low", user="me")
    assert call.ignored == ("quality", "style", "background", "moderation", "user")


def test_a_text_model_does_not_draw(refusal):
    error = refusal(model="talker")
    assert (error.status, error.code) == (400, "wrong_model_kind")
    assert "painter" in error.message
