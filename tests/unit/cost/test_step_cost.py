"""Steps priced quickly agree with steps priced kernel by kernel."""

import math

import pytest

from loadsheet.cost.serving.offline_image import ImageJob, batch_seconds
from loadsheet.cost.serving.offline_text import decode_seconds
from loadsheet.cost.serving.software import text_engine
from loadsheet.cost.serving.text_step import TextModel
from loadsheet.cost.step_cost import Setup, StepCosts, TextStepCost, decode_segment, step_cost
from loadsheet.cost.step_shape import EncoderShape, ImageShape, StepKind, TextShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.precision import of

H100 = DeviceCatalog().find("h100-sxm-80gb")
LLAMA = Catalog().find("llama-3.1-8b")
SD15 = Catalog().find("sd-1.5")
BERT = Catalog().find("bert-base")
PICTURE = ImageShape(batch=2, width=512, height=512, is_guided=True)


def text(decodes: int, cached: int, prefill: int = 0, prefix: int = 0) -> TextShape:
    return TextShape(
        num_decodes=decodes,
        decode_context_tokens=cached,
        prefill_tokens=prefill,
        prefill_context_tokens=prefix,
    )


def priced(name: str = "llama-3.1-8b") -> TextStepCost:
    cost = step_cost(Catalog().find(name), H100)
    assert isinstance(cost, TextStepCost)
    return cost


@pytest.mark.parametrize("batch", [1, 8, 13, 200])
def test_a_segment_is_every_step_within_it(batch: int) -> None:
    cost = priced()
    cached = float(batch * 100)
    for _ in range(8):
        segment = cost.decode_segment(batch, cached)
        end = min(segment.valid_until, 4 * cached)
        for share in (0.0, 0.3, 0.7, 1.0):
            at = round(cached + share * (end - cached))
            step_s = cost.seconds(StepKind.TEXT, text(batch, at))
            affine_s = segment.tau0_s + segment.kappa_s_per_token * at
            assert step_s == pytest.approx(affine_s, rel=1e-9)
        cached = end + 1


def test_a_thousand_steps_are_a_quadratic_in_each_segment_they_cross() -> None:
    """What event jumping does: k iterations cost k(τ₀ + κ·c) + κ·B·k(k−1)/2."""
    cost, batch, cached, jumped_s, left = priced(), 16, 16 * 60, 0.0, 1000
    while left:
        tau0_s, kappa_s, end = cost.decode_segment(batch, cached)
        fits = left if math.isinf(end) else int((end - cached) // batch) + 1
        k = min(left, fits)
        jumped_s += k * (tau0_s + kappa_s * cached) + kappa_s * batch * k * (k - 1) / 2
        cached, left = cached + k * batch, left - k
    stepped_s = sum(
        cost.seconds(StepKind.TEXT, text(batch, batch * (60 + step))) for step in range(1000)
    )
    assert jumped_s == pytest.approx(stepped_s, rel=1e-9)


@pytest.mark.parametrize("context", [1, 1024, 65536])
def test_prices_on_the_grid_are_the_kernels_own(context: int) -> None:
    model = TextModel(component=LLAMA.components()[0], device=H100, precision=of("bf16"))
    exact_s = decode_seconds(model, text_engine("vllm"), 8, context)
    step = text(8, 8 * (context - 1))
    assert priced().seconds(StepKind.TEXT, step) == pytest.approx(exact_s, rel=1e-9)


def test_prices_off_the_grid_stay_close_to_the_kernels_own() -> None:
    model = TextModel(component=LLAMA.components()[0], device=H100, precision=of("bf16"))
    cost = priced()
    for batch, context in ((3, 700), (24, 2500), (100, 9000)):
        exact_s = decode_seconds(model, text_engine("vllm"), batch, context)
        step = text(batch, batch * (context - 1))
        assert cost.seconds(StepKind.TEXT, step) == pytest.approx(exact_s, rel=0.05)


def test_a_window_ends_a_segment_and_flattens_the_next() -> None:
    """Mistral 7B v0.1 looks back 4096 tokens in every layer: beyond, context costs nothing."""
    cost = priced("mistral-7b")
    before, after = cost.decode_segment(4, 4 * 3000), cost.decode_segment(4, 4 * 10000)
    assert after.kappa_s_per_token < 0.02 * before.kappa_s_per_token


def test_learned_positions_are_never_exceeded() -> None:
    cost = priced("gpt2")  # 1024 positions
    assert cost.decode_segment(1, 1000).valid_until == math.inf


def test_the_pure_seam_unpacks_and_agrees_with_the_class() -> None:
    setup = Setup(precision=of("fp8"), tp=2, engine="trtllm")
    assert LLAMA.kind == "decoder"
    spec = LLAMA.components()[0].spec
    tau0_s, kappa_s, until = decode_segment(spec, H100, 8, 8 * 500, setup)  # type: ignore[arg-type]
    cost = step_cost(LLAMA, H100, setup)
    assert cost.seconds(StepKind.TEXT, text(8, 8 * 500)) == pytest.approx(
        tau0_s + kappa_s * 8 * 500, rel=1e-12
    )
    assert until == 8 * 1023


def test_decodes_ride_along_with_a_chunk_for_less_than_alone() -> None:
    cost = priced()
    decode_s = cost.seconds(StepKind.TEXT, text(16, 16 * 500))
    chunk_s = cost.seconds(StepKind.TEXT, text(0, 0, prefill=512))
    both_s = cost.seconds(StepKind.TEXT, text(16, 16 * 500, prefill=512))
    assert max(decode_s, chunk_s) < both_s < decode_s + chunk_s


def test_image_steps_add_up_to_the_whole_pipeline() -> None:
    """Encoding differs: `offline_image` encodes the empty prompt with every batch."""
    cost = step_cost(SD15, H100)
    steps_s = 20 * cost.seconds(StepKind.DENOISE, PICTURE)
    steps_s += cost.seconds(StepKind.VAE_DECODE, PICTURE)
    job = ImageJob(
        entry=SD15, device=H100, width=512, height=512, steps=20, is_guided=True, is_compiled=True
    )
    assert steps_s == pytest.approx(batch_seconds(job, 2), rel=0.03)


def test_guidance_doubles_only_denoising() -> None:
    cost = step_cost(SD15, H100)
    free = ImageShape(batch=4, width=512, height=512, is_guided=False)
    both = ImageShape(batch=4, width=512, height=512, is_guided=True)
    ratios = {
        kind: cost.seconds(kind, both) / cost.seconds(kind, free)
        for kind in (StepKind.ENCODE, StepKind.DENOISE, StepKind.VAE_DECODE)
    }
    assert ratios[StepKind.ENCODE] == ratios[StepKind.VAE_DECODE] == 1
    assert 1.6 < ratios[StepKind.DENOISE] < 2.1


def test_embedded_guidance_doubles_nothing() -> None:
    """Flux.1-dev takes the guidance scale as an input of one pass."""
    cost = step_cost(Catalog().find("flux.1-dev"), H100)
    shapes = [
        ImageShape(batch=1, width=512, height=512, is_guided=guided) for guided in (False, True)
    ]
    first, second = (cost.seconds(StepKind.DENOISE, shape) for shape in shapes)
    assert first == second


def test_several_models_are_told_apart_by_name() -> None:
    costs = StepCosts({"chat": priced(), "draw": step_cost(SD15, H100)})
    assert costs(StepKind.TEXT, "chat", text(1, 10)) > 0
    assert costs(StepKind.DENOISE, "draw", PICTURE) > 0
    with pytest.raises(ConfigError, match="no costs for model 'sing', only for chat, draw"):
        costs(StepKind.TEXT, "sing", text(1, 10))


def test_steps_of_the_other_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="runs no denoise step"):
        priced().seconds(StepKind.DENOISE, PICTURE)
    with pytest.raises(ConfigError, match="runs no text step"):
        step_cost(SD15, H100).seconds(StepKind.TEXT, text(1, 1))
    with pytest.raises(ConfigError, match="it runs no text step"):
        step_cost(SD15, H100).seconds(StepKind.TEXT, PICTURE)
    with pytest.raises(ConfigError, match="batch of 0"):
        step_cost(SD15, H100).seconds(
            StepKind.DENOISE, ImageShape(batch=0, width=512, height=512, is_guided=False)
        )
    with pytest.raises(ConfigError, match="batch of 0"):
        priced().decode_segment(0)
    with pytest.raises(ConfigError, match="bare vae"):
        step_cost(Catalog().find("vae-kl-f8"), H100)
    with pytest.raises(ConfigError, match="it runs no denoise step"):
        step_cost(BERT, H100).seconds(StepKind.DENOISE, PICTURE)


def test_an_encoder_step_is_its_operators_and_the_loop() -> None:
    """At 512 texts of 512 tokens products dominate: 2 FLOPs per weight of the layers and token."""
    cost = step_cost(BERT, H100)
    big = cost.seconds(StepKind.ENCODE, EncoderShape(batch=512, tokens=512))
    layers = 12 * (4 * 768 * 768 + 2 * 768 * 3072)
    least_s = 2 * layers * 512 * 512 / H100.flops_per_s("bf16")
    assert least_s < big < 4 * least_s
    small = cost.seconds(StepKind.ENCODE, EncoderShape(batch=1, tokens=16))
    assert 1e-4 < small < 2e-3  # launches and the loop
    assert small < cost.seconds(StepKind.ENCODE, EncoderShape(batch=8, tokens=16)) < 8 * small
