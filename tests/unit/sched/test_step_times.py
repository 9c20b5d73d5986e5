import pytest

from loadsheet.sched.plan import ImageShape, StepKind, TextShape
from loadsheet.sched.step_times import LearnedStepTimes, small_cpu_prior

IMAGE = ImageShape(batch=1, width=64, height=64, is_guided=False)
PAIR = ImageShape(batch=2, width=64, height=64, is_guided=False)


def text_shape(decodes=1, context=0, prefill=0):
    return TextShape(
        num_decodes=decodes,
        decode_context_tokens=context,
        prefill_tokens=prefill,
        prefill_context_tokens=0,
    )


def one_second(kind, model, shape):
    return 1.0


@pytest.fixture
def times():
    return LearnedStepTimes(one_second)


def observe(times, *seconds, shape=IMAGE, kind=StepKind.DENOISE):
    for one in seconds:
        times.observe(kind, "m", shape, one)
    return times.predict(kind, "m", shape)


def test_before_the_first_observation_the_prior_decides(times):
    assert times.predict(StepKind.DENOISE, "m", IMAGE) == 1.0
    assert times.margin(StepKind.DENOISE) == 0.0


def test_the_first_observation_replaces_the_prior(times):
    assert observe(times, 0.3) == pytest.approx(0.3)


def test_early_observations_are_averaged_without_the_first(times):
    assert observe(times, 20.0, 1.0) == pytest.approx(1.0)
    assert observe(times, 1.3, 1.6) == pytest.approx(1.3)


def test_later_observations_weigh_a_tenth(times):
    assert observe(times, *[1.0] * 50, 1.5) == pytest.approx(1.05)


def test_a_slow_outlier_counts_as_twice_the_usual(times):
    assert observe(times, *[1.0] * 50, 100.0) == pytest.approx(1.1)


def test_a_fast_observation_is_believed(times):
    assert observe(times, *[1.0] * 50, 0.1) == pytest.approx(0.91)


def test_an_unseen_shape_borrows_the_factor_of_its_kind_and_model(times):
    observe(times, 0.5)
    assert times.predict(StepKind.DENOISE, "m", PAIR) == pytest.approx(0.5)
    assert times.predict(StepKind.DENOISE, "other", PAIR) == 1.0
    assert times.predict(StepKind.VAE_DECODE, "m", PAIR) == 1.0


def test_a_seen_shape_keeps_its_own_factor(times):
    observe(times, 0.5)
    observe(times, 2.0, shape=PAIR)
    assert times.predict(StepKind.DENOISE, "m", IMAGE) == pytest.approx(0.5)
    assert times.predict(StepKind.DENOISE, "m", PAIR) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("one", "other", "is_shared"),
    [
        (text_shape(decodes=5), text_shape(decodes=7), True),
        (text_shape(decodes=7), text_shape(decodes=8), False),
        (text_shape(context=1000), text_shape(context=1023), True),
        (text_shape(context=1000), text_shape(context=1024), False),
        (text_shape(prefill=256), text_shape(prefill=511), True),
        (text_shape(prefill=0), text_shape(prefill=1), False),
    ],
)
def test_text_shapes_share_a_bucket_up_to_powers_of_two(times, one, other, is_shared):
    observe(times, 3.0, shape=one, kind=StepKind.TEXT)
    observe(times, 1.0, shape=text_shape(decodes=1000), kind=StepKind.TEXT)
    expected = 3.0 if is_shared else 1.0  # the last over the kind
    assert times.predict(StepKind.TEXT, "m", other) == pytest.approx(expected)


def test_the_margin_follows_the_error_not_the_prior(times):
    observe(times, 0.3)
    assert times.margin(StepKind.DENOISE) == 0.0
    observe(times, 0.3, 0.3)
    assert times.margin(StepKind.DENOISE) == 0.0
    observe(times, 0.4)
    # deviations after the first: 0, 0, 0.1 → three times their mean
    assert times.margin(StepKind.DENOISE) == pytest.approx(0.1)
    assert times.margin(StepKind.TEXT) == 0.0


def test_one_stall_cannot_blow_up_the_margin(times):
    observe(times, 1.0, 1.0, 500.0)
    assert times.margin(StepKind.DENOISE) == pytest.approx(3 * (0.0 + 1.0) / 2)


@pytest.mark.parametrize(
    ("kind", "shape", "seconds"),
    [
        # 15 ms + 0.5 ms · (3 + 10) tokens + 0.2 µs · 1000 tokens of context
        (StepKind.TEXT, text_shape(decodes=3, context=1000, prefill=10), 0.0217),
        (StepKind.ENCODE, PAIR, 0.03),
        # 64 x 64 is a sixteenth of 256 x 256
        (StepKind.DENOISE, PAIR, 0.01 + 2 * 0.04 / 16),
        (
            StepKind.DENOISE,
            ImageShape(batch=1, width=256, height=256, is_guided=True),
            0.01 + 2 * 0.04,
        ),
        (StepKind.VAE_DECODE, PAIR, 0.01 + 2 * 0.15 / 16),
    ],
)
def test_the_default_prior_is_what_its_docstring_says(kind, shape, seconds):
    assert small_cpu_prior(kind, "m", shape) == pytest.approx(seconds)


def test_halves_of_a_device_learn_apart(times):
    half = times.at(0.5)
    assert 1 < half.predict(StepKind.DENOISE, "m", IMAGE) <= 2
    observe(half, 1.5, 1.5)
    assert half.predict(StepKind.DENOISE, "m", IMAGE) == pytest.approx(1.5)
    assert times.predict(StepKind.DENOISE, "m", IMAGE) == 1.0
    assert times.at(0.5) is half and times.at(1.0) is times
