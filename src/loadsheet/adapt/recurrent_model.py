"""A recurrent language model to hold beside the decoder: LSTM layers where that has attention.

As modern as the comparison asks: RMSNorm before each layer, residual sums, a tied head. A layer is
x + out(lstm(norm(x))); it has no feed-forward part, so its LSTM is the wider (arXiv:1409.2329 with
the residual form of today).

Shape letters: B sequences, T tokens of each, N = B × T, D hidden size, S state size, V vocabulary.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.errors import ConfigError

State = tuple[Tensor, Tensor]
"""An LSTM's h and c, [1, B, S] each."""


class RecurrentLayer(nn.Module):
    def __init__(self, hidden_size: int, state_size: int, norm_eps: float) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden_size, eps=norm_eps)
        self.lstm = nn.LSTM(hidden_size, state_size, batch_first=True)
        self.out = nn.Linear(state_size, hidden_size, bias=False)
        # the forget gate starts open (Jozefowicz et al. 2015): gates lie in order i, f, g, o
        bias = self.lstm.get_parameter("bias_hh_l0")
        nn.init.ones_(bias.data[state_size : 2 * state_size])

    def forward(self, x_BTD: Tensor, state: State | None) -> tuple[Tensor, State]:
        h_BTS, state = self.lstm(self.norm(x_BTD), state)
        return x_BTD + self.out(h_BTS), state


class RecurrentModel(nn.Module):
    """As many layers as the decoder has, and as many parameters, to what width allows."""

    def __init__(self, config: DecoderConfig, num_parameters: int) -> None:
        super().__init__()
        size_D = config.hidden_size
        rest = config.vocab_size * size_D + size_D
        state_size = matched_state_size(size_D, (num_parameters - rest) // config.num_layers)
        self.embedding = nn.Parameter(torch.randn(config.vocab_size, size_D) / math.sqrt(size_D))
        self.layers = nn.ModuleList(
            RecurrentLayer(size_D, state_size, config.norm_eps) for _ in range(config.num_layers)
        )
        self.final_norm = nn.RMSNorm(size_D, eps=config.norm_eps)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Logits of every position's next token, [N, V]."""
        return self.step(ids_BT, None)[0]

    def step(self, ids_BT: Tensor, states: list[State] | None) -> tuple[Tensor, list[State]]:
        """Logits [N, V], and the states to go on from after these tokens."""
        x_BTD = F.embedding(ids_BT, self.embedding)
        after = []
        for idx, layer in enumerate(self.layers):
            x_BTD, state = layer(x_BTD, None if states is None else states[idx])
            after.append(state)
        logits_BTV = F.linear(self.final_norm(x_BTD), self.embedding)
        return logits_BTV.flatten(0, 1), after


def layer_parameters(hidden_size: int, state_size: int) -> int:
    """Four gates over input and state with two biases, the way out, the norm."""
    gates = 4 * state_size * (hidden_size + state_size) + 8 * state_size
    return gates + state_size * hidden_size + hidden_size


def matched_state_size(hidden_size: int, num_parameters: int) -> int:
    """The widest state whose layer has at most `num_parameters`."""
    # 4S² + (5D + 8)S + D = num_parameters
    linear = 5 * hidden_size + 8
    inside = linear**2 + 16 * (num_parameters - hidden_size)
    state_size = int((math.sqrt(inside) - linear) / 8) if inside > 0 else 0
    if state_size < 1:
        raise ConfigError(
            f"{num_parameters} parameters per layer are too few for an LSTM of width {hidden_size}"
        )
    return state_size
