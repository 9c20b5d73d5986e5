"""The simulator against queueing theory: one and several servers, within confidence intervals.

A job is a prompt of its own length and a reply of one token, so a replica is a single server whose
service time is drawn. Means over batches of waits give the interval (method of batch means).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from loadsheet.sched.plan import StepKind
from loadsheet.sim.device import SimDevice
from loadsheet.sim.job import Job
from loadsheet.sim.record import Fate, Record
from loadsheet.sim.router import RoundRobinRouter, Router
from loadsheet.sim.simulation import Simulation

MEAN_S = 0.5  # of service
NUM = 6_000
BATCHES = 20

Draw = Callable[[np.random.Generator], float]


def exponential(rng: np.random.Generator) -> float:
    return rng.exponential(MEAN_S)


def constant(rng: np.random.Generator) -> float:
    return MEAN_S


def two_sizes(rng: np.random.Generator) -> float:
    """Nine short ones for a long one, of mean 0.5 s: cv² = 2.66."""
    return 2.9 if rng.random() < 0.1 else 0.7 / 3


def jobs(make: Callable[..., Job], draw: Draw, rate_rps: float, num: int = NUM) -> list[Job]:
    """Poisson arrivals; tokens are milliseconds of work, rounded."""
    rng, now_s, made = np.random.default_rng(11), 0.0, []
    for idx in range(num):
        now_s += rng.exponential(1 / rate_rps)
        made.append(make(f"r{idx}", now_s, max(1, round(1000 * draw(rng)))))
    return made


def serve(
    devices: Sequence[SimDevice], load: Sequence[Job], router: Router | None = None
) -> list[Record]:
    records = Simulation(devices, router or RoundRobinRouter()).run(load)
    assert all(record.fate is Fate.SERVED for record in records)
    for device in devices:
        device.scheduler.check_integrity()
    return records


class FirstFreeRouter(RoundRobinRouter):
    """To whoever is free first, which makes k queues one: first come, first served by k servers."""

    def __init__(self) -> None:
        super().__init__()
        self._free_s: dict[SimDevice, float] = {}

    def add(self, device: SimDevice) -> None:
        self._free_s[device] = 0.0

    def choose(self, job: Job) -> SimDevice:
        device = min(self._free_s, key=lambda one: self._free_s[one])
        start_s = max(self._free_s[device], job.request.arrival_s)
        self._free_s[device] = start_s + service_s(job)
        return device


def service_s(job: Job) -> float:
    return job.request.prompt_tokens / 1000


def waits_s(records: Sequence[Record]) -> np.ndarray:
    return np.array([one.end_s - one.job.request.arrival_s - service_s(one.job) for one in records])


def check_mean(values: np.ndarray, expected: float) -> None:
    """Three standard errors of batch means, after a tenth of warm-up."""
    batches = values[len(values) // 10 :].reshape(BATCHES, -1).mean(axis=1)
    error = batches.std(ddof=1) / math.sqrt(BATCHES)
    assert abs(batches.mean() - expected) < 3 * error
    assert error < 0.2 * expected  # else the test proves nothing


@pytest.mark.parametrize("load", [0.5, 0.7])
def test_m_m_1(one_server, text_job, load: float) -> None:
    """Mean wait ρ / (1 - ρ) · s."""
    records = serve([one_server()], jobs(text_job, exponential, load / MEAN_S))
    check_mean(waits_s(records), load / (1 - load) * MEAN_S)


@pytest.mark.parametrize(("draw", "cv2"), [(constant, 0.0), (two_sizes, 2.56)])
def test_m_g_1(one_server, text_job, draw: Draw, cv2: float) -> None:
    """Pollaczek and Khinchine: ρ / (1 - ρ) · s · (1 + cv²) / 2."""
    records = serve([one_server()], jobs(text_job, draw, 0.6 / MEAN_S))
    check_mean(waits_s(records), 0.6 / 0.4 * MEAN_S * (1 + cv2) / 2)


@pytest.mark.parametrize(("num_servers", "offered"), [(2, 1.4), (4, 2.8)])
def test_m_m_k(one_server, text_job, num_servers: int, offered: float) -> None:
    """Erlang C: a share C waits, the mean wait is C · s / (k - a)."""
    terms = [offered**n / math.factorial(n) for n in range(num_servers)]
    last = offered**num_servers / math.factorial(num_servers)
    last *= num_servers / (num_servers - offered)
    share = last / (sum(terms) + last)
    servers = [one_server(f"d{idx}") for idx in range(num_servers)]
    records = serve(servers, jobs(text_job, exponential, offered / MEAN_S), FirstFreeRouter())
    waits = waits_s(records)
    check_mean(waits, share * MEAN_S / (num_servers - offered))
    assert (waits > 1e-9).mean() == pytest.approx(share, abs=0.04)


def test_every_departure_is_lindleys(one_server, text_job) -> None:
    """Work conservation, job by job: Dₙ = max(Aₙ, Dₙ₋₁) + Sₙ; and busy is as long as the work."""
    load = jobs(text_job, exponential, 0.9 / MEAN_S, num=500)
    device = one_server()
    records, free_s = serve([device], load), 0.0
    for record in records:
        free_s = max(record.job.request.arrival_s, free_s) + service_s(record.job)
        assert record.end_s == pytest.approx(free_s, rel=1e-12)
    assert device.busy_s[StepKind.TEXT] == pytest.approx(sum(map(service_s, load)), rel=1e-9)


def test_littles_law(one_server, text_job) -> None:
    """L = λ · W, with L read off the device at even times, not from the records."""
    load = jobs(text_job, exponential, 0.7 / MEAN_S)
    device, seen = one_server(), []
    simulation = Simulation([device], RoundRobinRouter())
    end_s = load[-1].request.arrival_s
    for time_s in np.arange(0.25, end_s, 0.25):
        simulation.at(float(time_s), lambda sim, now_s: seen.append(device.num_inside))
    records = simulation.run(load)
    sojourn_s = np.mean([one.end_s - one.job.request.arrival_s for one in records])
    assert np.mean(seen) == pytest.approx(NUM / end_s * sojourn_s, rel=0.02)
