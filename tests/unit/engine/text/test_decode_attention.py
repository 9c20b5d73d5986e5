import pytest
import torch

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decode_attention import (
    BatchedAttention,
    FusedAttention,
    choose_decode_attention,
    score_dtype,
)
from loadsheet.engine.text.kv_cache import KvCache


def reference(q, keys, values, is_visible_ST) -> torch.Tensor:
    """One sequence, head and query at a time, over its visible positions only, in fp64."""
    out = torch.empty_like(q, dtype=torch.float64)
    for seq, head, query in torch.cartesian_prod(*(torch.arange(n) for n in q.shape[:3])):
        seen = is_visible_ST[seq]
        scores = keys[seq, head, seen].double() @ q[seq, head, query].double()
        weights = (scores / q.shape[-1] ** 0.5).softmax(dim=0)
        out[seq, head, query] = weights @ values[seq, head, seen].double()
    return out


@pytest.mark.parametrize("make", ["fused", "batched"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_both_equal_the_written_out_sum(make, dtype, tolerance) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(3, 2, 4, 8, generator=generator).to(dtype)
    keys = torch.randn(3, 2, 12, 8, generator=generator).to(dtype)
    values = torch.randn(3, 2, 12, 8, generator=generator).to(dtype)
    is_visible_ST = torch.arange(12) < torch.tensor([1, 7, 12])[:, None]
    bias_ST = torch.zeros(3, 12).masked_fill_(~is_visible_ST, -torch.inf)
    attention = (
        FusedAttention(bias_ST, dtype)
        if make == "fused"
        else BatchedAttention(bias_ST.to(dtype), 2)
    )
    # As the engine calls it: queries are a slice of a wider tensor, not contiguous.
    wide = torch.cat((q, q), dim=2)[:, :, :4]
    found = attention(wide, keys, values)
    assert found.shape == q.shape
    assert (found - reference(q, keys, values, is_visible_ST)).abs().max() < tolerance


def test_large_key_biases_need_fp32_scores() -> None:
    """Scores near 1000 that differ by less than bf16 resolves there (4)."""
    q = torch.full((2, 1, 1, 8), 20.0, dtype=torch.bfloat16)
    keys = torch.full((2, 1, 2, 8), 18.0, dtype=torch.bfloat16)
    keys[:, :, 1, 0] += 0.125
    values = torch.tensor([0.0, 1.0], dtype=torch.bfloat16).view(1, 1, 2, 1).expand(2, 1, 2, 8)
    expected = torch.tensor(20 * 0.125 / 8**0.5).sigmoid()
    bias_ST = torch.zeros(2, 2)
    exact = BatchedAttention(bias_ST, 1)(q, keys, values.contiguous())
    coarse = BatchedAttention(bias_ST.bfloat16(), 1)(q, keys, values.contiguous())
    assert (exact.float() - expected).abs().max() < 1e-2
    assert (coarse.float() - expected).abs().max() > 0.1


def test_score_precision_follows_the_bias(make_folder, tmp_path) -> None:
    sizes = {
        "vocab_size": 8,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    qwen2 = DecoderConfig.from_hf({"model_type": "qwen2"} | sizes)
    llama = DecoderConfig.from_hf({"model_type": "llama"} | sizes)
    assert score_dtype(qwen2, torch.bfloat16) == torch.float32
    assert score_dtype(llama, torch.bfloat16) == torch.bfloat16
    cpu = torch.device("cpu")
    cache = KvCache(llama, num_blocks=1, block_tokens=4, device=cpu, dtype=torch.float32)
    for num_seqs, kind in ((1, FusedAttention), (2, BatchedAttention)):
        is_visible_ST = torch.ones(num_seqs, 4, dtype=torch.bool)
        assert isinstance(choose_decode_attention(is_visible_ST, cache, torch.float32), kind)
