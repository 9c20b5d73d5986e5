"""The fit finds the rates that made the times."""

import dataclasses
import random

import pytest

from loadsheet.cost.explain import explain
from loadsheet.cost.kernel.attention import AttentionPhase, FusedShape
from loadsheet.cost.kernel.gemm import GemmShape
from loadsheet.cost.kernel.rated_time import (
    rated_attention_seconds,
    rated_product_seconds,
    rated_seconds,
)
from loadsheet.cost.operator import Operator, OpKind
from loadsheet.cost.rate_fit import TYPICAL, fit_rates, fitted_seconds, step_of
from loadsheet.cost.step_cost import Setup, step_cost
from loadsheet.cost.step_shape import ImageShape, StepKind, TextShape
from loadsheet.cost.work import Work
from loadsheet.errors import ConfigError
from loadsheet.hardware.calibration_record import Measurement
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.precision import of

TRUE = dataclasses.replace(
    TYPICAL,
    gemm_flops_per_s=3.1e11,
    conv_flops_per_s=6e10,
    memory_bytes_per_s=4.2e10,
    launch_s=4e-5,
    image_step_s=5e-3,
)
MODELS = {"text": Catalog().find("smollm2-135m"), "image": Catalog().find("sd-1.5")}
STEPS: list[tuple[StepKind, str, TextShape | ImageShape]] = [
    *(
        (
            StepKind.TEXT,
            "text",
            TextShape(
                num_decodes=batch,
                decode_context_tokens=batch * mean,
                prefill_tokens=0,
                prefill_context_tokens=0,
            ),
        )
        for batch, mean in ((1, 64), (2, 64), (8, 64), (16, 64), (1, 1000), (4, 500))
    ),
    *(
        (
            StepKind.TEXT,
            "text",
            TextShape(
                num_decodes=0,
                decode_context_tokens=0,
                prefill_tokens=tokens,
                prefill_context_tokens=past,
            ),
        )
        for tokens, past in ((16, 0), (64, 0), (256, 0), (256, 256), (512, 512))
    ),
    *(
        (kind, "image", ImageShape(batch=batch, width=128, height=128, is_guided=True))
        for kind in (StepKind.ENCODE, StepKind.DENOISE, StepKind.VAE_DECODE)
        for batch in (1, 2, 4)
    ),
]


def machine(rates):
    """A device with these rates; the datasheet of another does not matter."""
    return dataclasses.replace(DeviceCatalog().find("t4"), rates=rates)


def timed(noise: float = 0.0) -> list[Measurement]:
    """What the step cost says under the true rates, at batches and contexts of its grid."""
    draw, made = random.Random(1), []
    costs = {
        name: step_cost(entry, machine(TRUE), Setup(precision=of("bf16")))
        for name, entry in MODELS.items()
    }
    for kind, model, shape in STEPS:
        seconds = costs[model].seconds(kind, shape) * (1 + noise * draw.uniform(-1, 1))
        made.append(
            Measurement(
                kind=str(kind),
                model=model,
                shape=dataclasses.asdict(shape),
                seconds=seconds,
                fastest_s=seconds,
                runs=5,
            )
        )
    return made


@pytest.mark.parametrize(("noise", "within"), [(0.0, 0.03), (0.1, 0.12)])
def test_fitted_rates_repeat_the_steps(noise: float, within: float) -> None:
    rates = fit_rates(timed(noise), MODELS, "bf16")
    clean = timed()
    for one, seconds in zip(clean, fitted_seconds(clean, MODELS, "bf16", rates), strict=True):
        assert seconds == pytest.approx(one.seconds, rel=within)


def test_steps_say_what_they_were() -> None:
    for one, (kind, _, shape) in zip(timed(), STEPS, strict=True):
        assert step_of(one) == (kind, shape)


def test_numpy_alone_gives_rates_near_its_own() -> None:
    """10 GB/s and 50 GFLOP/s, no model at all."""
    shapes = ((1, 4096, 4096), (512, 2048, 2048))
    made = [
        Measurement(
            kind="gemm",
            model="",
            shape={"m": m, "n": n, "k": k},
            seconds=max(2 * m * n * k / 5e10, 4 * n * k / 1e10),
            fastest_s=1e-3,
            runs=7,
        )
        for m, n, k in shapes
    ]
    rates = fit_rates(made, {}, "fp32")
    assert rates.memory_bytes_per_s == pytest.approx(1e10, rel=0.2)
    assert rates.gemm_flops_per_s == pytest.approx(5e10, rel=0.2)


def test_nothing_timed_is_refused() -> None:
    with pytest.raises(ConfigError, match="--seconds"):
        fit_rates([], {}, "bf16")


def test_an_operator_pays_for_arithmetic_traffic_and_launch() -> None:
    rates = dataclasses.replace(TYPICAL, gemm_half_rows=0.0)
    op = Operator(
        name="up",
        kind=OpKind.GEMM,
        flops=6 * 10**11,  # 3 s
        bytes_read=8 * 10**10,  # 4 s
        weight_bytes=8 * 10**10,
        m=64,
        n=1,
        k=1,
    )
    assert rated_seconds(op, rates) == pytest.approx(5.0 + rates.launch_s)
    assert rated_seconds(Operator(name="none", kind=OpKind.NORM), rates) == 0.0


def test_products_and_attention_outside_a_model_are_priced_alike() -> None:
    rates = dataclasses.replace(TYPICAL, gemm_half_rows=0.0, launch_s=0.0)
    product = GemmShape(m=1024, n=1024, k=1024)
    assert rated_product_seconds(product, rates) == pytest.approx(2 * 1024**3 / 2e11, rel=0.05)
    decode = FusedShape(
        phase=AttentionPhase.DECODE, batch=8, tokens=1, context=4096, heads=8, kv_heads=8,
        head_dim=64,
    )  # fmt: skip
    cache_s = 2 * 2 * 8 * 4096 * 8 * 64 / rates.kv_bytes_per_s
    assert rated_attention_seconds(decode, rates) == pytest.approx(cache_s, rel=0.05)
    whole = dataclasses.replace(decode, phase=AttentionPhase.BIDIRECTIONAL, tokens=4096)
    causal = dataclasses.replace(whole, phase=AttentionPhase.PREFILL)
    ratio = rated_attention_seconds(whole, rates) / rated_attention_seconds(causal, rates)
    assert 1.7 < ratio < 2.0


def test_explain_and_predict_use_the_machines_own_rates() -> None:
    found = explain(MODELS["text"], machine(TRUE), of("bf16"), Work(batch=4))
    assert not found.is_extrapolated
    step = TextShape(
        num_decodes=4,
        decode_context_tokens=4 * 576,
        prefill_tokens=0,
        prefill_context_tokens=0,
    )
    cost = step_cost(MODELS["text"], machine(TRUE), Setup(precision=of("bf16")))
    assert found.facts["tpot_s"] == pytest.approx(cost.seconds(StepKind.TEXT, step), rel=0.01)
