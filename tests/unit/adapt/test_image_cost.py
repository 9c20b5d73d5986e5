"""Counted from the config = counted by torch while the module runs."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from loadsheet.adapt.autoencoder import AutoencoderConfig, build_autoencoder
from loadsheet.adapt.denoiser import DenoiserConfig, build_denoiser, predict
from loadsheet.adapt.image_cost import decode_flops, denoiser_flops, encode_flops
from loadsheet.adapt.text import Conditioning

TOKENS = 5


def counted(work):
    # the fused kernel of CPUs is not in torch's table; the plain products are
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@pytest.mark.parametrize(("num_plain_levels", "factor"), [(1, 2), (2, 2), (1, 1)])
def test_denoiser(num_plain_levels, factor):
    config = DenoiserConfig(
        sample_size=16,
        latent_channels=4,
        block_out_channels=(8, 16, 16),
        num_plain_levels=num_plain_levels,
        num_heads=2,
        norm_num_groups=4,
    )
    denoiser = build_denoiser(config).eval()
    text = Conditioning(
        tokens_BTD=torch.randn(1, TOKENS, 384),
        mask_BT=torch.ones(1, TOKENS),
        pooled_BD=torch.randn(1, 384),
    )
    ran = counted(lambda: predict(denoiser, torch.randn(1, 4, 16, 16), torch.ones(1), text))
    assert denoiser_flops(denoiser, 16 * factor, factor, TOKENS) == pytest.approx(ran, rel=0.01)


def test_autoencoder():
    config = AutoencoderConfig(
        image_size=16, latent_channels=2, block_out_channels=(4, 8), norm_num_groups=2
    )
    module = build_autoencoder(config).eval()
    encoded = counted(lambda: module.encode(torch.randn(1, 3, 16, 16)))
    decoded = counted(lambda: module.decode(torch.randn(1, 2, 8, 8)))
    assert encode_flops(module, 16) == pytest.approx(encoded, rel=0.02)
    assert decode_flops(module, 16) == pytest.approx(decoded, rel=0.02)
