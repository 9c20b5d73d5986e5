"""The decoder that serves, with weights that learn.

`TextModel` owns the parameters and nothing of the mathematics: its forward pass builds an
`engine.text.decoder.Decoder` over them, the very code that generates, and hands it an attention
over whole sequences. Matrices that read the same input are one, as in the engine; in a folder they
are apart, under Hugging Face's names.

Shape letters: B sequences, T tokens of each, N = B × T, D hidden size, V vocabulary.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from loadsheet.adapt.text_attention import MixTokens, WholeSequences, tiled_attention
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import Decoder, DecoderWeights, Layer
from loadsheet.engine.text.linear import PlainLinear
from loadsheet.errors import ConfigError


class TrainableLayer(nn.Module):
    """Parameters of one layer; `view` is what the decoder reads."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        size_D, size_F = config.hidden_size, config.ffn_size
        size_X, size_KE = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        # products that end in the residual sum start small: its variance must not grow with depth
        into_sum = 1 / math.sqrt(2 * config.num_layers)
        self.attention_norm = nn.Parameter(torch.ones(size_D))
        self.qkv = _matrix(size_X + 2 * size_KE, size_D)
        self.out = _matrix(size_D, size_X, into_sum)
        self.ffn_norm = nn.Parameter(torch.ones(size_D))
        self.gate_up = _matrix(2 * size_F, size_D)
        self.down = _matrix(size_D, size_F, into_sum)

    def view(self) -> Layer:
        return Layer(
            attention_norm_D=self.attention_norm,
            qkv=PlainLinear(self.qkv, None),
            out=PlainLinear(self.out, None),
            ffn_norm_D=self.ffn_norm,
            gate_up=PlainLinear(self.gate_up, None),
            down=PlainLinear(self.down, None),
        )


class TextModel(nn.Module):
    def __init__(self, config: DecoderConfig, mix: MixTokens = tiled_attention) -> None:
        super().__init__()
        if config.has_qkv_bias or config.has_out_bias or not config.has_tied_head:
            raise ConfigError("trained here are decoders without biases whose head is tied")
        self.config = config
        self.mix = mix
        # tied to the head: logits start with a deviation of 1
        self.embedding = _matrix(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(TrainableLayer(config) for _ in range(config.num_layers))
        self.final_norm = nn.Parameter(torch.ones(config.hidden_size))

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Logits of every position's next token, [N, V]."""
        num_sequences, num_tokens = ids_BT.shape
        positions_N = torch.arange(num_tokens, device=ids_BT.device).repeat(num_sequences)
        decoder = self.decoder()
        attention = WholeSequences(num_tokens, self.mix)
        return decoder.logits(decoder.hidden(ids_BT.flatten(), positions_N, attention))

    def decoder(self) -> Decoder:
        """The serving decoder over these parameters, not a copy of them."""
        return Decoder(self.config, self.weights())

    def weights(self) -> DecoderWeights:
        return DecoderWeights(
            embedding_VD=self.embedding,
            layers=tuple(layer.view() for layer in self._layers()),
            final_norm_D=self.final_norm,
            head=PlainLinear(self.embedding, None),
            num_bytes=sum(parameter.nbytes for parameter in self.parameters()),
        )

    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def named_tensors(self) -> dict[str, Tensor]:
        """Weights under the names of a Hugging Face Llama checkpoint."""
        tensors: dict[str, Tensor] = {
            "model.embed_tokens.weight": self.embedding,
            "model.norm.weight": self.final_norm,
        }
        for idx, layer in enumerate(self._layers()):
            for name, tensor in self._named_layer(layer):
                tensors[f"model.layers.{idx}.{name}"] = tensor
        return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}

    def _named_layer(self, layer: TrainableLayer) -> Iterator[tuple[str, Tensor]]:
        config = self.config
        size_X, size_KE = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        qkv = layer.qkv.split_with_sizes((size_X, size_KE, size_KE))
        yield "input_layernorm.weight", layer.attention_norm
        yield from zip((f"self_attn.{part}_proj.weight" for part in "qkv"), qkv, strict=True)
        yield "self_attn.o_proj.weight", layer.out
        yield "post_attention_layernorm.weight", layer.ffn_norm
        yield from zip(
            ("mlp.gate_proj.weight", "mlp.up_proj.weight"), layer.gate_up.chunk(2), strict=True
        )
        yield "mlp.down_proj.weight", layer.down

    def _layers(self) -> Iterator[TrainableLayer]:
        for layer in self.layers:
            assert isinstance(layer, TrainableLayer)
            yield layer


def _matrix(rows: int, columns: int, scale: float = 1.0) -> nn.Parameter:
    """Normal with deviation scale / √columns, so that outputs are as large as inputs."""
    return nn.Parameter(torch.randn(rows, columns) * scale / math.sqrt(columns))
