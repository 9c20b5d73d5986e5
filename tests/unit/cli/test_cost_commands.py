"""explain, compare, catalog and predict as a user types them."""

import json
import os
import pty
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from loadsheet.cli import catalog, compare, explain, predict
from loadsheet.cli.parser import Parser
from loadsheet.errors import ConfigError, SpecError
from loadsheet.table import amount, table

MODULES = {"explain": explain, "compare": compare, "catalog": catalog, "predict": predict}


def run(command: str, *words: str) -> int:
    module = MODULES[command]
    parser = Parser(prog=command)
    module.add_flags(parser)
    return module.run(parser.parse_args(list(words)))


def printed(capsys, command: str, *words: str) -> str:
    assert run(command, *words) == 0
    return capsys.readouterr().out


def sentences(text: str) -> str:
    """Without the breaks between lines."""
    return " ".join(text.split())


def as_json(capsys, command: str, *words: str):
    return json.loads(printed(capsys, command, *words, "--json"))


def test_explain_prints_phases_memory_and_results(capsys):
    text = printed(capsys, "explain", "llama-3.1-8b")
    for word in ("prefill", "decode", "attention projections", "kv_blocks", "largest batch"):
        assert word in text


def test_explain_json_is_si(capsys):
    got = as_json(capsys, "explain", "meta-llama/Llama-3.1-8B", "--device", "h100-sxm")
    assert got["params"] == 8030261248
    assert got["phases"][1]["bound_by"] == "memory"
    assert got["facts"]["kv_bytes_per_token"] == 131072
    assert got["memory_bytes"] == sum(line["num_bytes"] for line in got["ledger"]["lines"])


def test_explain_says_what_a_change_does(capsys):
    text = printed(capsys, "explain", "llama-3.1-8b", "--set", "kv_heads=2")
    assert "with kv_heads=2" in text
    difference = text[text.index("with kv_heads=2") :]
    for row in ("prefill time", "decode time", "bytes moved", "memory", "dollars, 1M output"):
        assert row in difference
    assert "-75.0 %" in difference  # the cache: 8 heads to 2


def test_explain_answers_why_so_much_memory(capsys):
    text = printed(capsys, "explain", "llama-3.2-1b", "--reserve", "0.9")
    assert "reserves 90% of the device" in text
    assert "room for 2,090,359 tokens" in sentences(text)
    assert "kv_blocks reserved" in text


def test_explain_names_what_does_not_fit(capsys):
    assert "more than this device holds" in printed(capsys, "explain", "llama-3.1-405b")


def test_explain_train(capsys):
    text = printed(capsys, "explain", "gpt2", "--train", "--recompute", "full")
    assert "recomputation" in text
    assert "optimizer" in text


def test_explain_modules_and_formulas(capsys):
    text = printed(capsys, "explain", "gpt2", "--modules", "--formulas")
    assert "transformer.h.*.attn.c_attn" in text
    assert "2·m·k·n = 2·512·768·2,304 = 1,811,939,328" in text


def test_explain_plots_a_roofline(capsys, tmp_path):
    path = tmp_path / "roof.svg"
    printed(capsys, "explain", "sdxl", "--plot", str(path))
    text = " ".join(ElementTree.parse(path).getroot().itertext())
    assert "denoise" in text and "vae_decode" in text


def test_explain_reads_a_folder(capsys, tmp_path):
    config = {
        "model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024,
        "vocab_size": 50257,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert as_json(capsys, "explain", str(tmp_path))["params"] == 124439808


def test_a_users_price_replaces_the_catalogues(capsys):
    got = as_json(capsys, "explain", "gpt2", "--usd-per-hour", "3600")
    assert got["usd"] == pytest.approx(got["seconds"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope-7b"], "is unknown; nearest"),
        (["gpt2", "--device", "h1000"], "is unknown; nearest"),
        (["gpt2", "--dtype", "fp12"], "fp12"),
        (["gpt2", "--batch", "0"], "batch is 0"),
        (["sdxl", "--width", "1001"], "1000 and 1008"),
        (["gpt2", "--input-tokens", "2000"], "1024 learned positions"),
    ],
)
def test_bad_input_is_refused_with_the_rule(words, message):
    with pytest.raises((ConfigError, SpecError), match=message):
        run("explain", *words)


def test_compare_sequences(capsys, tmp_path):
    path = tmp_path / "chart.svg"
    text = printed(capsys, "compare", "attention", "lstm", "linear", "--plot", str(path))
    mechanism, _, rest = text.partition("tokens")
    assert "softmax" in mechanism  # first the mechanism, then the numbers
    assert "dependent steps" in rest
    assert path.exists()


def test_compare_spaces_and_kernels(capsys):
    assert "times the FLOPs" in sentences(printed(capsys, "compare", "latent", "pixel"))
    got = as_json(capsys, "compare", "standard", "flash")
    standard, flash = (cost["memory"] for cost in got["by_length"][-2:])
    assert standard["flops"] == flash["flops"]
    assert standard["held_bytes"] > 1000 * flash["held_bytes"]
    assert [cost["head_dim"] for cost in got["by_head"][::2]] == [32, 64, 128, 256]
    assert len({cost["sram_bytes"] for cost in got["by_sram"]}) == 3


def test_compare_backbones_at_equal_flops(capsys):
    got = as_json(capsys, "compare", "unet", "dit")
    assert abs(got["mismatch"]) < 0.02
    equal = [cost for cost in got["costs"] if cost["side"] == 1024]
    flops = [cost["step"]["flops"] for cost in equal]
    assert flops[1] / flops[0] == pytest.approx(1, abs=0.02)
    assert equal[1]["params"] < equal[0]["params"]
    with pytest.raises(ConfigError, match=r"flux.1-dev is not a PixArt transformer"):
        run("compare", "unet", "dit", "--dit", "flux.1-dev")


def test_compare_a_reply_and_an_image(capsys):
    text = sentences(printed(capsys, "compare", "llama-3.1-8b", "sdxl"))
    assert "is decode" in text and "is denoise" in text
    assert "how long a token waits behind it" in text
    assert "Together they hold 24.5 GiB and fit" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attention", "pixel"], "'pixel' is no match for 'attention'"),
        (["attention", "attention"], "nothing beside it"),
        (["latent", "pixel", "--unet", "llama-3.1-8b"], "no latent U-Net"),
        (["attention", "lstm", "--hidden", "100"], "not a multiple of 128"),
        (["attention", "lstm", "--layers", "0"], "must be 1 or more"),
        (["standard", "flash", "--head-dim", "0"], "all must be positive"),
        (["standard", "flash", "--plot", "a.png"], "ending .svg"),
    ],
)
def test_compare_refuses_what_does_not_fit(words, message):
    with pytest.raises(ConfigError, match=message):
        run("compare", *words)


def test_compare_models(capsys):
    text = printed(capsys, "compare", "sdxl", "pixart-sigma", "llama-3.1-8b")
    assert "One sdxl request takes" in text
    with pytest.raises(ConfigError, match="alone has nothing beside it"):
        run("compare", "sdxl")


def test_catalog_finds_and_counts(capsys):
    text = printed(capsys, "catalog", "models", "llama-3.1-405b")
    assert text.endswith("1 found\n")
    devices = as_json(capsys, "catalog", "devices", "h200-sxm")
    assert devices[0]["memory_bytes_per_s"] == 4.8e12
    with pytest.raises(SpecError, match="nearest"):
        run("catalog", "models", "llama-9")


def test_catalog_lists_devices_and_models(capsys):
    text = printed(capsys, "catalog", "devices")
    assert "h100-sxm-80gb" in text
    assert "from memory" in text
    assert len(as_json(capsys, "catalog", "models")) >= 70
    assert printed(capsys, "catalog", "models", "Llama-3.1-8B-Instruct").endswith("1 found\n")
    assert printed(capsys, "catalog", "devices", "h200_sxm").endswith("1 found\n")


def test_predict_goes_on_after_a_bad_line(capsys, tmp_path):
    good = {
        "id": "a", "case": "flops", "model": "gpt2", "component": "decoder",
        "shape": {"tokens": 1024, "context": 1024, "batch": 1, "logits": "all"},
    }  # fmt: skip
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join([json.dumps(good), "{", "", json.dumps({**good, "id": "b"})]))
    assert run("predict", str(path)) == 1
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["id"] for answer in answers] == ["a", None, "b"]
    assert answers[2]["gflops"] == pytest.approx(291.6483072)
    assert "error" in answers[1]


def test_predict_needs_a_readable_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        run("predict", str(tmp_path / "missing.jsonl"))


def test_explaining_imports_no_arrays():
    script = (
        "import sys; from loadsheet.cli import explain, compare, catalog;"
        "print([m for m in ('numpy', 'torch', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_tables_align():
    assert table(["a", "bb"], [["x", "1"], ["yy", "22"]]).splitlines() == [
        "a   bb",
        "──  ──",
        "x    1",
        "yy  22",
    ]
    assert amount(1.5e12, "FLOP") == "1.5 TFLOP"
    assert amount(12) == "12"


def test_answers_reach_a_file_while_a_terminal_shows_the_bar(tmp_path):
    cases, answers = tmp_path / "cases.jsonl", tmp_path / "answers.jsonl"
    cases.write_text('{"case": "nope"}\n' * 3)
    program = f"{sys.executable} -m loadsheet.cli.predict {cases} > {answers}"
    terminal, side = pty.openpty()
    done = subprocess.run(["sh", "-c", program], stderr=side, check=False, timeout=60)
    os.close(side)
    os.close(terminal)
    assert done.returncode == 1
    assert len(answers.read_text().splitlines()) == 3
