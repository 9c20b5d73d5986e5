from collections import Counter

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from loadsheet.adapt.text_batches import EpochBatches, in_length_order, pad
from loadsheet.errors import ConfigError

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=60)


def ids_of(lengths):
    return [[7] * length for length in lengths]


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_has_every_text_once(lengths, batch_size, seed):
    batches = EpochBatches(ids_of(lengths), batch_size=batch_size, pad_id=0, seed=seed)
    for epoch in range(2):
        steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
        seen = Counter(idx for step in steps for idx in batches.batch(step).indices)
        assert seen == Counter(range(len(lengths)))


@given(LENGTHS, st.integers(0, 200))
def test_a_step_is_a_function_of_seed_and_number(lengths, step):
    ids = ids_of(lengths)
    first = EpochBatches(ids, batch_size=4, pad_id=0, seed=5)
    second = EpochBatches(ids, batch_size=4, pad_id=0, seed=5)
    first.batch(0)  # what was asked before changes nothing
    assert first.batch(step).indices == second.batch(step).indices


@given(LENGTHS)
def test_evaluation_reads_every_text_once_longest_first(lengths):
    batches = list(in_length_order(ids_of(lengths), 8, 0))
    assert sorted(idx for batch in batches for idx in batch.indices) == list(range(len(lengths)))
    widths = [batch.ids_BT.shape[1] for batch in batches]
    assert widths == sorted(widths, reverse=True)


def test_padding_is_masked():
    batch = pad([[5, 6, 7], [8]], [1, 0], pad_id=9)
    assert batch.ids_BT.tolist() == [[8, 9, 9], [5, 6, 7]]
    assert torch.equal(batch.mask_BT, torch.tensor([[1, 0, 0], [1, 1, 1]]))


def test_long_and_short_texts_are_kept_apart():
    lengths = [2, 30] * 64
    batches = EpochBatches(ids_of(lengths), batch_size=8, pad_id=0, seed=0)
    widths = {batches.batch(step).ids_BT.shape[1] for step in range(batches.steps_per_epoch)}
    assert widths == {2, 30}


def test_nothing_to_train_on():
    with pytest.raises(ConfigError, match="no text"):
        EpochBatches([], batch_size=4, pad_id=0, seed=0)
