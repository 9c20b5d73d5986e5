"""The OpenVINO graph computes what our decoder does: every family, dtype and share of a device."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.openvino import weight_file
from loadsheet.engine.openvino.text_model import OpenVinoTextModel, bytes_per_block
from loadsheet.engine.openvino.weight_file import open_weights, quantized
from loadsheet.engine.text.ragged import RaggedBatch
from loadsheet.engine.text.text_model import TorchTextModel
from loadsheet.engine.text.weights import load_decoder
from loadsheet.errors import CapacityError

FAMILIES = [
    "llama-untied",
    "llama-tied",
    "llama-head-dim",
    "llama-3-rope",
    "llama-linear-rope",
    "llama-bias",
    "mistral",
    "qwen2",
]
ONE = CpuShare(num_threads=1)


def openvino_model(folder: Path, dtype: str = "fp32", precision: str = "fp32", **shares):
    weights = open_weights(folder, dtype, folder / "cache")
    chosen = shares.get("shares", {1.0: ONE})
    return OpenVinoTextModel(weights, precision=precision, num_blocks=16, shares=chosen)


def batch(parts: Sequence[tuple[Sequence[int], int, Sequence[int]]], rows=None) -> RaggedBatch:
    """Parts are (token ids, tokens in the cache before, blocks)."""
    begins = np.cumsum([0, *(len(ids) for ids, _, _ in parts)])
    width = max(len(table) for _, _, table in parts)
    tables = [[*table, *[table[0]] * (width - len(table))] for _, _, table in parts]
    return RaggedBatch(
        token_ids_N=np.concatenate([ids for ids, _, _ in parts]),
        positions_N=np.concatenate([past + np.arange(len(ids)) for ids, past, _ in parts]),
        begins=tuple(begins.tolist()),
        past_S=np.array([past for _, past, _ in parts]),
        tables_SB=np.array(tables),
        num_decodes=sum(len(ids) == 1 for ids, _, _ in parts),
        sampled=(),
        sampled_rows=tuple(begins[1:] - 1) if rows is None else rows,
    )


# decodes first, as in every ragged batch
PROMPTS = [
    ([255], 0, [7]),
    ([5, 9, 250, 33, 7], 0, [3, 9]),
    (list(range(40, 110)), 0, [1, 12, 5]),
]
NEXT = [([23], 1, [7]), ([17], 5, [3, 9]), ([4, 8, 15, 16], 70, [1, 12, 5])]


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_equal_those_of_our_decoder(family_folder, fp32, family) -> None:
    """Chunks and decodes of unlike lengths in one step, and steps that go on from the cache."""
    folder = family_folder(family)
    ours = TorchTextModel(load_decoder(folder, fp32), num_blocks=16, block_tokens=32)
    found = openvino_model(folder)
    for parts in (PROMPTS, NEXT):
        expected = ours.logits(batch(parts))
        assert expected.abs().max() > 1
        torch.testing.assert_close(found.logits(batch(parts)), expected, atol=2e-4, rtol=0)


def test_only_chosen_rows_get_logits(folder) -> None:
    model = openvino_model(folder)
    every = model.logits(batch(PROMPTS, rows=tuple(range(76)))).clone()
    some = model.logits(batch(PROMPTS, rows=(2, 75)))
    torch.testing.assert_close(some, every[[2, 75]], atol=1e-5, rtol=0)
    assert model.logits(batch(PROMPTS, rows=())) is None


def test_a_step_without_rows_fills_the_cache(folder) -> None:
    whole, cut = openvino_model(folder), openvino_model(folder)
    ids, _, table = PROMPTS[2]
    expected = whole.logits(batch([(ids, 0, table)]))
    assert cut.logits(batch([(ids[:33], 0, table)], rows=())) is None
    found = cut.logits(batch([(ids[33:], 33, table)]))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_every_share_goes_on_from_the_same_cache(folder) -> None:
    alone = openvino_model(folder)
    model = openvino_model(folder, shares={1.0: ONE, 0.5: ONE})
    model.logits(batch(PROMPTS), 1.0)
    expected = [alone.logits(batch(parts)) for parts in (PROMPTS, NEXT)][1]
    torch.testing.assert_close(model.logits(batch(NEXT), 0.5), expected, atol=1e-5, rtol=0)
    assert model.weight_bytes > alone.weight_bytes
    assert model.kv_bytes == alone.kv_bytes


def test_bf16_rounds_and_nothing_else(folder, fp32) -> None:
    exact = TorchTextModel(load_decoder(folder, fp32), num_blocks=16, block_tokens=32)
    model = openvino_model(folder, "bf16", "bf16")
    expected = exact.logits(batch(PROMPTS))
    error = (model.logits(batch(PROMPTS)) - expected).abs().max()
    assert 0 < error < 0.05 * expected.abs().max()
    assert model.kv_bytes * 2 == openvino_model(folder).kv_bytes


def test_bf16_keeps_positions_apart(make_folder, fp32) -> None:
    """bf16 holds integers up to 256 only."""
    folder = make_folder(max_position_embeddings=1024)
    parts = [([(7 * idx) % 256 for idx in range(500)], 0, list(range(16)))]
    exact = TorchTextModel(load_decoder(folder, fp32), num_blocks=16, block_tokens=32)
    rows = tuple(range(400, 500))
    expected = exact.logits(batch(parts, rows))
    error = openvino_model(folder, "bf16", "bf16").logits(batch(parts, rows)) - expected
    assert error.abs().mean() < 0.03 * expected.abs().mean()


def test_int8_is_of_the_matrices_alone(folder, fp32) -> None:
    file = folder / "model.safetensors"  # numbers that bf16 holds, so that nothing else rounds
    save_file({name: one.bfloat16().float() for name, one in load_file(file).items()}, file)
    decoder = load_decoder(folder, fp32, build=lambda weight, bias: _Rounded(weight, bias))
    rounded = TorchTextModel(decoder, num_blocks=16, block_tokens=32)
    model = openvino_model(folder, "int8")
    expected = rounded.logits(batch(PROMPTS))
    error = (model.logits(batch(PROMPTS)) - expected).abs().max()
    assert error < 0.05 * expected.abs().max()  # the plugin rounds what int8 is multiplied with


class _Rounded:
    """A product with weights that went through bf16 and int8."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        levels, scales = quantized(weight.bfloat16())
        self.weight, self.bias = levels * scales, bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, self.weight, self.bias)


def test_int8_levels_are_symmetric_per_row() -> None:
    levels, scales = quantized(torch.tensor([[0.0, 0.0], [1.27, -0.635], [-2.54, 2.54]]))
    assert levels.tolist() == [[0, 0], [127, -64], [-127, 127]]
    torch.testing.assert_close(scales, torch.tensor([[1.0], [0.01], [0.02]]))


def test_blocks_fill_the_budget(folder) -> None:
    config = open_weights(folder, "fp32", folder / "cache").config
    # 2 (keys, values) x 2 layers x 2 heads x 8 numbers x 32 tokens
    assert bytes_per_block(config, "fp32") == 4 * 2048
    assert bytes_per_block(config, "bf16") == 2 * 2048
    arguments = {"dtype": "fp32", "precision": "fp32", "cache_dir": folder / "cache"}
    with pytest.raises(CapacityError, match="one block of 32 tokens takes 8192"):
        OpenVinoTextModel.from_folder(folder, kv_bytes=8191, shares={1.0: ONE}, **arguments)
    model = OpenVinoTextModel.from_folder(folder, kv_bytes=20000, shares={1.0: ONE}, **arguments)
    assert model.num_blocks == 2


def test_weights_are_converted_once(folder, make_folder, monkeypatch) -> None:
    cache = folder / "cache"
    first = open_weights(folder, "bf16", cache)
    [path] = cache.iterdir()
    monkeypatch.setattr(weight_file, "load_weights_of", None)  # nobody may convert again
    again = open_weights(folder, "bf16", cache)
    assert all((again.arrays[name] == array).all() for name, array in first.arrays.items())
    monkeypatch.undo()
    open_weights(make_folder(seed=1), "bf16", cache)
    open_weights(folder, "int8", cache)
    assert len(list(cache.iterdir())) == 3
    assert path in cache.iterdir()


def test_the_ledger_counts_packed_matrices_per_share(folder) -> None:
    weights = open_weights(folder, "fp32", folder / "cache")
    layer = (32 + 16 + 16) * 32 + 32 * 32 + 3 * 48 * 32
    assert weights.packed_bytes == 4 * (258 * 32 + 2 * layer)
    assert weights.shared_bytes == 4 * (258 * 32 + 32 + 2 * 2 * 32)
    model = openvino_model(folder, shares={1.0: ONE, 0.5: ONE})
    assert model.weight_bytes == 2 * weights.packed_bytes + weights.shared_bytes
