"""From models, devices and promises to the bounds of a mix."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from loadsheet.cost.bounds import Bounds, MixedLoad, bounds
from loadsheet.cost.cluster_bound import DeviceRates, cluster_bound
from loadsheet.cost.memory import decoder_ledger, image_ledger, kv_bytes
from loadsheet.cost.mixed_load import ImageClass, ImageLoad, TextClass, TextLoad
from loadsheet.cost.serving.image_step import ImageModel
from loadsheet.cost.serving.text_step import TextModel
from loadsheet.cost.shape import PictureShape
from loadsheet.cost.step_cost import Setup, image_software_on, text_engine_on
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import PipelineSpec, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class MixCase:
    """A language model and an image pipeline, what is asked of each, and how they run."""

    text: Entry
    image: Entry
    replies: TextClass
    pictures: ImageClass
    setup: Setup = field(default_factory=Setup)

    def __post_init__(self) -> None:
        if not isinstance(self.text.model, DecoderSpec):
            raise ConfigError(f"{self.text.name} is no language model")
        if not isinstance(self.image.model, PipelineSpec):
            raise ConfigError(f"{self.image.name} is no image pipeline")


def bounds_on(case: MixCase, device: Device) -> Bounds:
    """Of the whole mix on one device."""
    load = MixedLoad(
        text=_replies(case, device),
        image=_pictures(case, device),
        free_sequences=_free_sequences(case, device, with_text=True, with_images=True),
    )
    return bounds(load)


def cluster_rps(case: MixCase, devices: Sequence[tuple[Device, int]]) -> float:
    """Over `count` devices of each kind, any of which may serve either class or both in turn; a
    class that a device cannot serve in time or memory is served elsewhere."""
    rates = []
    for device, count in devices:
        text, image = _replies(case, device), _pictures(case, device)
        text.work = replace(text.work, share=1.0)
        image.work = replace(image.work, share=1.0)
        room = _free_sequences(case, device, with_text=True, with_images=False)
        spare = _free_sequences(case, device, with_text=False, with_images=True)
        chat = bounds(MixedLoad(text=text, image=None, free_sequences=room))
        draw = bounds(MixedLoad(text=None, image=image, free_sequences=spare))
        rates.append(DeviceRates(count=count, text_rps=chat.serial_rps, image_rps=draw.serial_rps))
    return cluster_bound(rates, case.replies.share)


def _replies(case: MixCase, device: Device) -> TextLoad:
    (component,) = case.text.components()
    setup = case.setup
    model = TextModel(component=component, device=device, precision=setup.precision, tp=setup.tp)
    return TextLoad(model=model, engine=text_engine_on(device, setup), work=case.replies)


def _pictures(case: MixCase, device: Device) -> ImageLoad:
    model = ImageModel(
        entry=case.image,
        device=device,
        dtype=case.setup.precision.weights,
        software=image_software_on(device, case.setup),
    )
    return ImageLoad(model=model, work=case.pictures)


def _free_sequences(case: MixCase, device: Device, *, with_text: bool, with_images: bool) -> float:
    """Sequences of mean length beside weights, activations, one image's latents and the VAE."""
    free = float(device.memory_bytes)
    precision, spec = case.setup.precision, case.text.model
    assert isinstance(spec, DecoderSpec)
    assert isinstance(case.image.model, PipelineSpec)
    each = kv_bytes(spec, case.replies.mean_context, precision)
    if with_text:
        (component,) = case.text.components()
        one = decoder_ledger(
            case.text.name, component, 1, case.replies.mean_context, precision, case.setup.tp
        )
        free -= one.total_bytes() - each
    if with_images:
        parts = [part for part in case.image.components() if part.role is not Role.VAE_ENCODE]
        work = case.pictures
        shape = PictureShape(
            width=work.width, height=work.height, text_tokens=case.image.model.text_tokens
        )
        held = image_ledger(case.image.name, case.image.model, parts, shape, precision)
        free -= held.total_bytes()
    return free / each
