"""Emoji art of two concepts, in the layout of the real archives."""

import io
import json
import tarfile

import pytest

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
