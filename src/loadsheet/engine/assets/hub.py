"""A model by hub id, where a hub answers: settings first, then only the weights that are used.

Repositories keep the same weights in many formats (pickles, half-precision variants, single-file
checkpoints), so fetching all of one can take ten times the bytes. Files land in the cache of
`huggingface_hub`, shared with other tools, and stay usable offline.
"""

from collections.abc import Sequence
from pathlib import Path

from loadsheet.engine.assets.model_folder import ModelKind, folder_kind, read_object
from loadsheet.errors import AssetError

_SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model")
_VARIANTS = ("*.fp16.*", "*.bf16.*", "*.non_ema.*")
_UNUSED_COMPONENTS = frozenset({"safety_checker", "feature_extractor", "image_encoder"})


def fetch_hub_model(repo_id: str) -> Path:
    """The snapshot folder with settings and safetensors weights."""
    folder = _snapshot(repo_id, _SETTINGS)
    _snapshot(repo_id, weight_patterns(folder))
    return folder


def weight_patterns(folder: Path) -> list[str]:
    """Which weight files a model needs, from its settings."""
    index = folder / "model_index.json"
    if not index.exists():
        return ["model.safetensors", "model-*.safetensors"]
    return [
        f"{name}/*.safetensors"
        for name, classes in read_object(index).items()
        if isinstance(classes, list) and classes[0] is not None and name not in _UNUSED_COMPONENTS
    ]


def hub_kind(folder: Path, repo_id: str) -> ModelKind:
    if not any(folder.rglob("*.safetensors")):
        raise AssetError(
            f"{repo_id} publishes no safetensors weights; other formats are not read, because "
            "they can run code"
        )
    return folder_kind(folder)


def _snapshot(repo_id: str, patterns: Sequence[str]) -> Path:
    try:
        # optional back end: folders and catalogue names work without it
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise AssetError(
            f"{repo_id} is a hub id and needs huggingface_hub; install 'loadsheet[torch]', or "
            "give a local model folder"
        ) from error
    try:
        return Path(
            snapshot_download(
                repo_id, allow_patterns=list(patterns), ignore_patterns=list(_VARIANTS)
            )
        )
    except Exception as error:  # its own, its HTTP client's or the system's: one meaning here
        raise AssetError(
            f"cannot fetch {repo_id} from a model hub ({type(error).__name__}: {error}). On a "
            f"machine that reaches one run `hf download {repo_id} --local-dir DIR`, bring DIR "
            "here and give its path as the model"
        ) from error
