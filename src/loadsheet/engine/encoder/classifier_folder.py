"""An adapted classifier on disk: written by `loadsheet adapt text`, served by `--classify`.

    classifier.json        labels, pooling, the base it needs and the method that made it
    head.safetensors       weight [L, D] and bias [L] on the pooled states
    adapter_config.json    LoRA only: peft's layout, loads in peft too
    adapter_model.safetensors
    config.json            full weights only: the whole encoder in Hugging Face format, with its
    model.safetensors      tokenizer; then no base is needed

Shapes: L labels, D hidden.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from loadsheet.engine.image.component import read_json
from loadsheet.errors import AssetError

CLASSIFIER = "classifier.json"
HEAD = "head.safetensors"
LORA_CONFIG = "adapter_config.json"
LORA_WEIGHTS = "adapter_model.safetensors"
FULL_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierFacts:
    """`base` is a catalogue name or a folder, and `base_sha256` of its weights says that it is the
    one this was trained on; `base_hub` is its hub id or name. All three are None when the folder
    holds the whole encoder."""

    method: str
    labels: tuple[str, ...]
    max_tokens: int
    base: str | None
    base_sha256: str | None
    base_hub: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A linear layer on pooled states: weight [L, D], bias [L], float32."""

    weight_LD: Tensor
    bias_L: Tensor


def write_facts(folder: Path, facts: ClassifierFacts) -> None:
    fields = {
        "method": facts.method,
        "labels": list(facts.labels),
        "pooling": "mean",
        "max_tokens": facts.max_tokens,
        "base": facts.base,
        "base_sha256": facts.base_sha256,
        "base_hub": facts.base_hub,
    }
    (folder / CLASSIFIER).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def read_facts(folder: Path) -> ClassifierFacts:
    """Raises AssetError for a folder that is no classifier of ours."""
    path = folder / CLASSIFIER
    if not path.is_file():
        raise AssetError(
            f"{folder} holds no {CLASSIFIER}; make a classifier with `loadsheet adapt text --out`"
        )
    fields = read_json(path)
    labels, max_tokens = fields.get("labels"), fields.get("max_tokens")
    if not isinstance(labels, list) or len(labels) < 2 or not isinstance(max_tokens, int):
        raise AssetError(f"{path} names no labels or no max_tokens; write the folder again")
    if fields.get("pooling") != "mean":
        raise AssetError(f"{path} asks for pooling {fields.get('pooling')!r}; supported is 'mean'")
    return ClassifierFacts(
        method=str(fields.get("method")),
        labels=tuple(map(str, labels)),
        max_tokens=max_tokens,
        base=_text_or_none(fields.get("base")),
        base_sha256=_text_or_none(fields.get("base_sha256")),
        base_hub=_text_or_none(fields.get("base_hub")),
    )


def write_head(folder: Path, head: Head) -> None:
    tensors = {"weight": head.weight_LD.float().cpu(), "bias": head.bias_L.float().cpu()}
    (folder / HEAD).write_bytes(save(tensors, metadata={"format": "pt"}))


def read_head(folder: Path, num_labels: int, hidden_size: int) -> Head:
    """Raises AssetError when the head does not fit labels or encoder."""
    tensors = read_tensors(folder / HEAD)
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    expected = {"weight": (num_labels, hidden_size), "bias": (num_labels,)}
    if found != expected:
        raise AssetError(f"{folder / HEAD} holds {found}, expected {expected}")
    return Head(weight_LD=tensors["weight"].float(), bias_L=tensors["bias"].float())


def read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except FileNotFoundError:
        raise AssetError(f"{path} is missing") from None
    except (OSError, SafetensorError) as error:
        raise AssetError(f"{path} cannot be read: {error}") from error
    return tensors


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
