"""An image generator on a kind of replica: what its pictures take of it."""

import math
from dataclasses import replace

from loadsheet.cost.ledger import Owner
from loadsheet.cost.memory import image_ledger, latent_bytes
from loadsheet.cost.serving.image_step import ImageModel, image_step_seconds
from loadsheet.cost.shape import PictureShape
from loadsheet.cost.step_cost import image_software_on
from loadsheet.cost.step_shape import ImageShape, StepKind
from loadsheet.planner.demand import Demand, ImageSizes
from loadsheet.planner.fit import ClassFit, ModelFit, Seat, usable_bytes
from loadsheet.specs.pipeline import PipelineSpec, Role
from loadsheet.units import format_bytes, format_seconds
from loadsheet.workload.slo import ImageSLO

_IMAGE_BATCHES = (1, 2, 4, 8)
_BATCH_SHARE = 0.5  # of its deadline that a whole batch of images may take
_CONDITIONING_BYTES = 4 * 4096  # of one prompt token in 32 bits, no wider than known encoders


def image_fit(seat: Seat, demands: tuple[Demand, ...]) -> ModelFit:
    pipeline = seat.entry.model
    assert isinstance(pipeline, PipelineSpec)
    parts = [part for part in seat.entry.components() if part.role is not Role.VAE_ENCODE]
    fits = [_image_class(seat, demand) for demand in demands]
    largest = max(demands, key=lambda demand: _pixels(demand))
    batch = max(batch for _, batch, _ in fits)
    sizes = _image_sizes(largest)
    shape = PictureShape(
        width=sizes.width, height=sizes.height, batch=batch, text_tokens=pipeline.text_tokens
    )
    ledger = image_ledger(seat.model.name, pipeline, parts, shape, seat.setup.precision)
    fixed = tuple(line for line in ledger.lines if line.owner in (Owner.WEIGHTS, Owner.RUNTIME))
    transient = tuple(
        line for line in ledger.lines if line.owner in (Owner.ACTIVATIONS, Owner.VAE_PEAK)
    )
    fit = ModelFit(
        model=seat.model,
        entry=seat.entry,
        device=seat.device,
        tp=seat.tp,
        classes=tuple(found for found, _, _ in fits),
        tax=0.0,
        step_s=max(step_s for _, _, step_s in fits),
        gap_s=math.inf,
        fixed=fixed,
        batch=batch,
        transient=(max(transient, key=lambda line: line.num_bytes),),
    )
    missing = ledger.total_bytes() - usable_bytes(seat.device)
    return replace(fit, rejection=_rejection(fit, missing))


def _rejection(fit: ModelFit, missing: int) -> str:
    if missing > 0:
        return f"out of memory by {format_bytes(missing)} per device"
    for one in fit.classes:
        limit_s = _image_slo(one.demand).deadline_s
        if one.alone_s > limit_s:
            shown = f"an image takes {format_seconds(one.alone_s)}"
            return f"{shown} on an idle replica > {limit_s:g} s ({one.demand.name})"
    return ""


def _image_class(seat: Seat, demand: Demand) -> tuple[ClassFit, int, float]:
    """With the batch that serves it best inside half its deadline, and one step's seconds."""
    pipeline = seat.entry.model
    assert isinstance(pipeline, PipelineSpec)
    model = ImageModel(
        entry=seat.entry,
        device=seat.device,
        dtype=seat.setup.precision.weights,
        software=image_software_on(seat.device, seat.setup),
    )
    limit_s = _BATCH_SHARE * _image_slo(demand).deadline_s
    alone_s, step_s = _image_seconds(model, demand, 1)
    best, best_batch, best_s = alone_s, 1, alone_s
    for batch in _IMAGE_BATCHES[1:]:
        whole_s, _ = _image_seconds(model, demand, batch)
        if whole_s > limit_s:
            break
        if whole_s / batch < best:
            best, best_batch, best_s = whole_s / batch, batch, whole_s
    fit = ClassFit(
        demand=demand,
        seconds=best,
        prompt_s=0.0,
        service_s=best_s,
        alone_s=alone_s,
        held_bytes=state_bytes(pipeline, _image_sizes(demand)),
        held_s=alone_s,
        service_cv=0.0,
    )
    return fit, best_batch, step_s


def _image_seconds(model: ImageModel, demand: Demand, batch: int) -> tuple[float, float]:
    """A whole batch of images, and one denoise step of it."""
    sizes = _image_sizes(demand)
    shape = ImageShape(
        batch=batch, width=sizes.width, height=sizes.height, is_guided=sizes.is_guided
    )
    encode_s, step_s, decode_s = (
        image_step_seconds(model, kind, shape)
        for kind in (StepKind.ENCODE, StepKind.DENOISE, StepKind.VAE_DECODE)
    )
    return encode_s + sizes.num_steps * step_s + decode_s, step_s


def state_bytes(pipeline: PipelineSpec, sizes: ImageSizes) -> int:
    """What one image keeps between its steps: latents and two rows of conditioning."""
    shape = PictureShape(width=sizes.width, height=sizes.height)
    return latent_bytes(pipeline, shape) + 2 * pipeline.text_tokens * _CONDITIONING_BYTES


def _pixels(demand: Demand) -> int:
    sizes = _image_sizes(demand)
    return sizes.width * sizes.height


def _image_sizes(demand: Demand) -> ImageSizes:
    assert isinstance(demand.sizes, ImageSizes), demand.name
    return demand.sizes


def _image_slo(demand: Demand) -> ImageSLO:
    assert isinstance(demand.slo, ImageSLO), demand.name
    return demand.slo
