"""Model files on this machine: what ships, how it is fetched, checked, converted and found.

    entry       the catalogue: one TOML file per model with licence, source and hashes
    ensure      fetch and convert catalogue models into a cache, once
    resolve     a name, folder or hub id → a folder with a kind

Nothing here imports torch, transformers or diffusers, so looking up a ready model costs
milliseconds.
"""

from loadsheet.engine.assets.ensure import asset_path, ensure_assets
from loadsheet.engine.assets.entry import (
    DEFAULT_ASSETS,
    DEFAULT_CLASSIFIER,
    DEFAULT_ENCODER,
    DEFAULT_IMAGE_MODEL,
    DEFAULT_TEXT_MODEL,
)
from loadsheet.engine.assets.model_folder import ModelKind
from loadsheet.engine.assets.packaged_adapters import packaged_adapters, split_adapter
from loadsheet.engine.assets.progress import AssetProgress, AssetStage, OnProgress
from loadsheet.engine.assets.resolve import ModelSource, ResolvedModel, resolve_model

__all__ = [
    "DEFAULT_ASSETS",
    "DEFAULT_CLASSIFIER",
    "DEFAULT_ENCODER",
    "DEFAULT_IMAGE_MODEL",
    "DEFAULT_TEXT_MODEL",
    "AssetProgress",
    "AssetStage",
    "ModelKind",
    "ModelSource",
    "OnProgress",
    "ResolvedModel",
    "asset_path",
    "ensure_assets",
    "packaged_adapters",
    "resolve_model",
    "split_adapter",
]
