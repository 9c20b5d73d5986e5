"""From a Hugging Face folder of safetensors to `DecoderWeights`, checked tensor by tensor."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import Decoder, DecoderWeights, Layer, Linear
from loadsheet.engine.text.linear import PackedLinear, build_linear
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import AssetError, SpecError

BuildLinear = Callable[[Tensor, Tensor | None], Linear]

_SINGLE_FILE = "model.safetensors"
_INDEX_FILE = "model.safetensors.index.json"
# Buffers that old exporters stored beside the weights; they follow from the config.
_DERIVED_SUFFIX = "rotary_emb.inv_freq"


def read_json(path: Path) -> dict[str, object]:
    """A JSON object from a model folder, with errors that name the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AssetError(f"{path} is missing; give a Hugging Face model folder") from None
    except (OSError, ValueError) as error:
        raise AssetError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise AssetError(f"{path} holds no JSON object")
    return content


class _Checkpoint:
    """Tensors by name over one or many files; each is taken once, what is left is an error."""

    def __init__(self, folder: Path, placement: Placement) -> None:
        self._placement = placement
        self._files = _tensor_files(folder)
        self.num_bytes = 0

    def take(self, name: str, *shape: int) -> Tensor:
        path = self._files.pop(name, None)
        if path is None:
            raise SpecError(f"tensor {name} is missing from the checkpoint")
        try:
            with safe_open(path, framework="pt") as file:
                tensor: Tensor = file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise AssetError(f"{path} is damaged at {name}: {error}") from error
        if tuple(tensor.shape) != shape:
            raise SpecError(
                f"tensor {name} in {path.name} is {list(tensor.shape)}; config.json asks for "
                f"{list(shape)}"
            )
        # A copy of our own: the file's pages must not change under a running model.
        placed = tensor.to(self._placement.device, self._placement.dtype, copy=True)
        self.num_bytes += placed.nbytes
        return placed

    def take_joined(self, rows_by_name: dict[str, int], kind: str, *columns: int) -> Tensor:
        """Tensors `NAME.kind` stacked along their rows."""
        return torch.cat(
            [self.take(f"{name}.{kind}", rows, *columns) for name, rows in rows_by_name.items()]
        )

    def drop(self, name: str) -> None:
        self._files.pop(name, None)

    def finish(self) -> None:
        left = sorted(name for name in self._files if not name.endswith(_DERIVED_SUFFIX))
        if left:
            raise SpecError(
                f"{len(left)} tensors fit no part of the model, first {left[0]} in "
                f"{self._files[left[0]].name}"
            )


def load_decoder(folder: Path, placement: Placement, build: BuildLinear = build_linear) -> Decoder:
    """The fastest products by default; `PlainLinear` gives torch's own, as other libraries use."""
    return Decoder(*load_parts(folder, placement, build))


def load_parts(
    folder: Path, placement: Placement, build: BuildLinear
) -> tuple[DecoderConfig, DecoderWeights]:
    """What a decoder is made of, in torch or elsewhere."""
    config = DecoderConfig.from_hf(read_json(folder / "config.json"))
    return config, load_weights(_Checkpoint(folder, placement), config, build)


def load_weights_of(
    folder: Path, placement: Placement, config: DecoderConfig, build: BuildLinear
) -> DecoderWeights:
    """The weights of a folder with products of the caller's own making."""
    return load_weights(_Checkpoint(folder, placement), config, build)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's tensors, by name."""
    return sorted(set(_tensor_files(folder).values()))


def load_weights(
    checkpoint: _Checkpoint, config: DecoderConfig, build: BuildLinear
) -> DecoderWeights:
    shape_VD = (config.vocab_size, config.hidden_size)
    embedding_VD = checkpoint.take("model.embed_tokens.weight", *shape_VD)
    if config.has_tied_head:
        checkpoint.drop("lm_head.weight")
        head = build(embedding_VD, None)
        # A packed head is a second copy: the embedding has to stay readable row by row.
        checkpoint.num_bytes += embedding_VD.nbytes if isinstance(head, PackedLinear) else 0
    else:
        head = build(checkpoint.take("lm_head.weight", *shape_VD), None)
    layers = tuple(_load_layers(checkpoint, config, build))
    final_norm_D = checkpoint.take("model.norm.weight", config.hidden_size)
    checkpoint.finish()
    return DecoderWeights(
        embedding_VD=embedding_VD,
        layers=layers,
        final_norm_D=final_norm_D,
        head=head,
        num_bytes=checkpoint.num_bytes,
    )


def _load_layers(
    checkpoint: _Checkpoint, config: DecoderConfig, build: BuildLinear
) -> Iterator[Layer]:
    size_D, size_F = config.hidden_size, config.ffn_size
    size_X, size_KE = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    for layer_idx in range(config.num_layers):
        prefix = f"model.layers.{layer_idx}"
        attention, ffn = f"{prefix}.self_attn", f"{prefix}.mlp"
        qkv_rows = {f"{attention}.{part}_proj": size_KE for part in "qkv"}
        qkv_rows[f"{attention}.q_proj"] = size_X
        qkv_bias = checkpoint.take_joined(qkv_rows, "bias") if config.has_qkv_bias else None
        out_name = f"{attention}.o_proj"
        out_bias = checkpoint.take(f"{out_name}.bias", size_D) if config.has_out_bias else None
        gate_up_rows = {f"{ffn}.gate_proj": size_F, f"{ffn}.up_proj": size_F}
        yield Layer(
            attention_norm_D=checkpoint.take(f"{prefix}.input_layernorm.weight", size_D),
            qkv=build(checkpoint.take_joined(qkv_rows, "weight", size_D), qkv_bias),
            out=build(checkpoint.take(f"{out_name}.weight", size_D, size_X), out_bias),
            ffn_norm_D=checkpoint.take(f"{prefix}.post_attention_layernorm.weight", size_D),
            gate_up=build(checkpoint.take_joined(gate_up_rows, "weight", size_D), None),
            down=build(checkpoint.take(f"{ffn}.down_proj.weight", size_D, size_F), None),
        )


def _tensor_files(folder: Path) -> dict[str, Path]:
    """Tensor name → file."""
    index_path, single_path = folder / _INDEX_FILE, folder / _SINGLE_FILE
    if index_path.exists():
        return _indexed_files(index_path)
    if not single_path.exists():
        raise AssetError(f"{folder} holds neither {_SINGLE_FILE} nor {_INDEX_FILE}")
    try:
        with safe_open(single_path, framework="pt") as file:
            return dict.fromkeys(file.keys(), single_path)
    except (SafetensorError, OSError) as error:
        raise AssetError(f"{single_path} is damaged: {error}") from error


def _indexed_files(index_path: Path) -> dict[str, Path]:
    weight_map = read_json(index_path).get("weight_map")
    if not isinstance(weight_map, dict):
        raise AssetError(f"{index_path} has no weight_map")
    files = {}
    for name, file_name in weight_map.items():
        # An index is data from elsewhere: it may only point into its own folder.
        if not isinstance(file_name, str) or Path(file_name).name != file_name:
            raise AssetError(f"{index_path} maps {name} to {file_name!r}, no plain file name")
        path = index_path.parent / file_name
        if not path.exists():
            raise AssetError(f"{path} is missing; {_INDEX_FILE} maps {name} to it")
        files[name] = path
    return files
