import pytest

from loadsheet.sched.chunk import largest_chunk, prefill_s, text_seconds
from loadsheet.sched.plan import StepKind
from loadsheet.sched.text_group import TextGroup


@pytest.fixture
def group(make):
    group = TextGroup(make.text_limits(num_blocks=1000, max_chunk_tokens=512))
    group.add(make.text("a", prompt=1200), order=1)
    return group


def affine(kind, model, shape):
    assert kind is StepKind.TEXT
    return 0.010 + 0.001 * shape.prefill_tokens


def test_seconds_include_the_context_of_the_most_urgent_prompt(make, group):
    times = make.exact(lambda kind, model, shape: 1.0 + shape.prefill_context_tokens)
    assert text_seconds(group, times, 0) == 1.0
    assert text_seconds(group, times, 8) == 1.0
    group.finish_step(group.start_step(100)[0], (), 0.0)
    assert text_seconds(group, times, 8) == 101.0


def test_a_prompt_takes_as_many_full_chunks_as_it_needs(make, group):
    # 1200 tokens in chunks of 512, each 522 ms
    assert prefill_s(group, make.exact(affine), group.next_prefill()) == pytest.approx(
        0.522 * 1200 / 512
    )


@pytest.mark.parametrize(
    ("budget_s", "tokens"),
    # 10 ms and 1 ms per token; chunks below 32 tokens are not worth an iteration
    [(9.0, 500), (0.511, 500), (0.3005, 290), (0.0725, 62), (0.0425, 32), (0.0415, 0), (0.02, 0)],
)
def test_the_largest_chunk_is_exact_where_time_is_affine(make, group, budget_s, tokens):
    assert largest_chunk(group, make.exact(affine), 500, budget_s) == tokens


def test_the_rest_of_a_prompt_may_be_smaller_than_a_useful_chunk(make, group):
    assert largest_chunk(group, make.exact(affine), 5, 0.02) == 5
    assert largest_chunk(group, make.exact(affine), 5, 0.01) == 0


def test_a_chunk_that_was_interpolated_too_high_falls_back(make, group):
    def stairs(kind, model, shape):
        return 0.1 if shape.prefill_tokens <= 250 else 0.4

    assert largest_chunk(group, make.exact(stairs), 500, 0.2) == 250
