"""An image pipeline whose networks OpenVINO computes, one pipeline for each share of the device.

    prompts ─► Network (text encoder) ─► Network (U-Net) × num_steps ─► Network (VAE decoder)

Each is traced from the torch module of the pipeline, with batch and sizes left open. Images that
wear an adapter are denoised by the torch module instead: its low-rank terms come and go per step,
and a graph has them only as constants.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.image.conditioning import Conditioning, Prompts
from loadsheet.engine.image.denoiser import UNetDenoiser
from loadsheet.engine.image.latent_decoder import LatentDecoder
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.text_encoder import ClipTextEncoder, MiniLMTextEncoder, States
from loadsheet.engine.openvino.network import (
    Dims,
    Network,
    Traceable,
    num_packed_bytes,
    open_graph,
)
from loadsheet.engine.openvino.token_states import TokenStates, states_source

_X, _TIME, _Z = "x", "timesteps", "z"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNetworks:
    """`of_share` beside the pipeline in torch; `states` are the text encoder's, for those who use
    it for more than images."""

    of_share: Mapping[float, ImagePipeline]
    states: Mapping[float, States]
    packed_bytes: Mapping[str, int]  # by component, of all shares


def open_image_networks(
    folder: Path,
    pipeline: ImagePipeline,
    *,
    precision: str,
    cache_dir: Path,
    shares: Mapping[float, CpuShare],
) -> ImageNetworks:
    """`pipeline` is the folder's, in torch and on the CPU."""
    with torch.inference_mode():
        examples = {
            "text_encoder": _encoder_source(pipeline),
            "unet": _unet_source(pipeline),
            "vae": _vae_source(pipeline),
        }
    graphs = {
        part: open_graph(folder / part, precision, cache_dir, source)
        for part, source in examples.items()
        if source is not None
    }
    of_share, states = {}, {}
    for share, cpu in shares.items():
        networks = {part: Network(graph, precision, cpu) for part, graph in graphs.items()}
        of_share[share] = _through(pipeline, networks)
        if "text_encoder" in networks:
            states[share] = TokenStates(networks["text_encoder"])
    return ImageNetworks(
        of_share=of_share,
        states=states,
        packed_bytes={
            part: num_packed_bytes(graph, precision) * len(shares) for part, graph in graphs.items()
        },
    )


class CompiledDenoiser(UNetDenoiser):
    """Shares the adapters of `plain`, which computes whatever wears one."""

    def __init__(self, plain: UNetDenoiser, network: Network) -> None:
        super().__init__(plain.unet)
        self.adapters = plain.adapters
        self._network = network

    def __call__(
        self,
        x_BCHW: Tensor,
        timesteps_B: Tensor,
        conditioning: Conditioning,
        adapter: str | None = None,
    ) -> Tensor:
        if adapter is not None:
            placed = Conditioning(tensors=_in_dtype(conditioning.tensors, self._dtype))
            return super().__call__(x_BCHW, timesteps_B, placed, adapter)
        named = _in_dtype(conditioning.tensors, torch.float32)
        return self._network({_X: x_BCHW.float(), _TIME: timesteps_B.float(), **named})


class CompiledDecoder(LatentDecoder):
    def __init__(self, plain: LatentDecoder, network: Network) -> None:
        super().__init__(plain.vae)
        self._network = network

    def _decode(self, z_BChw: Tensor) -> Tensor:
        return self._network({_Z: z_BChw.float()})


def _through(pipeline: ImagePipeline, networks: Mapping[str, Network]) -> ImagePipeline:
    encode = pipeline.encode
    if isinstance(encode, ClipTextEncoder | MiniLMTextEncoder):
        encode = encode.through(TokenStates(networks["text_encoder"]))
    return replace(
        pipeline,
        encode=encode,
        denoise=CompiledDenoiser(pipeline.denoise, networks["unet"]),
        decoder=CompiledDecoder(pipeline.decoder, networks["vae"]),
    )


def _encoder_source(pipeline: ImagePipeline) -> Traceable | None:
    """None for a layout whose encoders stay in torch."""
    encode = pipeline.encode
    if not isinstance(encode, ClipTextEncoder | MiniLMTextEncoder):
        return None
    return states_source(encode.model)


def _unet_source(pipeline: ImagePipeline) -> Traceable:
    """Two rows, as a guided image has; the conditioning's own lengths are fixed by its layout."""
    width, height = pipeline.sizes[0]
    prompts = Prompts(texts=("a", "b"), width=width, height=height)
    conditioning = _in_dtype(pipeline.encode(prompts).tensors, torch.float32)
    channels, rows, columns = pipeline.latent_shape(width, height)
    is_one_size = len(pipeline.sizes) == 1
    x_dims: Dims = (-1, channels, rows, columns) if is_one_size else (-1, channels, -1, -1)
    names = tuple(conditioning)

    def predict(unet: nn.Module, x: Tensor, timesteps: Tensor, *rest: Tensor) -> Tensor:
        arguments = Conditioning(tensors=dict(zip(names, rest, strict=True))).arguments()
        prediction: Tensor = unet(x, timesteps, **arguments, return_dict=False)[0]
        return prediction

    latents = torch.randn(2, channels, rows, columns, generator=torch.Generator().manual_seed(0))
    return Traceable(
        module=pipeline.denoise.unet,
        function=predict,
        examples={_X: latents, _TIME: torch.tensor([500.0, 400.0]), **conditioning},
        dims={_X: x_dims, _TIME: (-1,)}
        | {name: (-1, *tensor.shape[1:]) for name, tensor in conditioning.items()},
    )


def _vae_source(pipeline: ImagePipeline) -> Traceable:
    decoder = pipeline.decoder

    def decode(vae: nn.Module, z: Tensor) -> Tensor:
        assert isinstance(vae, AutoencoderKL)
        image: Tensor = vae.decode(z, return_dict=False)[0]
        return image

    z_BChw = torch.zeros(1, *pipeline.latent_shape(*pipeline.sizes[0]))
    return Traceable(
        module=decoder.vae,
        function=decode,
        examples={_Z: z_BChw},
        dims={_Z: (-1, decoder.latent_channels, -1, -1)},
    )


def _in_dtype(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Integers stay: masks and ids."""
    return {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
