from loadsheet.sched.edf_queue import EdfQueue


def queue_of(*entries):
    queue = EdfQueue()
    for deadline_s, order, item in entries:
        queue.add(deadline_s, order, item)
    return queue


def test_an_empty_queue_has_no_head():
    queue = EdfQueue()
    assert queue.head() is None
    assert queue.head_deadline_s() == float("inf")
    assert len(queue) == 0
    assert not queue.discard(1.0, 1)


def test_items_come_by_deadline_then_arrival():
    queue = queue_of((2.0, 1, "b"), (1.0, 3, "a2"), (1.0, 2, "a1"))
    assert list(queue) == ["a1", "a2", "b"]
    assert queue.head() == "a1"
    assert queue.head_deadline_s() == 1.0


def test_items_need_not_be_comparable():
    assert len(queue_of((1.0, 1, object()), (1.0, 2, object()))) == 2


def test_discard_takes_exactly_the_named_entry():
    queue = queue_of((1.0, 1, "a"), (1.0, 2, "b"), (2.0, 3, "c"))
    assert not queue.discard(1.0, 3)
    assert not queue.discard(9.0, 1)
    assert queue.discard(1.0, 2)
    assert list(queue) == ["a", "c"]


def test_drop_before_keeps_what_is_due_then_or_later():
    queue = queue_of((1.0, 1, "a"), (2.0, 2, "b"), (3.0, 3, "c"))
    queue.drop_before(2.0)
    assert list(queue) == ["b", "c"]
