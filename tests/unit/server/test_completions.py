"""Completion bodies: four kinds of prompt, limits, refusals."""

import pytest

from loadsheet.server.completions import CompletionFormat, read_completion
from loadsheet.server.errors import ApiError


@pytest.fixture
def read(catalog, make_context, encode):
    def read_body(max_choices=64, **fields):
        context = make_context(max_choices=max_choices)
        return read_completion(encode(fields), catalog, context)

    return read_body


@pytest.fixture
def refusal(read):
    def refused(**fields):
        with pytest.raises(ApiError) as caught:
            read(**fields)
        return caught.value

    return refused


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("ab", [(97, 98)]),
        (["a", "b"], [(97,), (98,)]),
        ([1, 2, 3], [(1, 2, 3)]),
        ([[1], [2, 3]], [(1,), (2, 3)]),
        (["a", [5]], [(97,), (5,)]),
    ],
)
def test_prompts(read, prompt, expected):
    call = read(prompt=prompt)
    assert [task.payload.prompt_ids for task in call.tasks] == expected
    assert call.prompt_tokens == sum(map(len, expected))


@pytest.mark.parametrize(
    "prompt", ["", [], [[]], [True], [1.5], {"a": 1}, 5, None, "a\x00b", ["a\x00"], [200], [-1]]
)
def test_prompts_that_are_refused(refusal, prompt):
    error = refusal(prompt=prompt)
    assert (error.status, error.param) == (400, "prompt")


def test_a_token_outside_the_vocabulary_is_named(refusal):
    assert "200" in refusal(prompt=[1, 200]).message


def test_the_default_limit_is_sixteen(read):
    assert read(prompt="a").tasks[0].request.max_output_tokens == 16


def test_choices_are_ordered_prompt_by_prompt(read):
    tasks = read(prompt=["a", "b"], n=2, seed=5).tasks
    assert [(task.payload.prompt_ids, task.payload.sampling.seed) for task in tasks] == [
        ((97,), 5),
        ((97,), 6),
        ((98,), 5),
        ((98,), 6),
    ]


def test_prompts_times_n_is_bounded(refusal):
    error = refusal(prompt=["a", "b", "c"], n=2, max_choices=5)
    assert error.param == "n"
    assert "6" in error.message


def test_every_prompt_must_fit(refusal):
    assert refusal(prompt=["a", "x" * 90]).code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("field", "value"),
    [("echo", True), ("suffix", "x"), ("best_of", 2), ("logprobs", 1), ("logprobs", 0)],
)
def test_what_is_not_done_is_refused_by_name(refusal, field, value):
    error = refusal(prompt="a", **{field: value})
    assert (error.code, error.param) == ("unsupported_parameter", field)


def test_what_vllm_bench_sends_passes(read):
    call = read(
        model="talker",
        prompt="a",
        repetition_penalty=1.0,
        max_tokens=4,
        logprobs=None,
        stream=True,
        stream_options={"include_usage": True},
        ignore_eos=True,
        temperature=0.0,
    )
    assert call.ignored == ()


def test_the_format_of_choices():
    completion = CompletionFormat()
    assert completion.opening(0) is None
    assert completion.whole(1, "x", "stop") == {
        "index": 1,
        "text": "x",
        "logprobs": None,
        "finish_reason": "stop",
    }
