import pytest

from loadsheet.cost.explain import Work, explain, steps, walked
from loadsheet.cost.module_cost import formula, module_costs
from loadsheet.cost.operator import total
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
    assert result.energy_j == pytest.approx(result.seconds * 700)
    assert result.usd == pytest.approx(result.seconds / 3600 * 2.5)
    assert (
        explain(CATALOG.find("gpt2"), DeviceCatalog().find("h20"), of("bf16"), Work()).usd is None
    )


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
    labels = [step.component.label for step in steps(CATALOG.find("sd3-medium"), Work())]
    assert labels[-2:] == ["denoiser", "vae_decode"]
    assert "text_encoder:t5-v1.1-xxl" in labels
