"""SmolLM2-135M-Instruct, as it ships: against transformers, and against itself in a mix."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from loadsheet.engine.assets import DEFAULT_TEXT_MODEL, ensure_assets
from loadsheet.engine.text.decoder import ContiguousAttention
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.engine.text.weights import load_decoder
from loadsheet.engine.torch_device import Placement
from loadsheet.runtime.model_card import ChatMessage

pytestmark = pytest.mark.real_weights
QUESTION = "Explain in two sentences why ships float, please: naïve answers (日本語) are fine."


@pytest.fixture(scope="module")
def smollm2() -> Path:
    return ensure_assets([DEFAULT_TEXT_MODEL])[DEFAULT_TEXT_MODEL]


def prompt_ids(folder: Path) -> list[int]:
    return list(FolderTokenizer(folder).encode_chat([ChatMessage(role="user", content=QUESTION)]))


@torch.inference_mode()
def logits(folder: Path, dtype: torch.dtype) -> torch.Tensor:
    decoder = load_decoder(folder, Placement(device=torch.device("cpu"), dtype=dtype))
    ids = torch.tensor(prompt_ids(folder))
    attention = ContiguousAttention(decoder, len(ids))
    return decoder.logits(decoder.hidden(ids, torch.arange(len(ids)), attention)).float()


@torch.inference_mode()
def reference(folder: Path, dtype: torch.dtype) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    return model(torch.tensor([prompt_ids(folder)])).logits[0]


def test_fp32_logits_equal_those_of_transformers(smollm2) -> None:
    """Logits reach 39, where either implementation is up to 1e-4 off the same model in fp64."""
    exact = reference(smollm2, torch.float64)
    ours, theirs = logits(smollm2, torch.float32), reference(smollm2, torch.float32)
    assert (ours - theirs).abs().max() <= 5e-6 * exact.abs().max()
    assert (ours - exact).abs().max() <= 1.5 * (theirs - exact).abs().max()


def test_bf16_is_as_close_to_fp32_as_transformers_is(smollm2) -> None:
    exact = reference(smollm2, torch.float32)
    theirs = (reference(smollm2, torch.bfloat16) - exact).abs().mean()
    assert (logits(smollm2, torch.bfloat16) - exact).abs().mean() <= theirs


def test_tokenizer_equals_that_of_transformers(smollm2) -> None:
    theirs, ours = AutoTokenizer.from_pretrained(smollm2), FolderTokenizer(smollm2)
    for text in (QUESTION, "", "  spaces\n\ttabs  ", "<|im_start|>user", "def f(x):\n    return x"):
        assert list(ours.encode(text)) == theirs(text)["input_ids"]
        assert ours.decode(ours.encode(text)) == theirs.decode(
            theirs(text)["input_ids"], skip_special_tokens=True
        )
    chat = [{"role": "user", "content": QUESTION}]
    rendered = theirs.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)
    assert prompt_ids(smollm2) == rendered["input_ids"]
    assert ours.eos_ids == {theirs.eos_token_id}
