import json

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import RobertaConfig, RobertaModel

from loadsheet.engine.encoder.boarding import EncoderBoarding, classifier_folder
from loadsheet.engine.encoder.classifier_folder import read_facts, read_head
from loadsheet.engine.encoder.encoder_folder import load_encoder
from loadsheet.engine.encoder.peft_adapter import read_peft_adapter
from loadsheet.errors import AssetError, ConfigError, SpecError


def edit(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_facts_survive_the_disk(make_probe):
    folder = make_probe("mood", labels=("glad", "sad", "calm"))
    facts = read_facts(folder)
    assert (facts.labels, facts.max_tokens) == (("glad", "sad", "calm"), 16)
    assert read_head(folder, 3, 24).weight_LD.shape == (3, 24)


def test_a_folder_without_facts_says_what_makes_one(tmp_path):
    with pytest.raises(AssetError, match="adapt text --out"):
        read_facts(tmp_path)


@pytest.mark.parametrize("fields", [{"labels": ["one"]}, {"max_tokens": None}, {"pooling": "cls"}])
def test_facts_that_cannot_be_served(make_probe, fields):
    folder = make_probe("mood")
    edit(folder / "classifier.json", **fields)
    with pytest.raises(AssetError):
        read_facts(folder)


def test_a_head_of_another_size_is_named(make_probe):
    with pytest.raises(AssetError, match="expected"):
        read_head(make_probe("mood"), 2, 25)


def test_another_base_than_the_one_trained_on(make_probe, placement):
    folder = make_probe("mood")
    edit(folder / "classifier.json", base_sha256="0" * 64)
    boarding = EncoderBoarding(placement=placement, max_waiting=8, on_phase=lambda phase: None)
    with pytest.raises(AssetError, match="was trained on"):
        boarding.classify(folder)


def test_names_nobody_knows(tmp_path, placement):
    boarding = EncoderBoarding(placement=placement, max_waiting=8, on_phase=lambda phase: None)
    with pytest.raises(ConfigError, match="minilm-l6-v2"):
        boarding.embed("nothing")
    with pytest.raises(AssetError, match="no folder"):
        classifier_folder(tmp_path / "nothing")


def test_another_family_is_refused(encoder_folder, placement):
    edit(encoder_folder / "config.json", model_type="t5")
    with pytest.raises(SpecError, match="'t5'"):
        load_encoder(encoder_folder, placement)


@pytest.mark.parametrize(
    "fields", [{"use_dora": True}, {"use_rslora": True}, {"bias": "all"}, {"peft_type": "IA3"}]
)
def test_variants_of_lora_are_refused(make_lora, fields):
    folder, _ = make_lora("tuned")
    edit(folder / "adapter_config.json", **fields)
    with pytest.raises(SpecError):
        read_peft_adapter(folder)


def test_scale_is_alpha_over_rank(make_lora):
    folder, _ = make_lora("tuned")
    layers = read_peft_adapter(folder)
    assert {layer.scale for layer in layers.values()} == {4.0}
    assert layers["encoder.layer.0.attention.self.query"].a.shape == torch.Size([3, 24])


def test_roberta_keeps_its_first_positions_for_padding(tmp_path, placement):
    """Positions of RoBERTa start after the padding's: 34 of them read 32 tokens."""
    folder = tmp_path / "roberta"
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(["a good film"], vocab_size=270, special_tokens=special)
    config = RobertaConfig(
        vocab_size=270,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=34,
    )
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    bpe.save_model(str(folder))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizerFast"}')
    encoder = load_encoder(folder, placement)
    assert encoder.max_tokens == 32
    ids = torch.full((1, 32), 7)
    states = encoder.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert states.shape == (1, 32, 16)
    assert len(encoder.tokenizer("a good film").input_ids) >= 3
