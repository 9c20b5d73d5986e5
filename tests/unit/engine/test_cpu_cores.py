import os
import threading

import pytest

from loadsheet.engine.cpu_cores import HALF, WHOLE, CpuCores, bind_thread, cores_of_process
from loadsheet.errors import ConfigError

FOUR = CpuCores(numbers=(0, 4, 1, 5))  # 0 and 4 are hardware threads of one core


def test_halves_are_apart_and_together_the_whole():
    text, rest = FOUR.of(0, HALF), FOUR.of(1, HALF)
    assert (text, rest) == ((0, 4), (1, 5))
    assert FOUR.of(0, WHOLE) == FOUR.of(1, WHOLE) == text + rest


def test_threads_are_as_many_as_cores():
    threads = {share: one.num_threads for share, one in FOUR.shares(0).items()}
    assert threads == {WHOLE: 4, HALF: 2}
    three = CpuCores(numbers=(0, 1, 2))
    assert [three.shares(lane)[HALF].num_threads for lane in (0, 1)] == [1, 2]


def test_one_core_is_not_split():
    one = CpuCores(numbers=(7,))
    assert one.num_lanes == 1
    assert list(one.shares(0)) == [WHOLE]
    assert one.describe() == "7"


def test_people_read_ranges():
    assert FOUR.describe() == "0-1,4-5 (text 0,4, the rest 1,5 while both work)"


def test_the_process_gets_the_cores_it_may_use():
    allowed = cores_of_process().numbers
    assert set(allowed) == os.sched_getaffinity(0)
    assert cores_of_process(1).numbers == allowed[:1]


def test_more_threads_than_cores_are_refused():
    num_cores = len(cores_of_process().numbers)
    with pytest.raises(ConfigError, match=f"--threads is {num_cores + 1}, but this process may"):
        cores_of_process(num_cores + 1)


def test_binding_is_the_calling_threads_own_affair():
    before, inside = os.sched_getaffinity(0), []

    def work():
        bind_thread([min(before)])
        inside.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [{min(before)}]
    assert os.sched_getaffinity(0) == before
