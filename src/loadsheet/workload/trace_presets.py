"""Small extracts of published traces, shipped so that a replay needs no download.

Each file in `traces/` says in its first lines where it comes from, under which licence, and what
was left out.
"""

from importlib.resources import files

from loadsheet.errors import ConfigError
from loadsheet.workload.trace import TraceRow, parse_trace

_PRESETS = {
    "azure-llm-2023-conv": "azure_llm_2023_conv.jsonl",
    "mooncake-conversation": "mooncake_conversation.jsonl",
}


def trace_preset(name: str) -> tuple[TraceRow, ...]:
    if name not in _PRESETS:
        raise ConfigError(f"no trace preset {name!r}; shipped: {', '.join(_PRESETS)}")
    file = files("loadsheet.workload").joinpath("traces", _PRESETS[name])
    return parse_trace(file.read_text(encoding="utf-8").splitlines(), name)
