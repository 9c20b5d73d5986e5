"""A U-Net beside a diffusion transformer at equal FLOPs: what the same arithmetic is spent on.

The U-Net and the transformer are published ones; the transformer is given as many layers as bring
one denoise step at the U-Net's own size to the U-Net's FLOPs, the nearest whole number of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadsheet.cost.components import operators, params
from loadsheet.cost.memory import activation_bytes
from loadsheet.cost.operator import Operator, total
from loadsheet.cost.phase import Phase, phase
from loadsheet.cost.shape import PictureShape
from loadsheet.cost.stack import Stack, run_by
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.dit import PixArtSpec
from loadsheet.specs.pipeline import Component, PipelineSpec, Role
from loadsheet.specs.precision import Precision
from loadsheet.specs.unet import UNetSpec

SIDES = (256, 512, 1024, 2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneCost:
    """One denoise step of one picture, guidance off."""

    name: str
    side: int
    params: int
    step: Phase
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneComparison:
    """`side` is where both have the same FLOPs, to `mismatch` of the U-Net's."""

    unet: str
    transformer: str
    device: str
    side: int
    layers: int
    published_layers: int
    mismatch: float
    costs: tuple[BackboneCost, ...]

    def at(self, name: str, side: int) -> BackboneCost:
        return next(cost for cost in self.costs if (cost.name, cost.side) == (name, side))


def compare_backbones(
    unet: Entry, transformer: Entry, device: Device, sides: Sequence[int] = SIDES
) -> BackboneComparison:
    net = _denoiser(unet, UNetSpec, "a latent U-Net; use sdxl, sd-1.5 or sd-2.1")
    dit = _denoiser(transformer, PixArtSpec, "a PixArt transformer; use pixart-sigma")
    assert isinstance(unet.model, PipelineSpec)
    side, text = unet.model.width, unet.model.text_tokens
    target = total(_walked(net, side, text)).flops
    equal = _deepened(dit, target, side, text)
    reached = total(_walked(equal, side, text)).flops
    assert isinstance(equal.spec, PixArtSpec) and isinstance(dit.spec, PixArtSpec)
    pairs = ((unet.name, net), (transformer.name, equal))
    return BackboneComparison(
        unet=unet.name,
        transformer=transformer.name,
        device=device.name,
        side=side,
        layers=equal.spec.num_layers,
        published_layers=dit.spec.num_layers,
        mismatch=reached / target - 1,
        costs=tuple(_cost(name, part, at, text, device) for at in sides for name, part in pairs),
    )


def sentences(comparison: BackboneComparison) -> list[str]:
    net, dit = (
        comparison.at(name, comparison.side) for name in (comparison.unet, comparison.transformer)
    )
    small, large = (
        [comparison.at(name, side) for name in (comparison.unet, comparison.transformer)]
        for side in (SIDES[0], SIDES[-1])
    )
    growth = [big.step.flops / little.step.flops for little, big in zip(small, large, strict=True)]
    return [
        f"{comparison.transformer} with {comparison.layers} layers instead of "
        f"{comparison.published_layers} has {comparison.unet}'s FLOPs at {comparison.side}x"
        f"{comparison.side}, to {100 * comparison.mismatch:+.1f} %.",
        f"For that it holds {dit.params / net.params:.2f} times the parameters: a U-Net keeps "
        "wide layers on its coarse grids, where a parameter meets few positions; a transformer "
        "uses each one at every position.",
        f"A step is {dit.step.seconds / net.step.seconds:.2f} times as long, in "
        f"{dit.step.launches:,} launches against {net.step.launches:,}: {_longest(dit)} against "
        f"{_longest(net)}.",
        f"From {SIDES[0]}x{SIDES[0]} to {SIDES[-1]}x{SIDES[-1]}, {(SIDES[-1] // SIDES[0]) ** 2} "
        f"times the pixels, FLOPs grow {growth[1]:,.0f} times in {comparison.transformer} and "
        f"{growth[0]:,.0f} times in {comparison.unet}: attention is quadratic in positions, and "
        f"takes {_attention(large[1]):.0%} and {_attention(large[0]):.0%} of the FLOPs there.",
    ]


def _longest(cost: BackboneCost) -> str:
    first = cost.step.families[0]
    return f"{first.share:.0%} of it in {first.family}"


def _attention(cost: BackboneCost) -> float:
    spent = sum(row.flops for row in cost.step.families if row.family == "attention")
    return spent / cost.step.flops


def _denoiser(entry: Entry, kind: type[UNetSpec] | type[PixArtSpec], wanted: str) -> Component:
    if isinstance(entry.model, PipelineSpec) and isinstance(entry.model.denoiser, kind):
        return entry.component(Role.DENOISER)
    raise ConfigError(f"{entry.name} is not {wanted}")


def _deepened(dit: Component, target: int, side: int, text: int) -> Component:
    """Layers are alike, so FLOPs are affine in their number."""
    assert isinstance(dit.spec, PixArtSpec)
    one, two = (total(_walked(_with_layers(dit, layers), side, text)).flops for layers in (1, 2))
    return _with_layers(dit, max(1, round(1 + (target - one) / (two - one))))


def _with_layers(dit: Component, layers: int) -> Component:
    assert isinstance(dit.spec, PixArtSpec)
    return replace(dit, spec=replace(dit.spec, num_layers=layers))


def _walked(part: Component, side: int, text: int) -> list[Operator]:
    return operators(part, PictureShape(width=side, height=side, text_tokens=text))


def _cost(name: str, part: Component, side: int, text: int, device: Device) -> BackboneCost:
    shape = PictureShape(width=side, height=side, text_tokens=text)
    run = run_by(Stack(), part, shape, Precision(), device)
    return BackboneCost(
        name=name,
        side=side,
        params=params(part),
        step=phase("denoise", 1, run, device),
        peak_bytes=activation_bytes(part, shape),
    )
