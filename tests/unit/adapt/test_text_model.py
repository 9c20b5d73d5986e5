"""The model that learns is the model that serves, in our engine and in transformers."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close
from transformers import AutoModelForCausalLM

from loadsheet.adapt.text_config import DecoderShape
from loadsheet.adapt.text_folder import hf_config, write_text_model
from loadsheet.adapt.text_model import TextModel
from loadsheet.adapt.text_tokenizer import train_tokenizer
from loadsheet.adapt.train_text import next_token_loss
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import ContiguousAttention
from loadsheet.engine.text.weights import load_decoder
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import ConfigError

FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
TOKENIZER = train_tokenizer(["some words to learn from"] * 5, 280)
SHAPE = DecoderShape(hidden_size=32, ffn_size=48, num_layers=2, num_heads=4, num_kv_heads=2)
CONFIG = SHAPE.config(TOKENIZER.get_vocab_size(), 64)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = TextModel(CONFIG)
    for parameter in model.parameters():  # norms of ones would hide a norm that is left out
        torch.nn.init.normal_(parameter, mean=0.5, std=0.5) if parameter.dim() == 1 else None
    return model


@pytest.fixture
def ids():
    return torch.randint(CONFIG.vocab_size, (3, 40), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_written_folder_computes_the_same_everywhere(model, ids, tmp_path):
    write_text_model(tmp_path, model, TOKENIZER)
    expected = model(ids).view(3, 40, -1)
    assert expected.abs().max() > 1  # a test of zeros would prove nothing
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert_close(theirs(ids).logits, expected, atol=1e-4, rtol=0)
    ours = load_decoder(tmp_path, FP32)
    for row, logits in zip(ids, expected, strict=True):
        hidden = ours.hidden(row, torch.arange(40), ContiguousAttention(ours, 40))
        assert_close(ours.logits(hidden), logits, atol=1e-4, rtol=0)


def test_gradients_equal_those_of_transformers(model, ids, tmp_path):
    write_text_model(tmp_path, model, TOKENIZER)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    next_token_loss(model, ids).backward()
    theirs(ids, labels=ids).loss.backward()
    gradients = {name: weight.grad for name, weight in theirs.named_parameters()}
    layer = model.layers[1]
    found = {
        "model.embed_tokens.weight": model.embedding,
        "model.norm.weight": model.final_norm,
        "model.layers.1.self_attn.o_proj.weight": layer.out,
        "model.layers.1.mlp.down_proj.weight": layer.down,
        "model.layers.1.input_layernorm.weight": layer.attention_norm,
    }
    for name, weight in found.items():
        assert weight.grad.abs().max() > 1e-4
        assert_close(weight.grad, gradients[name], atol=1e-5, rtol=1e-3)


def test_the_config_comes_back(model):
    assert DecoderConfig.from_hf(hf_config(model.config)) == model.config


def test_the_loss_is_the_mean_of_all_rows(model):
    ids = torch.randint(CONFIG.vocab_size, (9, 61), generator=torch.Generator().manual_seed(2))
    expected = functional.cross_entropy(model(ids[:, :-1]), ids[:, 1:].flatten())
    assert_close(next_token_loss(model, ids), expected)


def test_it_trains_in_bfloat16(model, ids):
    with torch.autocast("cpu", torch.bfloat16):
        loss = next_token_loss(model, ids)
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert loss.item() == pytest.approx(next_token_loss(model, ids).item(), rel=0.02)


def test_the_serving_decoder_is_a_view(model):
    decoder = model.decoder()
    with torch.no_grad():
        model.final_norm.mul_(3.0)
    hidden = torch.ones(1, 32)
    assert_close(decoder.logits(hidden), model.decoder().logits(hidden))


def test_sizes_are_counted(model):
    assert model.num_parameters() == sum(t.numel() for t in model.named_tensors().values())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (DecoderShape(hidden_size=32, num_heads=3), "num_heads is 3, no divisor of 32"),
        (DecoderShape(hidden_size=32, num_heads=4, num_kv_heads=3), "num_kv_heads is 3"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(shape, message):
    with pytest.raises(ConfigError, match=message):
        shape.config(300, 64)
