"""Emoji art of two concepts in the layout of the real archives, and a tiny text encoder."""

import io
import json
import tarfile

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from loadsheet.adapt import art, gallery

BODIES = {
    "pear": {"body": '<circle cx="8" cy="8" r="6" fill="#00ff00"/>'},
    "key": {"body": '<rect x="2" y="6" width="6" height="4" fill="#884400"/>'},
}
NAMES = {
    "🍐": {"name": "pear", "group": "Food & Drink"},
    "🔑": {"name": "key", "group": "Objects"},
    "🇹🇩": {"name": "flag Chad", "group": "Flags"},
}
ICONS = {
    "noto": {"prefix": "noto", "icons": BODIES},
    "fluent-emoji-flat": {"prefix": "flat", "icons": {"pear": BODIES["pear"]}},
    "noto-v1": {"prefix": "blob", "icons": {}},
}


@pytest.fixture
def art_folder(tmp_path, monkeypatch):
    """Archives like the real ones, with these few drawings, and no check of their hashes."""
    monkeypatch.setattr(art, "verify", lambda package, archive: None)
    contents = {
        art.EMOJI_NAMES: {"data-by-emoji.json": NAMES},
        art.EMOJI_KEYWORDS: {"dist/emoji-en-US.json": {"🍐": ["fruit"]}},
    } | {package: {"icons.json": ICONS[style]} for style, package in gallery.ART_BY_STYLE.items()}
    for package, files in contents.items():
        with tarfile.open(tmp_path / package.file_name, "w:gz") as tar:
            for name, data in files.items():
                body = json.dumps(data).encode()
                info = tarfile.TarInfo(f"package/{name}")
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    return tmp_path


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """BERT with one layer of MiniLM's width, drawn at random, and a vocabulary of a few words."""
    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "pear", "key", "emoji"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=384,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder
