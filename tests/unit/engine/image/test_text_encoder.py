"""Conditioning: shapes, the sentence embedding by hand, and rows that do not know each other."""

import logging
from pathlib import Path

import pytest
import torch
from transformers import BertModel, BertTokenizerFast

from loadsheet.engine.image.conditioning import Conditioning, Prompts, concatenate
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.text_encoder import sentence_embedding


def prompts(*texts: str) -> Prompts:
    return Prompts(texts=texts, width=64, height=64)


def test_clip_conditions_on_every_padded_position(sd_pipeline: ImagePipeline) -> None:
    with torch.inference_mode():
        tensors = sd_pipeline.encode(prompts("fox", "")).tensors
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {
        "encoder_hidden_states": (2, 77, 16)
    }


def test_minilm_gives_tokens_mask_and_sentence(our_pipeline: ImagePipeline) -> None:
    with torch.inference_mode():
        tensors = our_pipeline.encode(prompts("fox", "")).tensors
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {
        "encoder_hidden_states": (2, 32, 32),
        "encoder_attention_mask": (2, 32),
        "class_labels": (2, 32),
    }
    # [CLS] f ##o ##x [SEP], and [CLS] [SEP]
    assert tensors["encoder_attention_mask"].sum(dim=1).tolist() == [5, 2]
    # length sqrt(D)
    lengths = tensors["class_labels"].norm(dim=1)
    assert lengths.tolist() == pytest.approx([32**0.5] * 2)


def test_minilm_equals_the_model_run_without_padding(
    our_folder: Path, our_pipeline: ImagePipeline
) -> None:
    tokenizer = BertTokenizerFast.from_pretrained(str(our_folder / "tokenizer"))
    model = BertModel.from_pretrained(
        str(our_folder / "text_encoder"), add_pooling_layer=False
    ).eval()
    with torch.inference_mode():
        hidden_TD = model(**tokenizer("red fox", return_tensors="pt")).last_hidden_state[0]
        found = our_pipeline.encode(prompts("a", "red fox")).tensors
    assert torch.allclose(found["encoder_hidden_states"][1, : len(hidden_TD)], hidden_TD, atol=1e-5)
    mean_D = hidden_TD.mean(dim=0)
    expected_D = mean_D / mean_D.norm() * 32**0.5
    assert torch.allclose(found["class_labels"][1], expected_D, atol=1e-4)


def test_sentence_embedding_by_hand() -> None:
    """Masked mean of (3, 0) and (0, 4) is (1.5, 2), length 2.5; times sqrt(2)."""
    hidden_BTD = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [9.0, 9.0]]])
    mask_BT = torch.tensor([[1, 1, 0]])
    expected = torch.tensor([[0.6, 0.8]]) * 2**0.5
    assert torch.allclose(sentence_embedding(hidden_BTD, mask_BT), expected)


def test_long_prompts_are_cut_with_a_warning(
    our_pipeline: ImagePipeline, caplog: pytest.LogCaptureFixture
) -> None:
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        our_pipeline.encode(prompts("short"))
        assert not caplog.records
        tensors = our_pipeline.encode(prompts("fox " * 20)).tensors
    assert tensors["encoder_hidden_states"].shape[1] == 32
    # 20 × 3 letters, [CLS], [SEP]
    assert "prompt cut tokens=62 max_tokens=32" in caplog.text


def test_rows_taken_apart_and_joined_are_the_same() -> None:
    whole = Conditioning(tensors={"a": torch.arange(6.0).view(3, 2), "b": torch.arange(3)})
    rows = whole.rows()
    joined = concatenate([rows[2], rows[0]])
    assert joined.tensors["a"].tolist() == [[4, 5], [0, 1]]
    assert joined.tensors["b"].tolist() == [2, 0]
    assert whole.num_bytes == 6 * 4 + 3 * 8
    assert rows[0].tensors["a"].untyped_storage().nbytes() == 8
