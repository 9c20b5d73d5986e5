"""The software that runs a model: which kernels it launches, and what host and links add."""

from dataclasses import dataclass

from loadsheet.cost.components import operators
from loadsheet.cost.kernel.operator_time import Software
from loadsheet.cost.operator import Operator
from loadsheet.cost.serving.offline_image import is_modulated, issue_seconds, pass_kernels
from loadsheet.cost.serving.software import (
    image_software,
    own_image_software,
    own_text_engine,
    text_engine,
)
from loadsheet.cost.serving.text_step import TextModel, exchange_seconds, sharded, step_kernels
from loadsheet.cost.shape import StepShape, TokenShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.pipeline import Component, Role
from loadsheet.specs.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """`text` serves decoders (vllm, trtllm, sglang, triton) over `tp` devices; `image` runs
    pipelines and encoders: `compiled` graphs, or `eager`, where the host issues every operator.
    A machine that was calibrated runs our own engine, whatever is named."""

    text: str = "vllm"
    image: str = "compiled"
    tp: int = 1

    def __post_init__(self) -> None:
        text_engine(self.text)  # both raise on a name that is unknown
        image_software(self.image)
        if self.tp < 1:
            raise ConfigError(f"tp is {self.tp}; it must be 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One run of a component. `shards` are the operators as one of `num_devices` runs them.
    `host_s` follows the kernels, `exchange_s` is spent on the links, and no pass is faster than
    the host issues it in `issue_s`."""

    operators: list[Operator]
    shards: list[Operator]
    kernels: Software
    num_devices: int = 1
    host_s: float = 0.0
    issue_s: float = 0.0
    exchange_s: float = 0.0


def run_by(
    stack: Stack, component: Component, shape: StepShape, precision: Precision, device: Device
) -> Pass:
    """How `stack` runs one pass of `component`."""
    if component.role is Role.DECODER and isinstance(shape, TokenShape):
        return _served(stack, component, shape, precision, device)
    if stack.tp > 1:
        raise ConfigError(
            f"tp is {stack.tp}, but only language models are sharded here; "
            f"run {component.label} on one device (tp 1)"
        )
    walked = operators(component, shape, precision)
    rates = device.rates
    software = own_image_software(rates) if rates else image_software(stack.image)
    return Pass(
        operators=walked,
        shards=walked,
        kernels=pass_kernels(software, is_modulated=is_modulated(component)),
        host_s=software.step_us * 1e-6 if component.role is Role.DENOISER else 0.0,
        issue_s=issue_seconds(walked, software),
    )


def _served(
    stack: Stack, component: Component, shape: TokenShape, precision: Precision, device: Device
) -> Pass:
    engine = own_text_engine(device.rates) if device.rates else text_engine(stack.text)
    model = TextModel(component=component, device=device, precision=precision, tp=stack.tp)
    decoding = shape.batch if shape.tokens == 1 else 0
    walked = operators(component, shape, precision)
    return Pass(
        operators=walked,
        shards=[sharded(op, model) for op in walked],
        kernels=step_kernels(model, shape, engine),
        num_devices=stack.tp,
        host_s=(engine.iteration_us + engine.sequence_us * decoding) * 1e-6,
        exchange_s=exchange_seconds(model, shape, engine) if stack.tp > 1 else 0.0,
    )
