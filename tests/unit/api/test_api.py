"""The Python API as a user imports it."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest

import loadsheet as ls
from loadsheet.errors import ConfigError, SpecError


def test_importing_is_light():
    script = (
        "import sys, loadsheet as ls;"
        "heavy = {'torch', 'numpy', 'rich', 'transformers'};"
        "print('loadsheet.cost' in sys.modules, sorted(heavy & set(sys.modules)));"
        "ls.explain('gpt2').table();"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["False []", "[]"]


def test_names_are_listed_and_others_refused():
    assert {"explain", "compare", "predict"} <= set(dir(ls))
    with pytest.raises(AttributeError, match="no attribute 'explian'"):
        ls.explian  # noqa: B018


def test_explain_gives_numbers_table_and_plot(tmp_path):
    sheet = ls.explain("llama-3.1-8b", device="l40s", dtype="fp8", batch=8)
    assert sheet.explanation.facts["kv_bytes_per_token"] == 131072
    assert sheet.explanation.seconds > sheet.explanation.bound_s
    assert "llama-3.1-8b on l40s" in sheet.table()
    path = tmp_path / "roof.svg"
    sheet.plot().save(path)
    names = " ".join(ElementTree.parse(path).getroot().itertext())
    assert "prefill" in names and "decode" in names


def test_a_changed_field_keeps_what_was_before():
    sheet = ls.explain("llama-3.1-8b", changes={"kv_heads": 2})
    assert sheet.before is not None
    assert sheet.explanation.facts["kv_bytes_per_token"] == 131072 / 4
    assert sheet.before.facts["kv_bytes_per_token"] == 131072
    with pytest.raises(ConfigError, match="32 heads are not a multiple of 5"):
        ls.explain("llama-3.1-8b", changes={"kv_heads": 5})


def test_price_and_power_are_the_users():
    sheet = ls.explain("gpt2", usd_per_hour=3600, power_w=10)
    whole = sheet.explanation.bill("request")
    assert whole.low_usd == whole.high_usd == pytest.approx(whole.seconds)
    assert whole.energy_j == pytest.approx(10 * whole.seconds)
    assert "set by the user" in sheet.table()
    for bad in (
        {"usd_per_hour": -1.0},
        {"usd_per_hour": float("nan")},
        {"power_w": 0.0},
        {"power_w": float("nan")},
    ):
        with pytest.raises(ConfigError):
            ls.explain("gpt2", **bad)


def test_a_training_step():
    step = ls.explain_training("gpt2", batch=8, tokens=1024, recompute="full")
    assert step.step.recompute_flops == step.step.forward_flops
    assert 0 < step.time.mfu(step.step, 989e12) < 0.75
    assert "tokens per second" in step.table()
    # 3 x 6.761 TFLOP of SDXL's U-Net at 1024x1024 per picture, without guidance
    assert ls.explain_training("sdxl", batch=2).step.flops == pytest.approx(6 * 6.761e12, rel=1e-3)
    with pytest.raises(ConfigError, match="has no decoder, encoder or denoiser to train"):
        ls.explain_training("vae-kl-f8")


def test_only_text_models_reserve_a_cache():
    with pytest.raises(ConfigError, match="sdxl has no KV cache"):
        ls.explain("sdxl").reserved(0.9)


def test_compare_gives_sentences_and_numbers():
    found = ls.compare("attention", "lstm")
    assert found.sentences[0].startswith("attention at 131,072 tokens: 1 dependent step")
    assert found.numbers["hidden_size"] == 4096
    assert found.plot().svg().startswith("<svg")
    with pytest.raises(ConfigError, match="nothing to compare"):
        ls.compare()
    with pytest.raises(SpecError, match="nearest"):
        ls.compare("sdxxl", "llama-3.1-8b")


def test_predict_goes_on_after_a_bad_case():
    gemm = {"case": "gemm", "device": "h100-sxm", "dtype": "bf16", "m": 4096, "n": 4096, "k": 4096}
    result = ls.predict([{**gemm, "id": "one"}, {**gemm, "m": -1}, gemm])
    assert [answer.get("id") for answer in result.answers] == ["one", None, None]
    assert result.refused == 1
    assert result.answers[0]["latency_ms"] == result.answers[2]["latency_ms"]
    assert "refused" in result.table()
    assert "latency_ms" in result.plot().svg()


@pytest.mark.parametrize("name", ["llama-3.1-8b", "sdxl", "bert-base", "vae-kl-f8"])
def test_every_view_of_every_kind(name):
    sheet = ls.explain(name)
    assert name in sheet.table()
    assert sheet.modules()
    assert "= " in sheet.formulas()
    assert sheet.as_dict()["seconds"] == sheet.explanation.seconds


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        ("llama-3.1-8b", {"width": 512}, r"width is 512, but llama-3.1-8b \(decoder\) has none"),
        ("sdxl", {"input_tokens": 5}, "it takes frames, height, pipeline, steps, width"),
        ("bert-base", {"output_tokens": 7}, "output_tokens is 7"),
        ("sdxl", {"kv_dtype": "fp8"}, "kv_dtype is fp8"),
        ("llama-3.1-8b", {"input_tokens": 10**12}, "more than 100,000,000 is no request"),
        ("sdxl", {"width": 10**6, "height": 10**6}, "more than 65,536 is no request"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(model, given, message):
    with pytest.raises(ConfigError, match=message):
        ls.explain(model, **given)
