import pytest
import torch

from loadsheet.engine.text.chunk_attention import (
    FusedAttention,
    TiledAttention,
    choose_chunk_attention,
)

CPU = torch.device("cpu")


def reference(q_NKGE, keys_KTE, values_KTE, past: int) -> torch.Tensor:
    """Each query over exactly what it sees, in fp64."""
    q, keys, values = (x.double() for x in (q_NKGE, keys_KTE, values_KTE))
    out = torch.empty_like(q)
    for idx in range(len(q)):
        seen = past + idx + 1
        scores = torch.einsum("kge,kte->kgt", q[idx], keys[:, :seen]) / q.shape[-1] ** 0.5
        out[idx] = torch.einsum("kgt,kte->kge", scores.softmax(dim=-1), values[:, :seen])
    return out


@pytest.mark.parametrize("num_tokens", [1, 5, 64, 65, 150])
@pytest.mark.parametrize("past", [0, 1, 70])
@pytest.mark.parametrize(
    ("make", "dtype", "tolerance"),
    [
        ("fused", torch.float32, 1e-5),
        ("fused", torch.bfloat16, 4e-2),
        ("tiled", torch.float32, 1e-5),
        ("tiled", torch.bfloat16, 4e-2),
    ],
)
def test_each_token_sees_itself_and_what_is_before(
    make, dtype, tolerance, num_tokens, past
) -> None:
    generator = torch.Generator().manual_seed(num_tokens + past)
    wide = torch.randn(num_tokens, 12, 8, generator=generator).to(dtype)
    q_NKGE = wide[:, :8].view(num_tokens, 2, 4, 8)  # as the engine: a slice of queries and keys
    # Context is a slice of whole blocks: what lies behind it is garbage.
    context = torch.randn(2, 2, past + num_tokens + 3, 8, generator=generator).to(dtype)
    context[:, :, past + num_tokens :] = torch.nan
    keys_KTE, values_KTE = context[:, :, : past + num_tokens].unbind()
    attention = (
        FusedAttention(num_tokens, past, CPU)
        if make == "fused"
        else TiledAttention(num_tokens, past, CPU, dtype)
    )
    found = attention(q_NKGE, keys_KTE, values_KTE)
    assert found.shape == q_NKGE.shape
    assert (found - reference(q_NKGE, keys_KTE, values_KTE, past)).abs().max() < tolerance


@pytest.mark.parametrize(
    ("scores", "kind"), [(torch.bfloat16, TiledAttention), (torch.float32, FusedAttention)]
)
def test_tiles_are_for_bf16_scores_on_a_cpu(scores, kind) -> None:
    assert isinstance(choose_chunk_attention(4, 0, CPU, scores), kind)
