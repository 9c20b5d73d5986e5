"""Chat bodies: what they become, and every way in which they are refused."""

import pytest

from loadsheet.runtime.executor import FinishReason
from loadsheet.runtime.update import Token
from loadsheet.server.chat import ChatFormat, read_chat
from loadsheet.server.errors import ApiError
from loadsheet.server.text_body import MAX_SEED, UsageMode

HELLO = [{"role": "user", "content": "hello"}]  # "<user>hello" is 11 tokens


@pytest.fixture
def read(catalog, context, encode):
    def read_body(body=None, **fields):
        whole = {"messages": HELLO, **fields} if body is None else body
        return read_chat(encode(whole), catalog, context)

    return read_body


@pytest.fixture
def refusal(read):
    def refused(body=None, **fields):
        with pytest.raises(ApiError) as caught:
            read(body, **fields)
        return caught.value

    return refused


def test_a_plain_chat(read):
    call = read(model="talker")
    (task,) = call.tasks
    assert task.payload.prompt_ids == tuple(map(ord, "<user>hello"))
    assert task.request.prompt_tokens == call.prompt_tokens == 11
    assert (task.request.request_id, task.request.arrival_s) == ("call-0", 3.0)
    assert (task.request.slo.ttft_s, task.request.slo.tpot_s) == (1.0, 0.1)
    assert not call.is_streamed
    assert call.usage_mode is UsageMode.NEVER
    assert call.ignored == ()


def test_the_only_text_model_needs_no_name(read):
    assert read().model == "talker"


def test_sampling_goes_to_the_payload(read):
    payload = read(temperature=0, top_p=0.5, top_k=40, seed=9, ignore_eos=True).tasks[0].payload
    sampling = payload.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed) == (0, 0.5, 40, 9)
    assert payload.is_eos_ignored


@pytest.mark.parametrize("off", [-1, 0, None])
def test_top_k_can_be_off(read, off):
    assert read(top_k=off).tasks[0].payload.sampling.top_k is None


def test_nulls_are_defaults(read):
    fields = dict.fromkeys(
        ["model", "n", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "slo"]
    )
    sampling = read(**fields).tasks[0].payload.sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed) == (1.0, 1.0, None)


@pytest.mark.parametrize(
    ("stop", "expected"), [("END", ("END",)), (["a", "b"], ("a", "b")), (None, ()), ([], ())]
)
def test_stop_strings(read, stop, expected):
    assert read(stop=stop).tasks[0].payload.stop == expected


@pytest.mark.parametrize("stop", ["", ["a", 3], ["x"] * 17, "x" * 1025, 5, {"a": 1}])
def test_bad_stop_strings(refusal, stop):
    error = refusal(stop=stop)
    assert (error.status, error.param) == (400, "stop")


def test_content_parts_are_joined_by_line_breaks(read):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    call = read(messages=[{"role": "user", "content": parts}])
    assert call.tasks[0].payload.prompt_ids == tuple(map(ord, "<user>a\nb"))


def test_developer_speaks_as_system(read):
    call = read(messages=[{"role": "developer", "content": "be brief"}, *HELLO])
    assert call.tasks[0].payload.prompt_ids[:8] == tuple(map(ord, "<system>"))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 30),  # the server's default
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_tokens": 8, "max_completion_tokens": 8}, 8),
        ({"max_tokens": 89}, 89),  # 11 + 89 = the context of 100
    ],
)
def test_output_limits(read, limits, expected):
    task = read(**limits).tasks[0]
    assert task.request.max_output_tokens == task.payload.max_output_tokens == expected


def test_the_default_limit_is_what_still_fits(read):
    long = [{"role": "user", "content": "x" * 84}]  # 90 tokens of 100
    assert read(messages=long).tasks[0].request.max_output_tokens == 10


@pytest.mark.parametrize("limits", [{"max_tokens": 90}, {"max_completion_tokens": 90}])
def test_too_much_output_is_refused_with_the_counts(refusal, limits):
    error = refusal(**limits)
    assert error.code == "context_length_exceeded"
    for number in ("100", "101", "11", "90"):
        assert number in error.message


def test_a_prompt_that_fills_the_context_is_refused(refusal):
    error = refusal(messages=[{"role": "user", "content": "x" * 94}])
    assert error.code == "context_length_exceeded"


def test_two_different_limits_are_refused(refusal):
    assert refusal(max_tokens=5, max_completion_tokens=6).param == "max_tokens"


def test_n_counts_seeds_up(read):
    tasks = read(n=3, seed=MAX_SEED - 1).tasks
    assert [task.payload.sampling.seed for task in tasks] == [MAX_SEED - 1, MAX_SEED, 0]
    assert len({task.request.request_id for task in tasks}) == 3


def test_n_without_a_seed_leaves_each_free(read):
    assert [task.payload.sampling.seed for task in read(n=2).tasks] == [None, None]


def test_n_is_bounded(refusal):
    error = refusal(n=65)
    assert error.param == "n"
    assert "64" in error.message


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        (None, UsageMode.NEVER),
        ({}, UsageMode.NEVER),
        ({"include_usage": False, "continuous_usage_stats": True}, UsageMode.NEVER),
        ({"include_usage": True}, UsageMode.LAST),
        ({"include_usage": True, "continuous_usage_stats": True}, UsageMode.EACH),
    ],
)
def test_stream_options(read, options, mode):
    call = read(stream=True, stream_options=options)
    assert call.is_streamed
    assert call.usage_mode is mode


def test_stream_options_need_a_stream(refusal):
    assert refusal(stream_options={"include_usage": True}).param == "stream_options"


def test_an_own_slo(read):
    slo = read(slo={"ttft_s": 0.5}).tasks[0].request.slo
    assert (slo.ttft_s, slo.tpot_s) == (0.5, 0.1)


@pytest.mark.parametrize(
    ("slo", "param"),
    [
        ({"ttft_s": 0}, "slo.ttft_s"),
        ({"tpot_s": -1}, "slo.tpot_s"),
        ({"ttft": 1}, "slo.ttft"),
        (5, "slo"),
    ],
)
def test_bad_slos(refusal, slo, param):
    assert refusal(slo=slo).param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": "0.7"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"seed": -1}, "seed"),
        ({"seed": MAX_SEED + 1}, "seed"),
        ({"seed": True}, "seed"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": -3}, "max_completion_tokens"),
        ({"stream": 1}, "stream"),
        ({"stream": "true"}, "stream"),
        ({"model": 7}, "model"),
        ({"model": "talk\x00er"}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "hi"}]}, "messages"),
    ],
)
def test_values_that_are_refused(refusal, fields, param):
    error = refusal(**fields)
    assert (error.status, error.param) == (400, param)


@pytest.mark.parametrize(
    "part",
    [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "input_audio"}, "text", {}],
)
def test_other_content_parts_are_unsupported(refusal, part):
    error = refusal(messages=[{"role": "user", "content": [part]}])
    assert (error.code, error.param) == ("unsupported_parameter", "messages[0].content")


def test_a_text_part_needs_text(refusal):
    error = refusal(messages=[{"role": "user", "content": [{"type": "text", "text": 5}]}])
    assert error.code == "invalid_value"


@pytest.mark.parametrize(
    "body",
    [
        '{"messages": [{"role": "user", "content": "\\ud800"}]}',  # half a character
        '{"messages": ',
        "",
        "[]",
        '"text"',
        "[" * 5000,
    ],
)
def test_bodies_that_are_no_json_object(refusal, body):
    error = refusal(body)
    assert (error.status, error.code) == (400, "invalid_json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_must_be_finite(refusal, number):
    body = '{"messages": [{"role": "user", "content": "x"}], "temperature": ' + number + "}"
    assert refusal(body).status == 400


def test_a_huge_integer_is_refused(refusal):
    body = '{"messages": [{"role": "user", "content": "x"}], "seed": ' + "9" * 5000 + "}"
    assert refusal(body).status == 400


def test_a_missing_field_is_named(refusal):
    error = refusal({"model": "talker"})
    assert (error.code, error.param) == ("missing_required_parameter", "messages")


def test_unknown_fields_are_ignored_and_named(read):
    messages = [{"role": "user", "content": "x", "name": "Ann", "refusal": None}]
    call = read(messages=messages, user="me", metadata={"a": 1})
    assert call.ignored == ("user", "metadata", "messages[0].name")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("functions", [{}]),
        ("response_format", {"type": "json_object"}),
        ("logprobs", True),
        ("top_logprobs", 2),
        ("logit_bias", {"5": 1}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -0.5),
        ("repetition_penalty", 1.1),
        ("audio", {"voice": "a"}),
        ("modalities", ["text", "audio"]),
        ("min_tokens", 3),
        ("min_p", 0.1),
        ("structured_outputs", {"json": {}}),
    ],
)
def test_what_is_not_done_is_refused_by_name(refusal, field, value):
    error = refusal(**{field: value})
    assert (error.status, error.code, error.param) == (400, "unsupported_parameter", field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", []),
        ("tool_choice", "auto"),
        ("response_format", {"type": "text"}),
        ("logprobs", False),
        ("presence_penalty", 0.0),
        ("repetition_penalty", 1),
        ("modalities", ["text"]),
        ("logit_bias", None),
    ],
)
def test_neutral_values_pass_silently(read, field, value):
    assert read(**{field: value}).ignored == ()


def test_tool_calls_in_a_message_are_refused(refusal):
    error = refusal(messages=[{"role": "assistant", "content": "", "tool_calls": [{}]}, *HELLO])
    assert (error.code, error.param) == ("unsupported_parameter", "messages[0].tool_calls")


def test_the_format_of_choices():
    chat = ChatFormat()
    token = Token(at_s=1.0, token_id=3, text="hi", finish_reason=FinishReason.STOP)
    assert chat.opening(2)["delta"] == {"role": "assistant", "content": ""}
    piece = chat.piece(2, token)
    assert (piece["index"], piece["delta"], piece["finish_reason"]) == (
        2,
        {"content": "hi"},
        "stop",
    )
    assert chat.whole(0, "all", "length")["message"]["content"] == "all"
