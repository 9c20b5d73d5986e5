import numpy as np
import pytest
import torch

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.kv_cache import KvCache, kv_bytes_per_block

SMOLLM2 = DecoderConfig.from_hf(
    {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    }
)
TINY = DecoderConfig.from_hf(
    {
        "model_type": "llama",
        "vocab_size": 8,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
)


@pytest.fixture
def cache() -> KvCache:
    cpu = torch.device("cpu")
    return KvCache(TINY, num_blocks=6, block_tokens=4, device=cpu, dtype=torch.float32)


def test_bytes_of_smollm2() -> None:
    # 30 layers × (keys, values) × 3 heads × 64 numbers × 2 bytes = 23 040 bytes per token
    assert kv_bytes_per_block(SMOLLM2, torch.bfloat16, 16) == 16 * 23_040


def test_num_bytes(cache) -> None:
    assert cache.num_bytes == 6 * kv_bytes_per_block(TINY, torch.float32, 4)


def write_and_gather(cache, tables, layer_idx=1):
    """Positions 0..6 of two sequences, written token by token; the context gathered back."""
    keys = torch.randn(14, 2, 2)
    values = torch.randn(14, 2, 2)
    positions = np.tile(np.arange(7), 2)
    block_ids = np.array([tables[seq][pos // 4] for seq in (0, 1) for pos in range(7)])
    key_rows, value_rows = cache.position_rows(block_ids, positions % 4)
    cache.write(layer_idx, key_rows, keys)
    cache.write(layer_idx, value_rows, values)
    runs = cache.context_runs(np.array(tables))
    out = cache.scratch(len(runs))
    cache.gather(layer_idx, runs, out)
    # keys and values, sequence, head, position, number
    context = out.view(2, 2, 2, 8, 2)[..., :7, :]
    return keys.view(2, 7, 2, 2), values.view(2, 7, 2, 2), context


def test_scattered_blocks_come_back_in_context_order(cache) -> None:
    keys, values, context = write_and_gather(cache, ((5, 0), (2, 3)))
    assert torch.equal(context[0], keys.transpose(1, 2))
    assert torch.equal(context[1], values.transpose(1, 2))


def test_layers_are_apart(cache) -> None:
    write_and_gather(cache, ((5, 0), (2, 3)), layer_idx=1)
    runs = cache.context_runs(np.array(((5, 0), (2, 3))))
    out = cache.scratch(len(runs))
    cache.gather(0, runs, out)
    assert not out.any()


def test_clear_forgets_in_every_layer(cache) -> None:
    for layer_idx in (0, 1):
        write_and_gather(cache, ((5, 0), (2, 3)), layer_idx)
    cache.clear([5, 3])
    runs = cache.context_runs(np.array(((5, 0), (2, 3))))
    for layer_idx in (0, 1):
        out = cache.scratch(len(runs))
        cache.gather(layer_idx, runs, out)
        context = out.view(2, 2, 2, 2, 4, 2)  # keys | values, sequence, head, block, position
        assert not context[:, 0, :, 0].any()
        assert not context[:, 1, :, 1].any()
        assert context[:, 0, :, 1, :3].all()
        assert context[:, 1, :, 0].all()
