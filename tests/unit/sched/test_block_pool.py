import pytest

from loadsheet.sched.block_pool import BlockPool


def test_blocks_are_promised_granted_and_taken_back():
    pool = BlockPool(5)
    assert pool.reserve(3)
    assert (pool.num_available, pool.num_granted) == (2, 0)
    assert pool.grant(2) == (0, 1)
    assert (pool.num_available, pool.num_granted) == (2, 2)
    pool.check_integrity([0, 1], num_promised=1)
    pool.release([0, 1], num_promised=1)
    assert (pool.num_available, pool.num_granted) == (5, 0)
    pool.check_integrity([], num_promised=0)


def test_a_promise_that_does_not_fit_changes_nothing():
    pool = BlockPool(5)
    assert pool.reserve(3)
    assert not pool.reserve(3)
    assert pool.reserve(2)
    assert pool.num_available == 0


def test_more_than_promised_is_never_granted():
    pool = BlockPool(5)
    pool.reserve(1)
    with pytest.raises(AssertionError, match="2 of 1 promised"):
        pool.grant(2)


def test_the_block_that_came_back_last_leaves_first():
    pool = BlockPool(4)
    pool.reserve(4)
    assert pool.grant(3) == (0, 1, 2)
    pool.release([0, 1], num_promised=0)
    pool.reserve(2)
    assert pool.grant(2) == (0, 1)


@pytest.mark.parametrize(
    ("granted", "num_promised"),
    [([0], 1), ([0, 0], 1), ([0, 1], 0), ([0, 1, 2], 1)],
)
def test_wrong_books_are_found(granted, num_promised):
    pool = BlockPool(4)
    pool.reserve(3)
    pool.grant(2)
    with pytest.raises(AssertionError):
        pool.check_integrity(granted, num_promised)
