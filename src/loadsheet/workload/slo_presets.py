"""Named objectives from published benchmarks and from what people notice (`slo_presets.toml`)."""

import difflib
import tomllib
from importlib.resources import files

from loadsheet.errors import ConfigError
from loadsheet.workload.slo import SLO, ImageSLO, TextSLO


def slo_preset(name: str) -> SLO:
    """The objective called `name`; raises ConfigError with the nearest names."""
    table = read_slo_presets()
    if name not in table:
        near = difflib.get_close_matches(name, table, n=3, cutoff=0.4) or sorted(table)
        raise ConfigError(f"no SLO preset {name!r}; nearest: {', '.join(near)}")
    entry = table[name]
    numbers = {key: float(value) for key, value in entry.items() if key != "source"}
    return ImageSLO(**numbers) if "deadline_s" in numbers else TextSLO(**numbers)


def read_slo_presets() -> dict[str, dict[str, float | str]]:
    """Every preset with its numbers and its source."""
    text = files("loadsheet.workload").joinpath("slo_presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
