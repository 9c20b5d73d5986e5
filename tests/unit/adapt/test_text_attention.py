"""Every way to attend gives what its formula says, backward included."""

import pytest
import torch
from torch.testing import assert_close

from loadsheet.adapt.text_attention import (
    LinearCache,
    WholeSequences,
    feature_map,
    linear_attention,
    naive_attention,
    sdpa_attention,
    tiled_attention,
)


def heads(num_tokens, seed=0, num_heads=3, size=8):
    generator = torch.Generator().manual_seed(seed)
    shape = (3, 2, num_heads, num_tokens, size)
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def with_gradients(mix, qkv):
    inputs = [x.clone().requires_grad_() for x in qkv]
    out = mix(*inputs)
    weights = torch.arange(out.numel(), dtype=out.dtype).reshape(out.shape).sin()
    return out, torch.autograd.grad((out * weights).sum(), inputs)


@pytest.mark.parametrize("num_tokens", [1, 5, 128, 300])
@pytest.mark.parametrize("mix", [sdpa_attention, tiled_attention])
def test_exact_kernels_agree(mix, num_tokens):
    qkv = heads(num_tokens)
    expected, expected_gradients = with_gradients(naive_attention, qkv)
    found, gradients = with_gradients(mix, qkv)
    assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert_close(gradients, expected_gradients, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("num_tokens", [1, 64, 65, 200])
def test_linear_attention_is_its_sum(num_tokens):
    q, k, v = heads(num_tokens)
    found = linear_attention(q, k, v)
    weights = (feature_map(q) @ feature_map(k).transpose(-1, -2)).tril()
    assert_close(found, weights @ v / weights.sum(-1, keepdim=True), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mix", [tiled_attention, linear_attention])
def test_nothing_looks_ahead(mix):
    q, k, v = heads(150)
    before = mix(q, k, v)
    k[:, :, 140:], v[:, :, 140:] = 7.0, -7.0
    assert torch.equal(mix(q, k, v)[:, :, :140], before[:, :, :140])


@pytest.mark.parametrize("steps", [[1] * 20, [13, 1, 6]])
def test_a_growing_sequence_equals_a_whole_one(steps):
    num_q, num_kv, size = 4, 2, 8
    generator = torch.Generator().manual_seed(3)
    q = torch.randn(20, num_q, size, generator=generator)
    k, v = torch.randn(2, 20, num_kv, size, generator=generator)
    whole = WholeSequences(20, linear_attention).attend(0, q, k, v)
    cache, start, rows = LinearCache(num_layers=1), 0, []
    for step in steps:
        part = slice(start, start + step)
        rows.append(cache.attend(0, q[part], k[part], v[part]))
        start += step
    assert_close(torch.cat(rows), whole, atol=1e-5, rtol=1e-4)


def test_sequences_of_a_batch_do_not_mix():
    q, k, v = heads(12, num_heads=2).transpose(2, 3).flatten(1, 2)  # [3, N, H, E]
    both = WholeSequences(12, tiled_attention).attend(0, q, k, v)
    alone = WholeSequences(12, tiled_attention).attend(0, q[12:], k[12:], v[12:])
    assert_close(both[12:], alone)
