"""More work never takes less time by more than tiling explains, on any chip."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from loadsheet.cost.kernel.allreduce import allreduce_seconds
from loadsheet.cost.kernel.attention import AttentionPhase, FusedShape, attention_seconds
from loadsheet.cost.kernel.gemm import GemmShape, gemm_seconds
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device

DEVICES = list(DeviceCatalog().devices())
chips = st.sampled_from(DEVICES)
sizes = st.integers(min_value=1, max_value=8192)


@settings(max_examples=150, deadline=None)
@given(device=chips, m=sizes, n=sizes, k=sizes, dtype=st.sampled_from(["fp16", "fp8", "int4"]))
def test_a_product_grows_with_each_side(device: Device, m: int, n: int, k: int, dtype: str) -> None:
    shape = GemmShape(m=m, n=n, k=k, dtype=dtype)
    base = gemm_seconds(shape, device)
    assert base > 0
    for side in ("m", "n", "k"):
        grown = replace(shape, **{side: 2 * getattr(shape, side)})
        assert gemm_seconds(grown, device) >= base * 0.999


@settings(max_examples=150, deadline=None)
@given(
    device=chips,
    phase=st.sampled_from(list(AttentionPhase)),
    batch=st.integers(1, 256),
    tokens=st.integers(1, 4096),
    kv_heads=st.integers(1, 16),
    group=st.integers(1, 8),
)
def test_attention_grows_with_batch_and_context(
    device: Device, phase: AttentionPhase, batch: int, tokens: int, kv_heads: int, group: int
) -> None:
    shape = FusedShape(
        phase=phase,
        batch=batch,
        tokens=1 if phase is AttentionPhase.DECODE else tokens,
        context=tokens,
        heads=kv_heads * group,
        kv_heads=kv_heads,
        head_dim=128,
    )
    base = attention_seconds(shape, device)
    assert base > 0
    assert attention_seconds(replace(shape, batch=4 * batch), device) >= base * 0.999
    assert attention_seconds(replace(shape, context=4 * tokens), device) >= base * 0.999


@given(device=chips, devices=st.integers(2, 16), num_bytes=st.integers(1, 10**9))
def test_an_allreduce_grows_with_the_buffer(device: Device, devices: int, num_bytes: int) -> None:
    if not device.link_bytes_per_s and not device.host_bytes_per_s:
        return
    assert allreduce_seconds(2 * num_bytes, devices, device) >= allreduce_seconds(
        num_bytes, devices, device
    )
