"""A tiny encoder and classifiers over it: a head alone, and a head with a peft adapter."""

import warnings

import pytest
import torch
from peft import LoraConfig, get_peft_model

from loadsheet.engine.assets.checksum import sha256_of
from loadsheet.engine.encoder.classifier_folder import (
    ClassifierFacts,
    Head,
    write_facts,
    write_head,
)
from loadsheet.engine.encoder.encoder_folder import load_encoder
from loadsheet.engine.torch_device import Placement

CPU_FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture
def placement():
    return CPU_FP32


@pytest.fixture
def encoder_folder(make_encoder, tmp_path):
    return make_encoder(tmp_path / "tiny")


@pytest.fixture
def make_probe(encoder_folder, tmp_path):
    """`make_probe(name, seed)`: a folder with a random head over the tiny encoder."""

    def make(name, seed=0, labels=("no", "yes")):
        folder = tmp_path / name
        folder.mkdir()
        facts = ClassifierFacts(
            method="probe",
            labels=labels,
            max_tokens=16,
            base=str(encoder_folder),
            base_sha256=sha256_of(encoder_folder / "model.safetensors"),
            base_hub="tiny",
        )
        write_facts(folder, facts)
        generator = torch.Generator().manual_seed(seed)
        weight_LD = torch.randn(len(labels), 24, generator=generator)
        bias_L = torch.randn(len(labels), generator=generator)
        write_head(folder, Head(weight_LD=weight_LD, bias_L=bias_L))
        return folder

    return make


@pytest.fixture
def make_lora(make_probe, encoder_folder):
    """As `make_probe`, with an adapter that peft wrote; returns peft's model too."""

    def make(name, seed=0):
        folder = make_probe(name, seed)
        base = load_encoder(encoder_folder, CPU_FP32)
        torch.manual_seed(seed)
        config = LoraConfig(r=3, lora_alpha=12, target_modules="all-linear")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            model = get_peft_model(base.model, config).eval()
        for key, tensor in model.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(tensor, std=0.3)
        model.peft_config["default"].base_model_name_or_path = "tiny"
        model.save_pretrained(str(folder), save_embedding_layers=False)
        return folder, model

    return make
