"""How compiled models use the cores: every thread count is said, nothing is guessed twice."""

from dataclasses import dataclass
from functools import cache

import openvino as ov
from openvino import CompiledModel, Core


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuShare:
    """Cores that one compiled model may compute on.

    Threads are not pinned by the runtime: the lane's thread is, and what it starts inherits that.
    """

    num_threads: int


@cache
def core() -> Core:
    """One for the process: plugins and their thread pools are shared."""
    return Core()


def compile_on_cpu(model: ov.Model, precision: str, share: CpuShare) -> CompiledModel:
    """`precision`: fp32 or bf16, of products and of the key/value cache alike."""
    kind = {"fp32": "f32", "bf16": "bf16"}[precision]
    settings = {
        "INFERENCE_PRECISION_HINT": kind,
        "KV_CACHE_PRECISION": kind,
        "INFERENCE_NUM_THREADS": share.num_threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    return core().compile_model(model, "CPU", settings)
