"""An encoder of the BERT family from a folder in Hugging Face format."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from loadsheet.engine.image.component import load_module, load_tokenizer, read_json
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import AssetError, SpecError

SUPPORTED_MODEL_TYPES = ("bert", "roberta", "xlm-roberta")
_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedEncoder:
    """`model(input_ids=[B, T], attention_mask=[B, T]).last_hidden_state` is [B, T, hidden_size].

    `max_tokens` counts the special tokens too.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    hidden_size: int
    num_heads: int
    max_tokens: int


def load_encoder(
    folder: Path, placement: Placement, model: nn.Module | None = None
) -> LoadedEncoder:
    """`model` is used where these weights are in memory already.

    Raises SpecError for another family of models, AssetError for files that do not fit.
    """
    check_encoder(folder)
    # no head of any published task is used, and the pooler's weights need not be in the folder
    load = partial(AutoModel.from_pretrained, dtype=placement.dtype, add_pooling_layer=False)
    if model is None:
        model = load_module(load, folder, placement)
    tokenizer = load_tokenizer(AutoTokenizer.from_pretrained, folder)
    positions = _count(folder, "max_position_embeddings")
    if read_json(folder / "config.json").get("model_type") != "bert":
        positions -= _count(folder, "pad_token_id") + 1  # RoBERTa's first positions are padding's
    return LoadedEncoder(
        model=model,
        tokenizer=tokenizer,
        hidden_size=_count(folder, "hidden_size"),
        num_heads=_count(folder, "num_attention_heads"),
        max_tokens=min(positions, _MAX_TOKENS),
    )


def _count(folder: Path, name: str) -> int:
    value = read_json(folder / "config.json").get(name)
    if not isinstance(value, int):
        raise AssetError(f"{folder / 'config.json'}: {name} is {value!r}; expected a number")
    return value


def check_encoder(folder: Path) -> None:
    """Raises SpecError unless config.json names a supported family."""
    found = read_json(folder / "config.json").get("model_type")
    if found not in SUPPORTED_MODEL_TYPES:
        raise SpecError(
            f"{folder} is a {found!r} model; encoders that can be used are "
            f"{', '.join(SUPPORTED_MODEL_TYPES)}"
        )
