import pytest

from loadsheet.cost.ledger import Ledger, LedgerLine, Owner, merge
from loadsheet.errors import CapacityError


def line(num_bytes: int, owner: Owner = Owner.WEIGHTS) -> LedgerLine:
    return LedgerLine(owner=owner, model="m", part="", num_bytes=num_bytes)


def test_the_total_adds_every_owner():
    ledgers = [Ledger(lines=(line(3),)), Ledger(lines=(line(4, Owner.KV_BLOCKS), line(5)))]
    assert merge(ledgers).total_bytes() == 12
    assert merge([]).total_bytes() == 0


def test_a_budget_that_is_met_exactly_is_enough():
    Ledger(lines=(line(1024),)).check(1024)


def test_a_budget_that_is_short_says_by_how_much():
    with pytest.raises(CapacityError, match=r"3\.0 KiB.*budget is 1\.0 KiB, 2\.0 KiB short"):
        Ledger(lines=(line(3072),)).check(1024)
