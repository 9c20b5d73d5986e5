"""Attention beside recurrence, from 128 to 128k tokens: work, time, memory and serial depth.

All stacks have the same width and depth and only their token mixers; MLPs would add the same to
each. Seconds are what the kernels of a serving engine are expected to take on the given device,
beside the bare roofline; weights are re-read where a step must wait for the one before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from loadsheet.cost.operator import Operator, total
from loadsheet.cost.recurrent import SequenceSpec, SoftmaxSpec, serial_steps, state_values, walk
from loadsheet.cost.seconds import bound_seconds, seconds
from loadsheet.cost.serving.software import text_engine
from loadsheet.cost.shape import Span, TokenShape
from loadsheet.cost.tape import Tape
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.precision import Precision
from loadsheet.specs.recurrent import GatedRecurrentSpec, LinearAttentionSpec, Mamba2Spec
from loadsheet.units import format_bytes

LENGTHS = tuple(128 * 2**power for power in range(11))  # 128 … 131072
_HEAD_DIM = 128
_ENGINE = "vllm"
MECHANISMS = {
    "attention": "y_t = Σ_{i≤t} softmax(q_t·k_i/√d) v_i: every token looks at all before it",
    "lstm": "c_t = f⊙c_{t-1} + i⊙tanh(W x_t + U h_{t-1}), h_t = o⊙tanh(c_t): one state, updated",
    "gru": "h_t = (1-z)⊙h_{t-1} + z⊙tanh(W x_t + U(r⊙h_{t-1})): one state, two gates",
    "linear": "S_t = S_{t-1} + φ(k_t)v_tᵀ, y_t = φ(q_t)S_t: a matrix state, no softmax",
    "mamba2": "S_t = a_t S_{t-1} + x_t b_tᵀ, y_t = S_t c_t: a matrix state that decays",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceCost:
    """One mixer at one length. `utilisation` is the share of peak arithmetic in prefill."""

    name: str
    tokens: int
    prefill_flops: int
    prefill_s: float
    prefill_bound_s: float
    utilisation: float
    decode_flops: int
    decode_s: float
    state_bytes: int
    serial_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """From `tokens` on, attention costs more `what` than `other`; None: never up to the limit."""

    other: str
    what: str
    tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceComparison:
    device: str
    hidden_size: int
    num_layers: int
    costs: tuple[SequenceCost, ...]
    crossovers: tuple[Crossover, ...]

    def at(self, name: str, tokens: int) -> SequenceCost:
        return next(cost for cost in self.costs if (cost.name, cost.tokens) == (name, tokens))


def mixer(name: str, hidden_size: int, num_layers: int) -> SequenceSpec:
    if hidden_size % _HEAD_DIM:
        raise ConfigError(f"hidden size {hidden_size} is not a multiple of {_HEAD_DIM}")
    heads = hidden_size // _HEAD_DIM
    size = {"hidden_size": hidden_size, "num_layers": num_layers}
    makers: dict[str, Callable[[], SequenceSpec]] = {
        "attention": lambda: SoftmaxSpec(**size, heads=heads),
        "lstm": lambda: GatedRecurrentSpec(**size, gates=4),
        "gru": lambda: GatedRecurrentSpec(**size, gates=3),
        "linear": lambda: LinearAttentionSpec(
            **size, heads=heads, key_dim=_HEAD_DIM, value_dim=_HEAD_DIM
        ),
        "mamba2": lambda: Mamba2Spec(
            **size, heads=2 * hidden_size // 64, head_dim=64, state_dim=128, groups=1, kernel=4,
            chunk=256,
        ),
    }  # fmt: skip
    if name not in makers:
        raise ConfigError(f"mixer {name!r} is unknown; choose from {', '.join(makers)}")
    return makers[name]()


def compare_sequences(
    names: Sequence[str],
    device: Device,
    size: tuple[int, int] = (4096, 32),
) -> SequenceComparison:
    """`size` is (hidden size, layers)."""
    if min(size) < 1:
        raise ConfigError(f"hidden size {size[0]} and layers {size[1]} must be 1 or more")
    specs = {name: mixer(name, *size) for name in names}
    costs = tuple(
        cost(name, spec, tokens, device) for name, spec in specs.items() for tokens in LENGTHS
    )
    crossovers = []
    if "attention" in specs:
        for name, spec in specs.items():
            if name != "attention":
                crossovers += _crossovers(name, specs["attention"], spec)
                crossovers += _time_crossovers(name, costs)
    return SequenceComparison(
        device=device.name,
        hidden_size=size[0],
        num_layers=size[1],
        costs=costs,
        crossovers=tuple(crossovers),
    )


def cost(name: str, spec: SequenceSpec, tokens: int, device: Device) -> SequenceCost:
    prefill = _walked(spec, tokens, tokens)
    decode = _walked(spec, 1, tokens)
    kernels = text_engine(_ENGINE).kernels
    prefill_s = seconds(prefill, device, kernels)
    flops = total(prefill).flops
    return SequenceCost(
        name=name,
        tokens=tokens,
        prefill_flops=flops,
        prefill_s=prefill_s,
        prefill_bound_s=bound_seconds(prefill, device),
        utilisation=flops / (prefill_s * device.flops_per_s("bf16")),
        decode_flops=total(decode).flops,
        decode_s=seconds(decode, device, kernels),
        state_bytes=2 * state_values(spec, tokens),
        serial_steps=serial_steps(spec, tokens),
    )


def sentences(comparison: SequenceComparison) -> list[str]:
    """What the numbers say, in words."""
    names = list(dict.fromkeys(cost.name for cost in comparison.costs))
    said = [_portrait(comparison.at(name, LENGTHS[-1])) for name in names]
    said += [_crossing(crossing) for crossing in comparison.crossovers]
    if {"attention", "lstm"} <= set(names):
        fast, slow = (comparison.at(name, 8192) for name in ("attention", "lstm"))
        said.append(
            f"At 8,192 tokens the lstm has {slow.prefill_flops / fast.prefill_flops:.2g} times "
            f"attention's FLOPs and takes {slow.prefill_s / fast.prefill_s:,.0f} times as long: "
            "waiting for its own last step costs more than arithmetic does."
        )
    return said


def _portrait(long: SequenceCost) -> str:
    steps = "step" if long.serial_steps == 1 else "steps"
    return (
        f"{long.name} at {long.tokens:,} tokens: {long.serial_steps:,} dependent {steps}, "
        f"{100 * long.utilisation:.1f} % of peak arithmetic in prefill, "
        f"{format_bytes(long.state_bytes)} of state per sequence."
    )


def _crossing(crossing: Crossover) -> str:
    if crossing.tokens is None:
        return (
            f"attention needs no more {crossing.what} than {crossing.other} at any length up to "
            f"{LENGTHS[-1]:,} tokens."
        )
    return (
        f"attention needs more {crossing.what} than {crossing.other} "
        f"from {crossing.tokens:,} tokens on."
    )


def first_length(exceeds: Callable[[int], bool], limit: int = LENGTHS[-1]) -> int | None:
    """The first length for which a monotone condition holds."""
    if not exceeds(limit):
        return None
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if exceeds(middle) else (middle, high)
    return high


def _crossovers(name: str, attention: SequenceSpec, other: SequenceSpec) -> list[Crossover]:
    def flops(spec: SequenceSpec, tokens: int) -> int:
        return total(_walked(spec, tokens, tokens)).flops

    return [
        Crossover(
            other=name,
            what="prefill FLOPs",
            tokens=first_length(lambda n: flops(attention, n) > flops(other, n)),
        ),
        Crossover(
            other=name,
            what="state",
            tokens=first_length(lambda n: state_values(attention, n) > state_values(other, n)),
        ),
    ]


def _time_crossovers(name: str, costs: Sequence[SequenceCost]) -> list[Crossover]:
    """On the grid of lengths: kernels come in tiles, so time has no single crossing point."""
    of = {(cost.name, cost.tokens): cost for cost in costs}
    longer = {"prefill time": list[int](), "time per next token": list[int]()}
    for tokens in reversed(LENGTHS):
        mine, other = of["attention", tokens], of[name, tokens]
        longer["prefill time"] += [tokens] if mine.prefill_s > other.prefill_s else [0]
        longer["time per next token"] += [tokens] if mine.decode_s > other.decode_s else [0]
    found = []
    for what, seen in longer.items():
        kept = list(takewhile(bool, seen))  # from the longest down, as long as attention is slower
        found.append(Crossover(other=name, what=what, tokens=kept[-1] if kept else None))
    return found


def _walked(spec: SequenceSpec, tokens: int, context: int) -> list[Operator]:
    tape = Tape(Precision())
    walk(tape, spec, TokenShape(tokens=tokens, context=context, span=Span.SERVED))
    return tape.operators
