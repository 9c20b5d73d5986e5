from datetime import date

import pytest

from loadsheet.cost.components import active_params, params
from loadsheet.errors import SpecError
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.pipeline import PipelineSpec, Role

CATALOG = Catalog()
ENTRIES = list(CATALOG.entries())
MAIN = (Role.DECODER, Role.ENCODER, Role.DENOISER)
NAMED = [
    "llama-2-70b",
    "llama-3.1-405b",
    "qwen2.5-72b",
    "qwen3-30b-a3b",
    "gemma-3-27b",
    "phi-4",
    "falcon-7b",
    "falcon-180b",
    "mixtral-8x22b",
    "llama-4-scout",
    "llama-4-maverick",
    "gpt-oss-20b",
    "deepseek-v2-lite",
    "smollm2-135m",
    "all-minilm-l6-v2",
    "t5-base",
    "sd-1.5",
    "sdxl",
    "pixart-alpha",
    "kolors",
    "lumina-2",
    "hunyuan-dit-1.2",
    "stable-cascade-prior",
    "flux.2-dev",
    "qwen-image",
    "wan-2.1-t2v-1.3b",
]


def test_there_are_many():
    assert len(ENTRIES) >= 70


@pytest.mark.parametrize("name", NAMED)
def test_canonical_names_exist(name):
    assert CATALOG.find(name).name == name


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entry_is_complete_and_counts(entry):
    assert entry.source.startswith("https://")
    assert date.fromisoformat(entry.date).year >= 2026
    assert entry.checked in ("counter", "params", "memory")
    main = [part for part in entry.components() if part.role in MAIN]
    published = entry.fields.get("params")
    if published is not None:
        assert sum(params(part) for part in main) == published
    else:
        assert entry.checked != "params"
    assert all(params(part) > 0 for part in entry.components())


def test_aliases_belong_to_one_entry():
    owner: dict[str, str] = {}
    for entry in ENTRIES:
        for name in (entry.name, *entry.aliases):
            assert owner.setdefault(name, entry.name) == entry.name


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("nvidia/Llama-3.1-8B-Instruct-FP8", "llama-3.1-8b"),
        ("Qwen/Qwen3-235B-A22B-FP8", "qwen3-235b-a22b"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-v3"),
        ("mistralai/Mistral-7B-Instruct-v0.2", "mistral-7b"),
        ("google/gemma-2-9b-it", "gemma-2-9b"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
        ("DeepSeek-V2-Lite-Chat", "deepseek-v2-lite"),
        ("SD-1.5", "sd-1.5"),
    ],
)
def test_hub_names_are_understood(asked, found):
    assert CATALOG.find(asked).name == found


def test_unknown_names_get_near_ones():
    with pytest.raises(SpecError, match=r"'llama-3\.1-9b' is unknown; nearest: .*llama-3\.1-8b"):
        CATALOG.find("llama-3.1-9b")


def test_component_labels():
    assert CATALOG.component("sdxl", "text_encoder:clip-l").name == "clip-vit-l"
    assert CATALOG.component("gemma-2-2b", "text_encoder:gemma-2-2b").role is Role.TEXT_ENCODER
    assert CATALOG.component("t5-base", "encoder").role in (Role.ENCODER, Role.TEXT_ENCODER)
    with pytest.raises(SpecError, match=r"has no .denoise., only .*nearest: denoiser"):
        CATALOG.component("sdxl", "denoise")
    with pytest.raises(SpecError, match="has no 'text_encoder:nothing'"):
        CATALOG.component("sdxl", "text_encoder:nothing")


def test_sd3_projects_its_clip_and_sdxl_does_not():
    """SD3 takes the projected CLIP-L vector: 768 x 768 more parameters than SDXL's."""
    with_projection = params(CATALOG.component("sd3-medium", "text_encoder:clip-vit-l"))
    assert with_projection - params(CATALOG.component("sdxl", "text_encoder:clip-vit-l")) == 768**2


def test_active_parameters_as_published():
    assert active_params(CATALOG.find("mixtral-8x7b").model) == 12_879_925_248
    # a closed form without norms gives 37,551,400,960
    ours = active_params(CATALOG.find("deepseek-v3").model)
    assert ours == pytest.approx(37_551_400_960, rel=1e-4)


def test_search_needs_all_words():
    names = [entry.name for entry in CATALOG.search("qwen3 a3b")]
    assert names == ["qwen3-30b-a3b"]


def test_pipelines_have_defaults():
    for entry in ENTRIES:
        if isinstance(entry.model, PipelineSpec):
            assert entry.model.steps >= 1
            assert entry.model.width % entry.model.factor == 0
