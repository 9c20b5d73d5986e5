"""One subfolder of a pipeline folder, loaded: config, weights, tokenizer.

Only safetensors weights are read (pickles run code) and only local files; whatever is missing or
damaged becomes an AssetError that names the file.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from loadsheet.engine.torch_device import Placement
from loadsheet.errors import AssetError, SpecError

M = TypeVar("M", bound=nn.Module)
Loader = Callable[..., tuple[M, Mapping[str, object]]]

# what the loaders of diffusers and transformers raise for files that do not fit
_LOAD_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)


def read_json(path: Path) -> Mapping[str, object]:
    """The object in a JSON file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AssetError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise AssetError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise AssetError(f"{path} holds {type(content).__name__}; a JSON object belongs there")
    return content


def check_classes(model_index: Mapping[str, object], expected: Mapping[str, str]) -> None:
    """model_index.json maps component names to [library, class]; they must be the layout's."""
    for component, name in expected.items():
        entry = model_index.get(component)
        found = entry[1] if isinstance(entry, list) and len(entry) == 2 else entry
        if found != name:
            pipeline = model_index.get("_class_name")
            raise SpecError(f"{pipeline} with {component} {found}; supported is {name}")


def load_module(load: Loader[M], folder: Path, placement: Placement) -> M:
    """One network at its placement, ready to run; every weight must be in the folder.

    `load` is a `from_pretrained` of diffusers or transformers that casts to that dtype.
    """
    read_json(folder / "config.json")
    if not any(folder.glob("*.safetensors")):
        raise AssetError(f"{folder} has no .safetensors file; pickled weights are not read")
    try:
        with quiet_transformers():
            module, info = load(
                str(folder), use_safetensors=True, local_files_only=True, output_loading_info=True
            )
    except _LOAD_ERRORS as error:
        raise AssetError(f"{folder} cannot be loaded: {_first_line(error)}") from error
    missing = info["missing_keys"]
    if isinstance(missing, list | set) and missing:
        raise AssetError(f"{folder} lacks weights, among them {min(missing)}")
    module = module.to(placement.device).eval().requires_grad_(False)
    # convolutions run fastest over channels-last memory
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs
    return module


def load_tokenizer(
    load: Callable[..., PreTrainedTokenizerBase], folder: Path
) -> PreTrainedTokenizerBase:
    """`load` is the `from_pretrained` of a tokenizer class."""
    if not folder.is_dir():
        raise AssetError(f"{folder} is missing")
    try:
        return load(str(folder), local_files_only=True)
    except _LOAD_ERRORS as error:
        raise AssetError(f"{folder} cannot be loaded: {_first_line(error)}") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bar and no report of unused weights; missing ones are our errors anyway."""
    verbosity: int = transformers_logging.get_verbosity()
    has_progress_bar: bool = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if has_progress_bar:
            transformers_logging.enable_progress_bar()


def num_weight_bytes(module: nn.Module) -> int:
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
