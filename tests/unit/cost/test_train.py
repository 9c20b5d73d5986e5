import pytest

from loadsheet.cost.components import operators
from loadsheet.cost.ledger import Owner
from loadsheet.cost.shape import Logits, Span, TokenShape
from loadsheet.cost.train import Recompute, saved_bytes, train_step
from loadsheet.specs.catalog import Catalog

CATALOG = Catalog()


def forward(name: str, tokens: int, batch: int = 1):
    (component,) = CATALOG.find(name).components()
    shape = TokenShape(
        tokens=tokens, context=tokens, batch=batch, logits=Logits.ALL, span=Span.SERVED
    )
    return operators(component, shape)


def test_deepseek_v3_trains_at_the_published_cost():
    """250 GFLOP per token at 4096 causal tokens (DeepSeek-V3 report)."""
    step = train_step("deepseek-v3", forward("deepseek-v3", 4096), Recompute.NONE)
    assert step.flops / 4096 == pytest.approx(250e9, rel=0.03)


def test_six_flops_per_parameter_and_token():
    step = train_step("llama-2-7b", forward("llama-2-7b", 512), Recompute.NONE)
    assert step.flops / 512 / 6.74e9 == pytest.approx(6, rel=0.03)


def test_full_recomputation_adds_a_forward_pass():
    ops = forward("gpt2", 256)
    plain, again = (train_step("gpt2", ops, how) for how in Recompute)
    assert again.flops * 3 == plain.flops * 4
    assert again.recompute_flops == again.forward_flops


def test_a_layer_keeps_34_bytes_per_token_and_channel():
    """Korthikanti et al. 2022, equation 2 without the score terms."""
    layers = [op for op in forward("gpt2-xl", 1024, batch=4) if ".h." in op.name]
    assert saved_bytes(layers, Recompute.NONE) == 34 * 4 * 1024 * 1600 * 48


def test_recomputation_keeps_block_inputs_and_one_block():
    layers = [op for op in forward("gpt2-xl", 1024) if ".h." in op.name]
    one = 1024 * 1600
    assert saved_bytes(layers, Recompute.FULL) == 2 * one * 48 + 34 * one


def test_adam_keeps_sixteen_bytes_per_parameter():
    held = {
        line.owner: line.num_bytes
        for line in train_step("gpt2", forward("gpt2", 8), Recompute.NONE).ledger.lines
    }
    states = held[Owner.WEIGHTS] + held[Owner.GRADIENTS] + held[Owner.OPTIMIZER]
    assert states == 16 * 124_439_808
