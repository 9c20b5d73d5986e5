"""Compiled models on the cores of a CPU: every thread count is said, nothing is guessed twice."""

from functools import cache

import openvino as ov
from openvino import CompiledModel, Core

from loadsheet.engine.cpu_cores import CpuShare

# Where weights are int8, what they are multiplied with is rounded to it as well, in groups of this.
_GROUP_SIZE = 32


@cache
def core() -> Core:
    """One for the process: plugins and their thread pools are shared."""
    return Core()


def compile_on_cpu(model: ov.Model, precision: str, share: CpuShare) -> CompiledModel:
    """`precision`: fp32 or bf16, of products and of the key/value cache alike.

    Threads are not pinned by the runtime: the lane's thread is, what it starts inherits that, and
    workers that have nothing to do sleep.
    """
    kind = {"fp32": "f32", "bf16": "bf16"}[precision]
    settings = {
        "INFERENCE_PRECISION_HINT": kind,
        "KV_CACHE_PRECISION": kind,
        "INFERENCE_NUM_THREADS": share.num_threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP_SIZE,
    }
    return core().compile_model(model, "CPU", settings)
