"""Step prices: affine pieces that join, and more work that never costs less."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadsheet.cost.step_cost import TextStepCost, step_cost
from loadsheet.cost.step_shape import ImageShape, StepKind, TextShape
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog

DEVICES = DeviceCatalog()
COSTS = {
    (model, device): step_cost(Catalog().find(model), DEVICES.find(device))
    for model in ("llama-3.1-8b", "gemma-3-27b", "mixtral-8x7b", "deepseek-v2-lite")
    for device in ("h100-sxm-80gb", "l40s")
}
DRAWING = step_cost(Catalog().find("sd-1.5"), DEVICES.find("h100-sxm-80gb"))
costs = st.sampled_from(sorted(COSTS)).map(COSTS.__getitem__)
batches = st.integers(1, 300)
tokens = st.integers(0, 8000)


def seconds(cost: TextStepCost, batch: int, mean: int, prefill: int = 0, prefix: int = 0) -> float:
    shape = TextShape(
        num_decodes=batch,
        decode_context_tokens=batch * mean,
        prefill_tokens=prefill,
        prefill_context_tokens=prefix,
    )
    return cost.seconds(StepKind.TEXT, shape)


@settings(deadline=None)
@given(costs, batches, tokens, tokens)
def test_longer_contexts_never_cost_less(cost, batch, mean, more) -> None:
    assert seconds(cost, batch, mean + more) >= seconds(cost, batch, mean) * (1 - 1e-12)


@settings(deadline=None)
@given(costs, batches, tokens, st.integers(0, 2000), tokens)
def test_a_chunk_never_makes_a_step_cheaper(cost, batch, mean, prefill, prefix) -> None:
    alone = seconds(cost, batch, mean)
    assert seconds(cost, batch, mean, prefill, prefix) >= alone * (1 - 1e-12)


@settings(deadline=None)
@given(costs, batches)
def test_segments_join_and_cover_every_context(cost, batch) -> None:
    found, at = [], 0.0
    while True:
        found.append(cost.decode_segment(batch, at))
        if found[-1].valid_until == float("inf"):
            break
        at = found[-1].valid_until + 1
    for left, right in pairwise(found):
        end = left.valid_until
        meets = right.tau0_s + right.kappa_s_per_token * end
        assert left.tau0_s + left.kappa_s_per_token * end == pytest.approx(meets, rel=1e-9)


@settings(deadline=None)
@given(
    st.sampled_from([StepKind.ENCODE, StepKind.DENOISE, StepKind.VAE_DECODE]),
    st.integers(1, 8),
    st.sampled_from([256, 384, 512]),
    st.booleans(),
)
def test_more_or_larger_images_never_cost_less(kind, batch, side, is_guided) -> None:
    def priced(batch: int, side: int) -> float:
        shape = ImageShape(batch=batch, width=side, height=side, is_guided=is_guided)
        return DRAWING.seconds(kind, shape)

    assert priced(batch + 1, side) >= priced(batch, side)
    assert priced(batch, side + 64) >= priced(batch, side)
