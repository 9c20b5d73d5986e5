import pytest

from loadsheet.errors import ConfigError
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.change import changed, parse_change
from loadsheet.specs.pipeline import PipelineSpec

LLAMA = Catalog().find("llama-3.1-8b").model


def test_attention_and_mlp_change_in_every_layer():
    spec = changed(LLAMA, [parse_change("kv_heads=2"), parse_change("width=8192")])
    (group,) = spec.layers
    assert group.attention.kv_heads == 2
    assert group.feed_forward.width == 8192


def test_layers_keep_their_proportions():
    gemma = Catalog().find("gemma-2-2b").model
    assert [g.count for g in changed(gemma, [parse_change("num_layers=4")]).layers] == [2, 2]
    with pytest.raises(ConfigError, match="proportions of 13 \\+ 13"):
        changed(gemma, [parse_change("num_layers=1")])


def test_top_level_fields_change():
    assert changed(LLAMA, [parse_change("is_tied=true")]).is_tied
    assert changed(LLAMA, [parse_change("vocab_size=32000")]).vocab_size == 32000


def test_pipeline_fields_reach_the_denoiser():
    sdxl = Catalog().find("sdxl").model
    assert isinstance(sdxl, PipelineSpec)
    assert changed(sdxl, [parse_change("layers_per_block=1")]).denoiser.layers_per_block == 1
    assert not changed(sdxl, [parse_change("is_guided=false")]).is_guided
    with pytest.raises(ConfigError, match=r"nearest: .*layers_per_block"):
        changed(sdxl, [parse_change("layers_per_blok=1")])


def test_uneven_heads_are_refused():
    with pytest.raises(ConfigError, match="32 heads are not a multiple of 3"):
        changed(LLAMA, [parse_change("kv_heads=3")])


@pytest.mark.parametrize("text", ["kv_heads", "=2", "kv_heads=two", "kv_heads=0", "kv_heads=-4"])
def test_malformed_changes_are_refused(text):
    with pytest.raises(ConfigError, match="--set"):
        parse_change(text)


def test_unknown_field_names_the_nearest():
    with pytest.raises(ConfigError, match="nearest: kv_heads"):
        changed(LLAMA, [parse_change("kv_head=2")])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sdxl", "channels=7", r"channels is a list of 3 \(320,640,1280\) and cannot become 7"),
        ("sdxl", "channels=320,640", "cannot become a list of 2"),
        ("gpt2", "window=1,2", "window is None and cannot become a list of 2"),
        ("gpt2", "is_tied=3", "is_tied is True and cannot become 3"),
        ("gpt2", "family=3", "family is 'gpt2' and cannot become 3"),
        ("gpt2", "heads=none", "heads is 12 and cannot become None"),
        ("ddpm-256", "vae=1", "vae is None and cannot become 1"),
        ("mixtral-8x7b", "num=1", "2 active experts are more than the 1 there are"),
    ],
)
def test_a_value_must_be_of_the_kind_that_the_field_holds(name, text, message):
    with pytest.raises(ConfigError, match=message):
        changed(Catalog().find(name).model, [parse_change(text)])


def test_lists_and_absent_numbers_can_be_set():
    wider = changed(Catalog().find("sdxl").model, [parse_change("channels=320,640,960")])
    assert wider.denoiser.channels == (320, 640, 960)
    windowed = changed(Catalog().find("gpt2").model, [parse_change("window=256")])
    assert windowed.layers[0].attention.window == 256
