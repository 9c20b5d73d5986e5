import pytest

from loadsheet.cost.explain import explain
from loadsheet.cost.formula import bytes_formula, formula, kv_formula
from loadsheet.cost.module_cost import module_costs
from loadsheet.cost.operator import total
from loadsheet.cost.serving.offline_image import ImageJob, offline_image
from loadsheet.cost.serving.offline_text import decode_seconds, prefill_seconds
from loadsheet.cost.serving.software import text_engine
from loadsheet.cost.serving.text_step import TextModel
from loadsheet.cost.stack import Stack
from loadsheet.cost.work import Work, steps, walked
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.precision import of

CATALOG = Catalog()
H100 = DeviceCatalog().find("h100-sxm-80gb")


def shown(name: str, **work):
    return explain(CATALOG.find(name), H100, of("bf16"), Work(**work))


def test_a_reply_is_a_prefill_and_its_decodes():
    result = shown("llama-3.1-8b", output_tokens=100)
    assert [(part.name, part.repeats) for part in result.phases] == [("prefill", 1), ("decode", 99)]
    assert result.phases[1].bound_by == "memory"
    assert result.seconds == pytest.approx(
        result.facts["ttft_s"] + 99 * result.facts["tpot_s"], rel=1e-9
    )


def test_a_single_token_needs_no_decode():
    assert [part.name for part in shown("gpt2", output_tokens=1).phases] == ["prefill"]


def test_an_image_is_encoders_steps_and_a_decoder():
    result = shown("sdxl", steps=30)
    names = {part.name: part.repeats for part in result.phases}
    assert names["denoise"] == 30
    assert names["vae_decode"] == 1
    # one SDXL image of 30 guided steps is 405.7 TFLOP
    denoise = next(part for part in result.phases if part.name == "denoise")
    assert 30 * denoise.flops == pytest.approx(405.7e12, rel=1e-3)


def test_parameters_are_those_in_memory():
    assert shown("llama-3.1-8b").params == 8_030_261_248
    sdxl = 2567463684 + 123060480 + 694659840 + 49490199
    assert shown("sdxl").params == sdxl


def test_shares_of_families_sum_to_the_phase():
    for part in shown("sdxl").phases:
        assert sum(row.seconds for row in part.families) == pytest.approx(part.seconds)
        assert sum(row.flops for row in part.families) == part.flops


def test_energy_and_dollars_follow_the_seconds():
    result = shown("gpt2")
    whole = result.bill("request")
    assert whole.seconds == pytest.approx(result.seconds)
    assert whole.energy_j == pytest.approx(result.seconds * 700)
    assert whole.low_usd == pytest.approx(result.seconds / 3600 * 2.5)
    assert whole.high_usd == pytest.approx(result.seconds / 3600 * 5)
    unpriced = explain(CATALOG.find("gpt2"), DeviceCatalog().find("h20"), of("bf16"), Work())
    assert unpriced.bill("request").low_usd is None


def test_a_million_tokens_is_so_many_requests():
    result = shown("llama-3.1-8b", batch=4, output_tokens=100)
    request, million = result.bill("request"), result.bill("1M output tokens")
    assert million.low_usd == pytest.approx(1e6 / 400 * request.low_usd)
    assert result.bill("1M output tokens, saturated").low_usd < million.low_usd


def test_an_image_is_billed_by_the_image():
    result = shown("sd-1.5", batch=4)
    assert result.bill("image").energy_j == pytest.approx(result.bill("request").energy_j / 4)


@pytest.mark.parametrize("engine", ["vllm", "trtllm"])
def test_text_takes_what_serving_predicts(engine):
    entry = CATALOG.find("llama-3.1-8b")
    work = Work(batch=8, input_tokens=4096, output_tokens=2)
    result = explain(entry, H100, of("bf16"), work, Stack(text=engine, tp=2))
    (component,) = entry.components()
    model = TextModel(component=component, device=H100, precision=of("bf16"), tp=2)
    decode_s = decode_seconds(model, text_engine(engine), 8, 4097)
    assert result.facts["tpot_s"] == pytest.approx(decode_s)
    one = explain(entry, H100, of("bf16"), Work(input_tokens=8192), Stack(text=engine, tp=2))
    prefill_s = prefill_seconds(model, text_engine(engine), 8192)
    assert one.facts["ttft_s"] == pytest.approx(prefill_s)


@pytest.mark.parametrize("name", ["sdxl", "pixart-sigma", "flux.1-dev"])
@pytest.mark.parametrize("mode", ["compiled", "eager"])
@pytest.mark.parametrize("dtype", ["bf16", "fp8"])
def test_an_image_takes_what_serving_predicts(name, mode, dtype):
    entry = CATALOG.find(name)
    result = explain(entry, H100, of(dtype), Work(batch=2), Stack(image=mode))
    pipeline = entry.model
    job = ImageJob(
        entry=entry,
        device=H100,
        width=pipeline.width,
        height=pipeline.height,
        steps=pipeline.steps,
        is_guided=pipeline.is_guided,
        dtype=dtype,
        batch=2,
        is_compiled=mode == "compiled",
    )
    assert result.seconds == pytest.approx(offline_image(job).latency_s, rel=1e-6)


def test_eager_images_wait_for_the_host():
    eager = explain(CATALOG.find("sd-1.5"), H100, of("bf16"), Work(), Stack(image="eager"))
    denoise = next(part for part in eager.phases if part.name == "denoise")
    waits = {row.family: row.share for row in denoise.families}
    assert waits["waiting for launches"] > 0.3


@pytest.mark.parametrize(
    "name", ["bert-base", "vae-kl-f8", "dit-xl-2", "wan-2.1-t2v-1.3b", "ddpm-256"]
)
def test_every_kind_of_entry_is_explained(name):
    result = shown(name)
    assert result.seconds > 0
    assert result.ledger.total_bytes() > 0


def test_modules_split_fused_products():
    entry = CATALOG.find("llama-3.1-8b")
    (_, ops), *_ = walked(entry, Work(), of("bf16"))
    rows = {row.path: row for row in module_costs(ops)}
    assert rows["model.layers.*.self_attn.q_proj"].params == 32 * 4096 * 4096
    assert rows["model.layers.*.self_attn.k_proj"].params == 32 * 4096 * 1024
    assert rows["model.layers.*.mlp.gate_proj"].params == 32 * 4096 * 14336
    assert sum(row.flops for row in rows.values()) == total(ops).flops


@pytest.mark.parametrize(
    "name", ["gpt2", "mixtral-8x7b", "deepseek-v2-lite", "sd-1.5", "sana-1.6b"]
)
def test_formulas_end_in_the_counted_number(name):
    for _, ops in walked(CATALOG.find(name), Work(), of("bf16")):
        for op in ops:
            text = formula(op)
            assert text.endswith(f"= {op.flops:,}") if op.flops else not text
            if " = " in text:
                product = text.split(" = ")[1].replace(",", "").replace("(", "").replace(")", "")
                factors = [sum(map(int, part.split("+"))) for part in product.split("·")]
                value = 1
                for factor in factors:
                    value *= factor
                assert value == op.flops


def test_impossible_work_is_refused():
    with pytest.raises(ConfigError, match="batch is 0"):
        Work(batch=0)
    with pytest.raises(ConfigError, match="steps is -3"):
        Work(steps=-3)


def test_steps_know_their_components():
    labels = [
        step.component.label for step in steps(CATALOG.find("sd3-medium"), Work(), of("bf16"))
    ]
    assert labels[-2:] == ["denoiser", "vae_decode"]
    assert "text_encoder:t5-v1.1-xxl" in labels


def test_bytes_add_up_in_their_formula():
    for _, ops in walked(CATALOG.find("llama-3.1-8b"), Work(), of("int4")):
        for op in ops:
            terms, _, whole = bytes_formula(op).rpartition(" = ")
            parts = [int(term.split()[-1].replace(",", "")) for term in terms.split(" + ") if term]
            assert sum(parts) == int(whole.replace(",", "")) == op.num_bytes


def test_cache_formulas_end_in_the_published_numbers():
    llama = CATALOG.find("llama-3.1-8b").model
    assert kv_formula(llama, of("bf16")).endswith("= 32·2·8·128·2 = 131,072")
    deepseek = CATALOG.find("deepseek-v3").model
    assert kv_formula(deepseek, of("bf16")).endswith("= 70,272")


def test_encoders_stay_wide_beside_a_narrow_denoiser():
    wide, narrow = (
        explain(CATALOG.find("flux.1-dev"), H100, of(dtype), Work()) for dtype in ("bf16", "fp8")
    )
    held = [
        {line.part: line.num_bytes for line in result.ledger.lines if line.owner == "weights"}
        for result in (wide, narrow)
    ]
    assert held[1]["text_encoder:t5-v1.1-xxl"] == held[0]["text_encoder:t5-v1.1-xxl"]
    assert held[1]["denoiser"] < 0.6 * held[0]["denoiser"]


def test_only_language_models_are_split():
    with pytest.raises(ConfigError, match="run text_encoder:clip-vit-l on one device"):
        explain(CATALOG.find("sd-1.5"), H100, of("bf16"), Work(), Stack(tp=2))
    with pytest.raises(ConfigError, match="more than the 12 heads"):
        explain(CATALOG.find("gpt2"), H100, of("bf16"), Work(), Stack(tp=16))
    with pytest.raises(ConfigError, match="cannot deal 12 heads evenly"):
        explain(CATALOG.find("gpt2"), H100, of("bf16"), Work(), Stack(tp=5))
    with pytest.raises(ConfigError, match="'vlm' is unknown; choose"):
        Stack(text="vlm")


def test_a_chip_that_was_never_measured_is_flagged():
    flags = {
        name: explain(
            CATALOG.find("gpt2"), DeviceCatalog().find(name), of("bf16"), Work()
        ).is_extrapolated
        for name in ("h100-sxm", "mi300x")
    }
    assert flags == {"h100-sxm": False, "mi300x": True}
