"""Component and shape to operators: the table of walks."""

from collections.abc import Callable

from loadsheet.cost import cascade, dc_vae, decoder, dit, encoder, mmdit, sana, unet, vae, wan
from loadsheet.cost.operator import Operator, total
from loadsheet.cost.shape import Logits, PictureShape, StepShape, TokenShape
from loadsheet.cost.tape import Tape
from loadsheet.errors import ConfigError
from loadsheet.specs.cascade import CascadeSpec
from loadsheet.specs.decoder import DecoderSpec, Experts
from loadsheet.specs.dit import DiTSpec, HunyuanDiTSpec, Lumina2Spec, PixArtSpec, SanaSpec, WanSpec
from loadsheet.specs.encoder import BertSpec, ClipTextSpec, T5Spec
from loadsheet.specs.mmdit import Flux2Spec, FluxSpec, QwenImageSpec, Sd3Spec
from loadsheet.specs.pipeline import Component, Role
from loadsheet.specs.precision import Precision
from loadsheet.specs.spec import ModelSpec
from loadsheet.specs.unet import PixelUNetSpec, UNetSpec
from loadsheet.specs.vae import DcVaeSpec, KlVaeSpec, PaellaVaeSpec, WanVaeSpec

_TOKENS: dict[type[ModelSpec], Callable[..., None]] = {
    DecoderSpec: decoder.walk,
    BertSpec: encoder.bert,
    ClipTextSpec: encoder.clip_text,
    T5Spec: encoder.t5,
}
_DENOISERS: dict[type[ModelSpec], Callable[..., None]] = {
    UNetSpec: unet.walk,
    PixelUNetSpec: unet.walk_pixels,
    CascadeSpec: cascade.walk,
    DiTSpec: dit.dit,
    PixArtSpec: dit.pixart,
    HunyuanDiTSpec: dit.hunyuan,
    Lumina2Spec: dit.lumina2,
    SanaSpec: sana.walk,
    Sd3Spec: mmdit.sd3,
    FluxSpec: mmdit.flux,
    Flux2Spec: mmdit.flux2,
    QwenImageSpec: mmdit.qwen_image,
}
_VAES: dict[tuple[Role, type[ModelSpec]], Callable[..., None]] = {
    (Role.VAE_DECODE, KlVaeSpec): vae.kl_decode,
    (Role.VAE_ENCODE, KlVaeSpec): vae.kl_encode,
    (Role.VAE_DECODE, PaellaVaeSpec): vae.paella_decode,
    (Role.VAE_ENCODE, PaellaVaeSpec): vae.paella_encode,
    (Role.VAE_DECODE, DcVaeSpec): dc_vae.decode,
    (Role.VAE_ENCODE, DcVaeSpec): dc_vae.encode,
    (Role.VAE_DECODE, WanVaeSpec): wan.decode,
    (Role.VAE_ENCODE, WanVaeSpec): wan.encode,
}
_PARAMS_PIXELS = 1024  # parameters do not depend on the shape; any valid one will do


def operators(
    component: Component, shape: StepShape, precision: Precision | None = None
) -> list[Operator]:
    """Everything one pass of `component` runs, in order. Raises ConfigError on an impossible
    shape, with the number and the rule."""
    tape = Tape(precision or Precision())
    spec = component.spec
    if isinstance(shape, TokenShape):
        if type(spec) not in _TOKENS:
            raise ConfigError(f"{component.label} takes width and height, not tokens")
        _check_context(spec, shape)
        _TOKENS[type(spec)](tape, spec, _hidden_only(component, shape))
    elif component.role in (Role.VAE_DECODE, Role.VAE_ENCODE):
        _VAES[component.role, type(spec)](tape, spec, shape)
    elif isinstance(spec, WanSpec):
        wan.walk(tape, spec, shape, component.factor, component.time_factor)
    elif type(spec) in _DENOISERS:
        _DENOISERS[type(spec)](tape, spec, shape, component.factor)
    else:
        raise ConfigError(f"{component.label} takes tokens, not width and height")
    return tape.operators


def params(component: Component) -> int:
    """Stored parameters."""
    if type(component.spec) in _TOKENS:
        return total(operators(component, TokenShape(tokens=1, context=1))).params
    side = _PARAMS_PIXELS
    return total(operators(component, PictureShape(width=side, height=side))).params


def active_params(spec: DecoderSpec) -> int:
    """Parameters that work on one token: experts not chosen left out, embeddings included."""
    component = Component(name="decoder", role=Role.DECODER, spec=spec)
    stored = params(component)
    unused = 0
    for group in spec.layers:
        experts = group.feed_forward
        if isinstance(experts, Experts):
            each = 3 * spec.hidden_size * experts.width
            each += (2 * experts.width + spec.hidden_size) if experts.has_bias else 0
            unused += group.count * (experts.num - experts.active) * each
    return stored - unused


def _check_context(spec: ModelSpec, shape: TokenShape) -> None:
    if not isinstance(spec, BertSpec | ClipTextSpec | DecoderSpec):
        return
    limit = spec.num_positions
    if limit and shape.context > limit:
        raise ConfigError(
            f"{shape.context} tokens exceed the {limit} learned positions of the model; "
            f"prompt and reply together must stay within {limit}"
        )


def _hidden_only(component: Component, shape: TokenShape) -> TokenShape:
    """A decoder used as a text encoder never multiplies by its head."""
    if component.role is not Role.TEXT_ENCODER:
        return shape
    return TokenShape(
        tokens=shape.tokens, context=shape.context, batch=shape.batch, logits=Logits.NONE
    )
