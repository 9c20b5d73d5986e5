import pytest
import torch
from transformers import AutoModelForCausalLM

from loadsheet.engine.text.decoder import ContiguousAttention
from loadsheet.engine.text.weights import load_decoder
from loadsheet.engine.torch_device import Placement

CPU_FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
FAMILIES = (
    "llama-untied",
    "llama-tied",
    "llama-head-dim",
    "llama-3-rope",
    "llama-linear-rope",
    "llama-bias",
    "mistral",
    "qwen2",
)


@torch.inference_mode()
def logits_of(decoder, token_ids: list[int]) -> torch.Tensor:
    attention = ContiguousAttention(decoder, len(token_ids))
    positions = torch.arange(len(token_ids))
    return decoder.logits(decoder.hidden(torch.tensor(token_ids), positions, attention))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_equal_those_of_transformers(family_folder, family):
    folder = family_folder(family)
    token_ids = torch.randint(0, 256, (90,), generator=torch.Generator().manual_seed(1)).tolist()
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        expected = reference(torch.tensor([token_ids])).logits[0]
    found = logits_of(load_decoder(folder, CPU_FP32), token_ids)
    assert expected.abs().max() > 1  # a test of zeros would prove nothing
    assert (found - expected).abs().max() <= 1e-4


def test_one_token_at_a_time_equals_the_whole_prompt(family_folder):
    decoder = load_decoder(family_folder("llama-tied"), CPU_FP32)
    token_ids = list(b"prefill and decode are the same arithmetic")
    attention, rows = ContiguousAttention(decoder, len(token_ids)), []
    with torch.inference_mode():
        for position, token_id in enumerate(token_ids):
            hidden = decoder.hidden(torch.tensor([token_id]), torch.tensor([position]), attention)
            attention.advance(1)
            rows.append(decoder.logits(hidden))
    assert (torch.cat(rows) - logits_of(decoder, token_ids)).abs().max() <= 1e-4


def test_the_weights_are_counted(family_folder):
    folder = family_folder("llama-untied")
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    num_bytes = sum(weight.nbytes for weight in reference.parameters())
    assert load_decoder(folder, CPU_FP32).weight_bytes == num_bytes
