"""Where requests go."""

from collections import Counter
from dataclasses import replace

import pytest

from loadsheet.sim.adapter_shelf import AdapterShelf
from loadsheet.sim.record import Fate
from loadsheet.sim.router import (
    ROUTERS,
    LeastWorkRouter,
    PowerOfTwoRouter,
    RoundRobinRouter,
    SessionRouter,
    make_router,
)
from loadsheet.sim.simulation import Simulation


def served_by(devices, router, jobs):
    records = Simulation(devices, router).run(jobs)
    return [record.device for record in records]


@pytest.fixture
def three(make_device):
    return [make_device(f"d{idx}") for idx in range(3)]


def test_round_robin_takes_turns(three, text_job):
    jobs = [text_job(f"r{idx}", float(idx)) for idx in range(5)]
    assert served_by(three, RoundRobinRouter(), jobs) == ["d0", "d1", "d2", "d0", "d1"]


def test_least_work_avoids_who_is_busy(three, image_job, text_job):
    jobs = [image_job("big", 0.0, steps=50), *(text_job(f"r{idx}", 0.1 + idx) for idx in range(4))]
    assert served_by(three, LeastWorkRouter(), jobs) == ["d0", "d1", "d1", "d1", "d1"]


def test_power_of_two_balances_better_than_chance(make_device, image_job):
    """100 equal jobs at once on ten devices: the fullest gets at most twice the mean."""
    devices = [make_device(f"d{idx}") for idx in range(10)]
    jobs = [image_job(f"r{idx}", 0.0) for idx in range(100)]
    assert max(Counter(served_by(devices, PowerOfTwoRouter(seed=1), jobs)).values()) <= 20


def test_a_session_stays_where_it_was(three, text_job):
    turns = [replace(text_job(f"a{idx}", 10.0 * idx), session="a") for idx in range(4)]
    homes = served_by(three, SessionRouter(), turns)
    assert len(set(homes)) == 1


def test_a_session_leaves_who_is_overloaded(three, image_job):
    crowd = [replace(image_job(f"i{idx}", 0.0, steps=50), session="a") for idx in range(9)]
    spread = Counter(served_by(three, SessionRouter(), crowd))
    assert len(spread) == 3
    assert max(spread.values()) <= 4


def test_nobody_serves_it(make_device, text_job):
    job = text_job("r")
    other = replace(job, request=replace(job.request, model="other"))
    for name in ROUTERS:
        (record,) = Simulation([make_device()], make_router(name)).run([other])
        assert record.fate is Fate.REJECTED
        assert "no replica serves other now" in record.message


def test_an_adapter_is_loaded_once_and_the_oldest_leaves():
    shelf = AdapterShelf(load_s=2.0, max_adapters=2)
    assert shelf.wait_s("a", 0.0) == 2.0
    assert shelf.wait_s("a", 0.5) == 1.5  # on its way
    assert shelf.wait_s("b", 3.0) == 2.0
    assert shelf.wait_s("a", 6.0) == 0.0
    assert shelf.wait_s("c", 7.0) == 2.0  # b leaves: a was worn later
    assert shelf.wait_s("a", 9.0) == 0.0
    assert shelf.wait_s("b", 9.0) == 2.0
    assert shelf.num_loads == 4


def test_an_adapter_delays_the_first_who_wears_it(make_device, image_job):
    jobs = [image_job(f"r{idx}", 10.0 * idx, adapter="emoji") for idx in range(2)]
    device = make_device(adapters=AdapterShelf(load_s=2.0, max_adapters=1))
    first, second = Simulation([device], RoundRobinRouter()).run(jobs)
    assert first.end_s == pytest.approx(2.0 + second.end_s - 10.0)


def test_noise_is_asked_for_every_step(make_device, text_job, noise):
    job = text_job("r", output=5)
    (calm,) = Simulation([make_device()], RoundRobinRouter()).run([job])
    (loud,) = Simulation([make_device(noise=noise)], RoundRobinRouter()).run([job])
    assert loud.end_s == pytest.approx(2 * calm.end_s)
    assert calm.end_s == pytest.approx(5 * 0.1)
