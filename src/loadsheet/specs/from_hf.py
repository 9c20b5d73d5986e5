"""Any published configuration to a spec: transformers' `config.json`, diffusers' folders."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from loadsheet.errors import SpecError
from loadsheet.specs import hf_decoder, hf_encoder, hf_gpt
from loadsheet.specs.cascade import CascadeSpec
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.dit import DiTSpec, HunyuanDiTSpec, Lumina2Spec, PixArtSpec, SanaSpec, WanSpec
from loadsheet.specs.hf_config import HfConfig
from loadsheet.specs.mmdit import Flux2Spec, FluxSpec, QwenImageSpec, Sd3Spec
from loadsheet.specs.spec import ModelSpec
from loadsheet.specs.unet import PixelUNetSpec, UNetSpec
from loadsheet.specs.vae import DcVaeSpec, KlVaeSpec, PaellaVaeSpec, WanVaeSpec

TEXT: dict[str, Callable[[HfConfig], ModelSpec]] = {
    "llama": hf_decoder.llama,
    "mistral": hf_decoder.mistral,
    "mixtral": hf_decoder.mixtral,
    "qwen2": hf_decoder.qwen2,
    "qwen2_moe": hf_decoder.qwen2_moe,
    "qwen3": hf_decoder.qwen3,
    "qwen3_moe": hf_decoder.qwen3_moe,
    "gemma": hf_decoder.gemma,
    "gemma2": hf_decoder.gemma2,
    "gemma3_text": hf_decoder.gemma3,
    "phi3": hf_decoder.phi3,
    "gpt_oss": hf_decoder.gpt_oss,
    "deepseek_v2": hf_decoder.deepseek,
    "deepseek_v3": hf_decoder.deepseek,
    "llama4_text": hf_decoder.llama4,
    "olmo2": hf_decoder.olmo2,
    "smollm3": hf_decoder.llama,
    "phi": hf_gpt.phi,
    "gpt2": hf_gpt.gpt2,
    "gptj": hf_gpt.gptj,
    "gpt_neox": hf_gpt.gpt_neox,
    "falcon": hf_gpt.falcon,
    "opt": hf_gpt.opt,
    "chatglm": hf_gpt.chatglm,
    "bert": hf_encoder.bert,
    "clip_text_model": hf_encoder.clip_text,
    "t5": hf_encoder.t5,
    "umt5": hf_encoder.t5,
    "mt5": hf_encoder.t5,
}
IMAGE: dict[str, Callable[[HfConfig], ModelSpec]] = {
    "UNet2DConditionModel": UNetSpec.from_hf,
    "UNet2DModel": PixelUNetSpec.from_hf,
    "StableCascadeUNet": CascadeSpec.from_hf,
    "DiTTransformer2DModel": DiTSpec.from_hf,
    "Transformer2DModel": DiTSpec.from_hf,
    "PixArtTransformer2DModel": PixArtSpec.from_hf,
    "HunyuanDiT2DModel": HunyuanDiTSpec.from_hf,
    "SanaTransformer2DModel": SanaSpec.from_hf,
    "Lumina2Transformer2DModel": Lumina2Spec.from_hf,
    "WanTransformer3DModel": WanSpec.from_hf,
    "SD3Transformer2DModel": Sd3Spec.from_hf,
    "FluxTransformer2DModel": FluxSpec.from_hf,
    "Flux2Transformer2DModel": Flux2Spec.from_hf,
    "QwenImageTransformer2DModel": QwenImageSpec.from_hf,
    "AutoencoderKL": KlVaeSpec.from_hf,
    "AutoencoderKLFlux2": KlVaeSpec.from_hf,
    "VQModel": KlVaeSpec.from_hf,
    "AutoencoderDC": DcVaeSpec.from_hf,
    "AutoencoderKLWan": WanVaeSpec.from_hf,
    "AutoencoderKLQwenImage": WanVaeSpec.from_hf,
    "PaellaVQModel": PaellaVaeSpec.from_hf,
}
# a multimodal file wraps the language model's own table
WRAPPED = {"gemma3": "text_config", "llama4": "text_config", "mistral3": "text_config"}


def from_hf(fields: Mapping[str, object], where: str = "config.json") -> ModelSpec:
    """The spec of one component. Raises SpecError with what is missing or unknown."""
    config = HfConfig(fields, where)
    if config.has("_class_name"):
        return _read(IMAGE, config.text("_class_name"), config, "_class_name")
    kind = config.text("model_type")
    if kind in WRAPPED:
        return from_hf(config.child(WRAPPED[kind]).fields, where)
    if kind == "clip" and config.has("text_config"):
        return from_hf(config.child("text_config").fields, where)
    spec = _read(TEXT, kind, config, "model_type")
    if isinstance(spec, DecoderSpec) and is_headless(config):
        return replace(spec, has_head=False)
    return spec


def is_headless(config: HfConfig) -> bool:
    """A bare `…Model` class is a decoder used for its hidden states, as in Lumina and Sana."""
    names = [str(name) for name in config.items("architectures", ())]
    return bool(names) and all(name.endswith("Model") and "LMHead" not in name for name in names)


def from_folder(folder: Path) -> dict[str, ModelSpec]:
    """Every component of a model folder, by the folder's own names (`unet`, `vae`, …)."""
    index = folder / "model_index.json"
    if not index.exists():
        return {"model": from_hf(_load(folder / "config.json"), str(folder / "config.json"))}
    specs = {}
    for name in sorted(_load(index)):
        path = folder / name / "config.json"
        if path.exists() and not name.startswith(("safety_checker", "feature_extractor")):
            specs[name] = from_hf(_load(path), str(path))
    return specs


def _read(
    readers: dict[str, Callable[[HfConfig], ModelSpec]], name: str, config: HfConfig, key: str
) -> ModelSpec:
    if name not in readers:
        near = ", ".join(get_close_matches(name, readers, n=3, cutoff=0.4)) or ", ".join(readers)
        raise SpecError(f"{config.where}: {key} {name!r} is not modelled; nearest: {near}")
    return readers[name](config)


def _load(path: Path) -> dict[str, object]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise SpecError(f"{path}: is not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise SpecError(f"{path}: holds no table of settings")
    return fields
