"""The adapters that come with loadsheet: `models/emoji-high-contrast` is `emoji:high-contrast`."""

from pathlib import Path

from loadsheet.engine.assets.image_folder import packaged_models
from loadsheet.errors import SpecError
from loadsheet.runtime.adapter_host import SEPARATOR, AdapterRef

_WEIGHTS = "pytorch_lora_weights.safetensors"


def packaged_adapters(model: str, root: Path | None = None) -> dict[str, Path]:
    """Folders of the packaged adapters over one packaged model, by adapter name."""
    root = packaged_models() if root is None else root
    files = sorted(root.glob(f"{model}-*/{_WEIGHTS}"))
    return {file.parent.name.removeprefix(f"{model}-"): file.parent for file in files}


def split_adapter(ref: str) -> tuple[str, AdapterRef | None]:
    """`emoji:high-contrast` → the model and its packaged adapter; other words stay as they are."""
    model, separator, name = ref.rpartition(SEPARATOR)
    if not separator or Path(ref).expanduser().is_dir():
        return ref, None
    known = packaged_adapters(model)
    if not known:  # no packaged model: a path of Windows, say
        return ref, None
    if name not in known:
        names = ", ".join(f"{model}{SEPARATOR}{one}" for one in known)
        raise SpecError(f"{model} has no adapter {name!r}; it has {names}")
    return model, AdapterRef(name=name, folder=known[name])
