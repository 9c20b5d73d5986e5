"""A model folder as a catalogue entry: a decoder's or encoder's `config.json`, or a diffusers
pipeline with its parts in folders of their own.

What a pipeline's class leaves to its caller (steps, guidance, prompt length) is read from the
"loadsheet" table of `model_index.json` where there is one; otherwise the usual loop is assumed: 50
steps, guided, prompts padded to the encoder's learned length.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from loadsheet.errors import SpecError
from loadsheet.specs.catalog import Entry
from loadsheet.specs.encoder import BertSpec, ClipTextSpec
from loadsheet.specs.from_hf import from_folder
from loadsheet.specs.hf_config import HfConfig
from loadsheet.specs.pipeline import PipelineSpec, TextEncoder
from loadsheet.specs.spec import DenoiserSpec, ModelSpec, VaeSpec

_STEPS = 50
_DENOISERS = ("unet", "transformer")


def read_entry(folder: Path, name: str | None = None) -> Entry:
    """Named as the folder unless `name` says otherwise. Raises SpecError with what is missing."""
    specs = from_folder(folder)
    model = specs["model"] if list(specs) == ["model"] else _pipeline(folder, specs)
    return Entry(
        name=name or folder.resolve().name,
        aliases=(),
        source=str(folder),
        date="",
        checked="file",
        model=model,
        fields={},
    )


def _pipeline(folder: Path, specs: Mapping[str, ModelSpec]) -> PipelineSpec:
    denoiser = next((specs[key] for key in _DENOISERS if key in specs), None)
    vae = specs.get("vae")
    if not isinstance(denoiser, DenoiserSpec) or not isinstance(vae, VaeSpec | None):
        raise SpecError(f"{folder} has no unet or transformer that makes images; give its parts")
    loop = _loop(folder)
    encoders = tuple(
        TextEncoder(name=key, spec=spec, tokens=_tokens(folder, key, spec, loop))
        for key, spec in specs.items()
        if key.startswith("text_encoder")
    )
    size = loop.items("native_size", ()) or _native_size(folder, vae.factor if vae else 1)
    width, height = (int(str(side)) for side in size)
    return PipelineSpec(
        text_encoders=encoders,
        denoiser=denoiser,
        vae=vae,
        width=width,
        height=height,
        frames=1,
        steps=loop.positive("default_num_steps", _STEPS),
        is_guided=True,
        text_tokens=max((encoder.tokens for encoder in encoders), default=0),
    )


def _loop(folder: Path) -> HfConfig:
    path = folder / "model_index.json"
    table = json.loads(path.read_text(encoding="utf-8")).get("loadsheet", {})
    return HfConfig(table, str(path))


def _tokens(folder: Path, name: str, spec: ModelSpec, loop: HfConfig) -> int:
    if loop.has("text_max_length"):
        return loop.positive("text_max_length")
    if isinstance(spec, BertSpec | ClipTextSpec) and spec.num_positions:
        return spec.num_positions
    raise SpecError(
        f"{folder / name} pads prompts to no length of its own; add "
        '"loadsheet": {"text_max_length": …} to model_index.json'
    )


def _native_size(folder: Path, factor: int) -> tuple[int, int]:
    for key in _DENOISERS:
        path = folder / key / "config.json"
        if path.exists():
            side = json.loads(path.read_text(encoding="utf-8")).get("sample_size")
            if isinstance(side, int):
                return side * factor, side * factor
            if isinstance(side, list) and len(side) == 2:
                return int(side[1]) * factor, int(side[0]) * factor
    raise SpecError(f"{folder}: the denoiser's config.json has no sample_size")
