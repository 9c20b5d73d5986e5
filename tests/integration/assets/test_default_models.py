"""The models that ship, fetched and converted for real, against transformers' own reading."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.quantization_config import GgufConfig

from loadsheet.engine.assets import asset_path, ensure_assets
from loadsheet.engine.assets.cache import Cache, open_cache
from loadsheet.engine.assets.ensure import Workshop
from loadsheet.engine.assets.entry import Wheel, load_catalogue
from loadsheet.engine.assets.pip_download import download_wheel
from loadsheet.engine.assets.progress import StageMeter
from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import Placement
from loadsheet.runtime.payload import ImagePayload

pytestmark = pytest.mark.real_weights

TEXTS = (
    "The capital of France is Paris.",
    "I have 12345 apples, 3.14 pies and 2024 reasons.",
    "a 1 b 22 c 333",
    "x12y34",
    "it's we're they'd I'll you've don't",
    "  two leading spaces and  two inside ",
    "tabs\tand\ttabs",
    "line\nbreaks\n\nand more\r\nof them",
    "",
    " ",
    "\n",
    "CamelCase snake_case kebab-case SCREAMING",
    "def f(x):\n    return x * 2\n",
    '{"key": [1, 2, 3], "other": null}',
    "<html><body class='x'>hi</body></html>",
    "naïve café résumé über straße",
    "Привет, как дела?",
    "你好，世界",
    "日本語のテキスト 2024年",
    "한국어 문장입니다",
    "مرحبا بالعالم",
    "शुभ प्रभात",
    "🙂 👨‍👩‍👧‍👦 🇫🇷 🚀",
    "½ cup",
    "a\u00a0non\u2009breaking space",
    "zero\u200bwidth",
    "e\u0301 combining",
    "\x00 nul and \x7f del",
    "!!! ??? ... --- ***",
    "https://example.org/path?q=1&r=two#frag",
    "someone@example.org",
    "$1,234.56 and 50% off",
    "C:\\windows\\path",
    "/usr/local/bin",
    "Once upon a time, in a land far away, there lived a small model.",
    "supercalifragilisticexpialidocious",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "the the the the",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "text<|im_end|>glued",
    "<|endoftext|>",
    "<repo_name>x<file_sep>y",
    "<|not_special|>",
    "1st 2nd 3rd",
    "12:34:56",
    "Fe2O3 + 3CO",
    "π ≈ 3.14159",
    "mixed Ελληνικά and Latin",
    "'quoted' \"double\" `ticks`",
    "end with space ",
)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The user's own cache where one is named, else a fresh one: then all of it is fetched."""
    if os.environ.get("LOADSHEET_CACHE"):
        return None
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def text_model(cache_dir: Path | None) -> Path:
    return ensure_assets(["smollm2-135m-instruct"], cache_dir)["smollm2-135m-instruct"]


@pytest.fixture(scope="module")
def encoder(cache_dir: Path | None) -> Path:
    return ensure_assets(["minilm-l6-v2"], cache_dir)["minilm-l6-v2"]


@pytest.fixture(scope="module")
def text_wheel() -> Wheel:
    wheel = load_catalogue()["smollm2-135m-instruct"].wheel
    assert wheel is not None
    return wheel


@pytest.fixture(scope="module")
def gguf_folder(tmp_path_factory: pytest.TempPathFactory, text_wheel: Wheel) -> Path:
    """The packed original, fetched apart from the code under test's own copy."""
    folder = tmp_path_factory.mktemp("gguf")
    meter = StageMeter(asset="original", on_progress=None)
    path = download_wheel(text_wheel, scratch=folder / "scratch", meter=meter)
    with zipfile.ZipFile(path) as archive:
        (folder / "original.gguf").write_bytes(archive.read(text_wheel.members[0].path))
    return folder


def test_pins_hold(gguf_folder: Path, text_wheel: Wheel) -> None:
    digest = hashlib.sha256((gguf_folder / "original.gguf").read_bytes()).hexdigest()
    assert digest == text_wheel.members[0].sha256


def test_weights_equal_transformers_own(text_model: Path, gguf_folder: Path) -> None:
    config = GgufConfig(gguf_file="original.gguf", dequantize=True)
    reference = AutoModelForCausalLM.from_pretrained(
        gguf_folder, gguf_file="original.gguf", quantization_config=config, dtype=torch.bfloat16
    )
    expected = reference.state_dict()
    with safe_open(text_model / "model.safetensors", "pt") as ours:
        names = set(ours.keys())
        assert names == set(expected) - {"lm_head.weight"}  # tied to the embedding
        for name in names:
            assert torch.equal(ours.get_tensor(name), expected[name]), name


def test_tokens_equal_transformers_own(text_model: Path, gguf_folder: Path) -> None:
    reference = AutoTokenizer.from_pretrained(gguf_folder, gguf_file="original.gguf")
    ours = Tokenizer.from_file(str(text_model / "tokenizer.json"))
    through_transformers = AutoTokenizer.from_pretrained(text_model)
    assert len(set(TEXTS)) == 50
    for text in TEXTS:
        expected = reference.encode(text)
        assert ours.encode(text).ids == expected, text
        assert through_transformers.encode(text) == expected, text
        assert ours.decode(expected, skip_special_tokens=False) == reference.decode(expected)
    messages = [{"role": "user", "content": "Hello"}]
    for has_prompt in (False, True):
        assert through_transformers.apply_chat_template(
            messages, add_generation_prompt=has_prompt, tokenize=False
        ) == reference.apply_chat_template(
            messages, add_generation_prompt=has_prompt, tokenize=False
        )


def test_digit_rule_is_what_the_model_was_trained_with(text_model: Path, gguf_folder: Path) -> None:
    """Where transformers' reading leaves the digit rule out, the model prefers ours."""
    reference = AutoTokenizer.from_pretrained(gguf_folder, gguf_file="original.gguf")
    ours = AutoTokenizer.from_pretrained(text_model)
    model = AutoModelForCausalLM.from_pretrained(text_model, dtype=torch.float32)

    def surprise(ids: list[int]) -> float:
        tokens = torch.tensor([[0, *ids]])
        with torch.inference_mode():
            log_probs = model(tokens).logits.log_softmax(-1)
        return -float(log_probs[0, :-1].gather(1, tokens[0, 1:, None]).sum())

    text = (
        "Tips for a good night's sleep:\n\n1. Keep a schedule.\n\n2. Avoid screens.\n\n3. Be cool."
    )
    assert ours.encode(text) != reference.encode(text)
    assert surprise(ours.encode(text)) < surprise(reference.encode(text))


def test_it_answers_and_stops(text_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(text_model)
    model = AutoModelForCausalLM.from_pretrained(text_model, dtype=torch.float32)
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert "You are a helpful AI assistant named SmolLM" in prompt
    inputs = tokenizer(prompt, return_tensors="pt")
    reply = model.generate(**inputs, max_new_tokens=30, do_sample=False)
    new_ids = reply[0, inputs["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(new_ids)
    assert new_ids[-1] == tokenizer.eos_token_id


def test_encoder_knows_a_paraphrase(encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModel.from_pretrained(encoder)
    sentences = ["A cat sits on the mat.", "There is a cat on a rug.", "Stocks fell sharply."]
    inputs = tokenizer(sentences, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    mean = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    assert mean[0] @ mean[1] > 0.5
    assert mean[0] @ mean[2] < 0.2


def test_a_ready_model_is_found_without_frameworks(
    text_model: Path, cache_dir: Path | None
) -> None:
    assert asset_path("smollm2-135m-instruct", cache_dir) == text_model
    script = (
        "import sys; from pathlib import Path; from loadsheet.engine.assets import ensure_assets;"
        "ensure_assets(['smollm2-135m-instruct'], Path(sys.argv[1]));"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers', 'gguf')))"
    )
    root = open_cache(cache_dir).root
    subprocess.run([sys.executable, "-c", script, str(root)], check=True)


def _write_packaged(folder: Path) -> None:
    """Random weights in the layout of the image model that is packaged."""
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=4,
        cross_attention_dim=384,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=384,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    ).save_pretrained(folder / "vae")
    FlowMatchEulerDiscreteScheduler().save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "LoadsheetTextToImagePipeline",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "BertModel"],
        "tokenizer": ["transformers", "BertTokenizerFast"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "loadsheet": {
            "default_num_steps": 2,
            "default_guidance_scale": 3.0,
            "text_max_length": 32,
            "conditioning": "minilm-tokens+pooled",
            "native_size": [16, 16],
        },
    }
    (folder / "model_index.json").write_text(json.dumps(index))


def _draw(folder: Path, prompt: str) -> np.ndarray:
    placement = Placement(device=torch.device("cpu"), dtype=torch.float32)
    pipeline = open_pipeline(folder, placement)
    width, height = pipeline.sizes[0]
    order = ImagePayload(
        prompt=prompt,
        width=width,
        height=height,
        num_steps=4,
        guidance_scale=pipeline.default_guidance_scale,
        seed=1,
    )
    return draw(pipeline, order, lambda *_: None)


def test_an_assembled_image_folder_draws(encoder: Path, tmp_path: Path) -> None:
    _write_packaged(tmp_path / "packaged" / "emoji")
    cache = Cache(root=tmp_path / "cache")
    shutil.copytree(encoder, cache.model_folder("minilm-l6-v2"))
    workshop = Workshop(
        catalogue=load_catalogue(), cache=cache, packaged_root=tmp_path / "packaged"
    )
    folder = workshop.ensure("emoji")
    red, blue = _draw(folder, "a red apple"), _draw(folder, "a blue whale")
    assert red.shape == (16, 16, 3)
    assert (red != blue).any()  # the prompt reaches the denoiser


def test_the_packaged_image_model_draws(cache_dir: Path | None) -> None:
    pixels = _draw(ensure_assets(["emoji"], cache_dir)["emoji"], "a red apple")
    assert pixels.std() > 10  # not one flat colour
