"""Stages of a decoder: what a round of micro-batches costs, against the whole model."""

import pytest

from loadsheet.cost.pipelined_text import PipelinedTextCost
from loadsheet.cost.step_cost import TextStepCost, step_cost
from loadsheet.cost.step_shape import ImageShape, StepKind, TextShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog

H100 = DeviceCatalog().find("h100-sxm-80gb")
WHOLE = step_cost(Catalog().find("llama-3.1-8b"), H100)
assert isinstance(WHOLE, TextStepCost)


def staged(pp: int) -> PipelinedTextCost:
    return PipelinedTextCost(whole=WHOLE, device=H100, hidden_size=4096, pp=pp)


def text(decodes: int, cached: int, prefill: int = 0) -> TextShape:
    return TextShape(
        num_decodes=decodes,
        decode_context_tokens=cached,
        prefill_tokens=prefill,
        prefill_context_tokens=0,
    )


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_a_round_is_one_micro_batch_through_all_stages_and_the_hops(batch: int) -> None:
    """Each of pp hops sends ceil(batch / pp) x 4096 values of 2 bytes at 450 GB/s after 5 us."""
    pp, cached = 4, 1000 * batch
    dealt = -(-batch // pp)
    hop_s = 5e-6 + dealt * 4096 * 2 / (H100.link_bytes_per_s / 2)
    alone = WHOLE.seconds(StepKind.TEXT, text(dealt, 1000 * dealt))
    round_s = staged(pp).seconds(StepKind.TEXT, text(batch, cached))
    assert round_s == pytest.approx(alone + pp * hop_s, rel=1e-9)


def test_a_segment_is_every_step_within_it() -> None:
    cost, batch = staged(4), 10
    segment = cost.decode_segment(batch, 5_000)
    for cached in (5_000, 5_010, int(segment.valid_until)):
        affine_s = segment.tau0_s + segment.kappa_s_per_token * cached
        assert cost.seconds(StepKind.TEXT, text(batch, cached)) == pytest.approx(affine_s, rel=1e-9)


def test_a_lone_prompt_fills_the_pipe() -> None:
    """Four stages take 1 + 3/4 of the time of a quarter; that is still less than one device's."""
    quarter = WHOLE.seconds(StepKind.TEXT, text(0, 0, prefill=2048))
    filled = staged(4).seconds(StepKind.TEXT, text(0, 0, prefill=8192))
    assert 1.75 * quarter < filled < 1.8 * quarter
    assert filled < WHOLE.seconds(StepKind.TEXT, text(0, 0, prefill=8192))


def test_stages_run_no_images() -> None:
    with pytest.raises(ConfigError, match="no denoise step"):
        staged(2).seconds(
            StepKind.DENOISE, ImageShape(batch=1, width=512, height=512, is_guided=True)
        )
