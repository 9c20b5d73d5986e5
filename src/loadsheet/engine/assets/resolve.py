"""One word from the user → a model folder: a catalogue name, a folder, or a hub id, in this order.

emoji                 the catalogue's, fetched and converted if need be
./emoji, /models/x    a folder
org/name              a hub id, unless a folder of that name is here
"""

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from loadsheet.engine.assets.ensure import ensure_assets
from loadsheet.engine.assets.entry import Entry, EntryKind, load_catalogue, nearest_names
from loadsheet.engine.assets.hub import fetch_hub_model, hub_kind
from loadsheet.engine.assets.model_folder import ModelKind, folder_kind
from loadsheet.engine.assets.progress import OnProgress
from loadsheet.errors import AssetError, SpecError

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class ModelSource(StrEnum):
    CATALOGUE = "catalogue"
    FOLDER = "folder"
    HUB = "hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """`name` is what requests call the model."""

    kind: ModelKind
    name: str
    path: Path
    source: ModelSource


def resolve_model(
    ref: str, cache_dir: Path | None = None, on_progress: OnProgress | None = None
) -> ResolvedModel:
    """Find the model, fetching it if need be; weights are not loaded.

    Raises SpecError for a name nobody knows, AssetError for files that cannot be had.
    """
    catalogue = load_catalogue()
    if ref in catalogue:
        return _from_catalogue(catalogue[ref], cache_dir, on_progress)
    folder = Path(ref).expanduser()
    if folder.is_dir():
        return ResolvedModel(
            kind=folder_kind(folder),
            name=folder.resolve().name,
            path=folder,
            source=ModelSource.FOLDER,
        )
    if _HUB_ID.fullmatch(ref):
        path = fetch_hub_model(ref)
        return ResolvedModel(kind=hub_kind(path, ref), name=ref, path=path, source=ModelSource.HUB)
    if os.sep in ref or ref.startswith((".", "~")):
        raise AssetError(f"there is no folder {folder}")
    raise SpecError(
        f"no model is called {ref!r}: {nearest_names(ref, _served(catalogue))} A folder or a hub "
        "id (org/name) also names a model"
    )


def _from_catalogue(
    entry: Entry, cache_dir: Path | None, on_progress: OnProgress | None
) -> ResolvedModel:
    if entry.kind is EntryKind.ENCODER:
        raise SpecError(f"{entry.name} is a part of other models and is not served by itself")
    path = ensure_assets([entry.name], cache_dir, on_progress)[entry.name]
    return ResolvedModel(
        kind=ModelKind(entry.kind.value), name=entry.name, path=path, source=ModelSource.CATALOGUE
    )


def _served(catalogue: dict[str, Entry]) -> list[str]:
    return [name for name, entry in catalogue.items() if entry.kind is not EntryKind.ENCODER]
