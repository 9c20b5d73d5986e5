"""Hidden states of text encoders as a graph: CLIP's text model, BERT and its family."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel

from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.openvino.network import Network, Traceable, num_packed_bytes, open_graph

_IDS, _MASK = "ids", "mask"


class TokenStates:
    """Ids and mask [B, T], both int64, to float32 [B, T, D]; CLIP masks nothing but the future."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        given = {_IDS: ids_BT, _MASK: mask_BT}
        return self._network({name: given[name] for name in self._network.input_names})


def open_states(
    folder: Path,
    model: nn.Module,
    *,
    precision: str,
    cache_dir: Path,
    shares: Mapping[float, CpuShare],
) -> tuple[dict[float, TokenStates], int]:
    """The folder's encoder for every share, and the bytes of its weights in all of them."""
    graph = open_graph(folder, precision, cache_dir, states_source(model))
    states = {share: TokenStates(Network(graph, precision, cpu)) for share, cpu in shares.items()}
    return states, num_packed_bytes(graph, precision) * len(shares)


def states_source(model: nn.Module) -> Traceable:
    """Batch and length stay open; CLIP is always asked for its full length."""
    if isinstance(model, CLIPTextModel):
        length = int(model.config.max_position_embeddings)
        ids_BT = torch.ones(2, length, dtype=torch.int64)
        return Traceable(
            module=model,
            function=_clip_states,
            examples={_IDS: ids_BT},
            dims={_IDS: (-1, length)},
        )
    ids_BT = torch.ones(2, 8, dtype=torch.int64)
    mask_BT = ids_BT.clone()
    mask_BT[1, 5:] = 0
    return Traceable(
        module=model,
        function=_masked_states,
        examples={_IDS: ids_BT, _MASK: mask_BT},
        dims={_IDS: (-1, -1), _MASK: (-1, -1)},
    )


def _clip_states(model: nn.Module, ids_BT: Tensor) -> Tensor:
    hidden_BTD: Tensor = model(input_ids=ids_BT).last_hidden_state
    return hidden_BTD


def _masked_states(model: nn.Module, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    hidden_BTD: Tensor = model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
    return hidden_BTD
