"""The integer program beside brute force, on fifty random small instances."""

import itertools
import math

import numpy as np
import pytest

from loadsheet.planner.column import Column
from loadsheet.planner.program import Program
from loadsheet.planner.queueing import largest_share, wait_s


def random_program(seed: int) -> Program:
    """Two classes; columns alone and shared, on two kinds of devices, with shares that grow
    with the pool as Erlang-C has it."""
    rng = np.random.default_rng(seed)
    classes = ["chat", "pictures"]
    columns = []
    for device, cost in (("big", 2.5), ("small", 0.8)):
        speed = {name: float(rng.uniform(0.1, 1.5)) for name in classes}
        if device == "small":
            speed = {name: value * float(rng.uniform(2, 4)) for name, value in speed.items()}
        taxes = {name: float(rng.choice([0.0, 0.1, 0.25])) for name in classes}
        for models in [(name,) for name in classes] + list(itertools.combinations(classes, 2))[:1]:
            service_s = max(speed[name] for name in models)
            limit_s = service_s * float(rng.uniform(2, 6))
            columns.append(
                Column(
                    name=f"{device} {'+'.join(models)}",
                    device=device,
                    num_devices=1,
                    cost=cost * float(rng.uniform(0.8, 1.2)),
                    tax=sum(taxes[name] for name in models),
                    seconds={name: speed[name] for name in models},
                    held=dict.fromkeys(models, 1.0),
                    free=1e6,
                    share=share_of(service_s, limit_s),
                )
            )
    return Program(
        columns=columns,
        demands={name: float(rng.uniform(0.2, 1.2)) for name in classes},
        devices={"big": None, "small": None},
        spare=int(rng.integers(0, 2)),
    )


def share_of(service_s, limit_s):
    def share(servers: int) -> float:
        return largest_share(
            lambda used: service_s + wait_s(0.95, servers, used, service_s, 0.5) <= limit_s, 0.98
        )

    return share


def could_fit(program: Program, counts: dict[str, int]) -> bool:
    """Each class by itself: a quick test that whatever fits passes."""
    room = {
        column.name: column.room(counts.get(column.name, 0), program.spare)
        for column in program.columns
    }
    return all(
        sum(
            room[column.name] / column.seconds[name]
            for column in program.columns
            if name in column.seconds
        )
        >= demand * (1 - 1e-6)
        for name, demand in program.demands.items()
    )


def brute_force(program: Program, upper: float) -> float:
    """The least cost over all counts that cost less than `upper`; depth first, cut by cost."""
    columns = sorted(program.columns, key=lambda column: -column.cost)
    best = upper

    def visit(place: int, counts: dict[str, int], cost: float) -> None:
        nonlocal best
        if cost >= best - 1e-9:
            return
        if place == len(columns):
            if could_fit(program, counts) and program.rates_for(counts) is not None:
                best = cost
            return
        column = columns[place]
        most = min(program.most(column), int((best - cost) / column.cost) + 1)
        for number in range(most + 1):
            if number and column.room(number, program.spare) <= 0:
                continue
            visit(
                place + 1,
                {**counts, column.name: number} if number else counts,
                cost + number * column.cost,
            )

    visit(0, {}, 0.0)
    return best


@pytest.mark.parametrize("seed", range(50))
def test_regret_against_brute_force_is_small(seed):
    program = random_program(seed)
    found = program.solve()
    assert found is not None
    assert program.rates_for(found.counts) is not None
    best = brute_force(program, found.cost + 1e-6)
    assert found.cost <= best * 1.02


@pytest.mark.parametrize("seed", range(20))
def test_solutions_serve_the_demand_and_fit(seed):
    program = random_program(seed)
    found = program.solve()
    assert found is not None
    for name, demand in program.demands.items():
        assert sum(found.rates[name].values()) == pytest.approx(demand, rel=1e-6)
    for column in program.columns:
        used = sum(
            found.rates[name].get(column.name, 0) * each for name, each in column.seconds.items()
        )
        assert (
            used <= column.room(found.counts.get(column.name, 0), program.spare) * (1 + 1e-5) + 1e-9
        )


def test_more_demand_never_costs_less():
    costs = []
    for factor in (1, 2, 4, 8):
        program = random_program(3)
        scaled = Program(
            columns=program.columns,
            demands={name: factor * value for name, value in program.demands.items()},
            devices=program.devices,
            spare=program.spare,
        )
        found = scaled.solve()
        assert found is not None
        costs.append(found.cost)
    assert all(after >= before * 0.995 for before, after in itertools.pairwise(costs))


def test_no_devices_no_solution():
    program = random_program(0)
    none = Program(columns=program.columns, demands=program.demands, devices={"big": 0, "small": 0})
    assert none.solve() is None


def test_most_goodput_uses_the_fleet():
    program = random_program(1)
    fleet = Program(
        columns=program.columns,
        demands=program.demands,
        devices={"big": 3, "small": 2},
        has_most_goodput=True,
    )
    found = fleet.solve()
    assert found is not None and math.isfinite(found.scale)
    double = Program(
        columns=program.columns,
        demands=program.demands,
        devices={"big": 6, "small": 4},
        has_most_goodput=True,
    ).solve()
    assert double is not None and double.scale >= 2 * found.scale * 0.99
