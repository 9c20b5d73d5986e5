"""loadsheet: plan, serve, benchmark and explain LLMs and image generators on one shared device.

import loadsheet as ls
print(ls.explain("llama-3.1-8b", device="h100-sxm").table())

Names of the API load what they need when they are first used, so that `import loadsheet` stays
light and every module below can be imported without the rest.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadsheet.api.compare import compare
    from loadsheet.api.explain import explain, explain_training
    from loadsheet.api.plan import plan
    from loadsheet.api.predict import predict
    from loadsheet.api.simulate import simulate

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "explain", "explain_training", "plan", "predict", "simulate"]

_HOMES = {
    "compare": "loadsheet.api.compare",
    "explain": "loadsheet.api.explain",
    "explain_training": "loadsheet.api.explain",
    "plan": "loadsheet.api.plan",
    "predict": "loadsheet.api.predict",
    "simulate": "loadsheet.api.simulate",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'loadsheet' has no attribute {name!r}")
    return vars(importlib.import_module(_HOMES[name]))[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
