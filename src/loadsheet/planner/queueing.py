"""How full a pool may be run before requests wait too long.

Erlang-C for the chance to wait, the Allen-Cunneen factor for arrivals and services that are not
exponential: P(W > t) = C(n, ρn)·exp(-n(1-ρ)t / (s·(Ca² + Cs²)/2)). Larger pools may run fuller:
that is square-root staffing.
"""

import math
from collections.abc import Callable

_MANY = 100


def erlang_c(servers: int, offered: float) -> float:
    """The chance that an M/M/n arrival waits; `offered` in Erlang. 1 where the pool is overrun."""
    if offered >= servers:
        return 1.0
    if servers > _MANY:
        return _halfin_whitt(servers, offered)
    blocked = 1.0  # Erlang B by its recursion, which never overflows
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    used = offered / servers
    return blocked / (1 - used * (1 - blocked))


def _halfin_whitt(servers: int, offered: float) -> float:
    """Erlang-C of large pools: 1 / (1 + βΦ(β)/φ(β)) with β = (1 - ρ)√n (Halfin and Whitt 1981)."""
    beta = (1 - offered / servers) * math.sqrt(servers)
    if beta > 30:
        return 0.0
    below = 0.5 * (1 + math.erf(beta / math.sqrt(2)))
    density = math.exp(-beta * beta / 2) / math.sqrt(2 * math.pi)
    return density / (density + beta * below)


def wait_s(
    percentile: float, servers: int, used: float, service_s: float, variability: float
) -> float:
    """The wait below which a share `percentile` stays; `variability` is (Ca² + Cs²)/2."""
    if used >= 1:
        return math.inf
    waiting = erlang_c(servers, used * servers)
    if waiting <= 1 - percentile:
        return 0.0
    mean_s = service_s * variability / (servers * (1 - used))
    return mean_s * math.log(waiting / (1 - percentile))


def largest_share(fits: Callable[[float], bool], high: float) -> float:
    """The largest share up to `high` for which `fits` holds, by bisection; 0 where none does."""
    if fits(high):
        return high
    low = 0.0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
