"""Whether kernels of such sizes were ever measured: `calibration/ranges.toml` says what was."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from loadsheet.cost.kernel.silicon import FOLDER
from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRange:
    """Smallest and largest value of each size, and the formats."""

    sizes: Mapping[str, tuple[int, int]]
    dtypes: frozenset[str]


def is_covered(kernel: str, sizes: Mapping[str, int], dtype: str) -> bool:
    """True when every size lies within the measured ones and the format was among them."""
    found = _range_of(kernel)
    if set(found.sizes) != set(sizes):
        raise ConfigError(f"ranges.toml: [{kernel}] must name {', '.join(sizes)}")
    if dtype not in found.dtypes:
        return False
    limits = found.sizes
    return all(limits[name][0] <= value <= limits[name][1] for name, value in sizes.items())


@cache
def _range_of(kernel: str) -> MeasuredRange:
    with (FOLDER / "ranges.toml").open("rb") as handle:
        table = tomllib.load(handle).get(kernel)
    if table is None:
        raise ConfigError(f"ranges.toml names no {kernel}")
    return MeasuredRange(
        sizes={name: (pair[0], pair[1]) for name, pair in table.items() if name != "dtypes"},
        dtypes=frozenset(table["dtypes"]),
    )
