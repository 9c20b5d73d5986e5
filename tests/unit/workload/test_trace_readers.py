import pytest

from loadsheet.errors import ConfigError
from loadsheet.workload.shape import ImageShape, TextShape
from loadsheet.workload.trace_presets import trace_preset
from loadsheet.workload.trace_readers import READERS

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2225670,879,0
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 3052, "input_length": 6955, "output_length": 52, "hash_ids": [46]}
"""
VLLM_OMNI = '{"timestamp": 1.5, "width": 512, "height": 256, "num_inference_steps": 20}\n'


def read(name, text, tmp_path):
    path = tmp_path / "trace"
    path.write_text(text)
    return READERS[name](path)


def test_azure_times_count_from_the_first_row(tmp_path):
    first, second = read("azure-llm-2023", AZURE, tmp_path)  # the third wrote nothing
    assert first.arrival_s == 0.0
    assert second.arrival_s == pytest.approx(4.314579, abs=1e-6)
    assert second.shape == TextShape(prompt_tokens=396, output_tokens=109)


def test_mooncake_milliseconds_become_seconds(tmp_path):
    _, second = read("mooncake", MOONCAKE, tmp_path)
    assert second.arrival_s == pytest.approx(3.052)
    assert second.shape == TextShape(prompt_tokens=6955, output_tokens=52)


def test_vllm_omni_images(tmp_path):
    (row,) = read("vllm-omni", VLLM_OMNI, tmp_path)
    assert row.shape == ImageShape(width=512, height=256, num_steps=20)


@pytest.mark.parametrize("name", ["azure-llm-2023", "mooncake", "vllm-omni", "loadsheet"])
def test_another_format_is_refused_by_name(name, tmp_path):
    with pytest.raises(ConfigError, match="trace"):
        read(name, "this,is\nno,trace of theirs\n", tmp_path)


@pytest.mark.parametrize(
    ("name", "prompt_mean"), [("azure-llm-2023-conv", 1000), ("mooncake-conversation", 13_000)]
)
def test_shipped_extracts_are_sorted_text_of_the_known_size(name, prompt_mean):
    rows = trace_preset(name)
    times_s = [row.arrival_s for row in rows]
    assert len(rows) == 400
    assert times_s == sorted(times_s) and times_s[0] == 0.0
    mean = sum(row.shape.prompt_tokens for row in rows) / len(rows)
    assert mean == pytest.approx(prompt_mean, rel=0.3)


def test_unknown_presets_name_the_shipped_ones():
    with pytest.raises(ConfigError, match="azure-llm-2023-conv"):
        trace_preset("azure")
