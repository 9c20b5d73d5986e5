"""What a calibration of this machine says of the models that are about to be served."""

import logging
from dataclasses import replace
from pathlib import Path

from loadsheet.cost.step_cost import ImageStepCost, Setup, TextStepCost, step_cost
from loadsheet.errors import LoadsheetError
from loadsheet.hardware.calibration_record import CalibrationRecord, read_record, record_file
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.machine_prior import image_prior, text_prior
from loadsheet.runtime.model_card import ImageModelCard
from loadsheet.runtime.open_device import OpenDevice
from loadsheet.sched.affine_prior import AffinePrior
from loadsheet.specs.model_folder import read_entry
from loadsheet.specs.precision import of

logger = logging.getLogger(__name__)

_DTYPES = {"bf16": "bfloat16", "fp32": "float32"}


def calibrated_prior(device: OpenDevice, config: DeviceConfig) -> AffinePrior | None:
    """None where the device is no processor or was calibrated in no or another way. A model that
    cannot be priced keeps the plainest guess: the first steps correct it."""
    if device.facts.get("device") != "cpu":
        return None
    try:
        record = read_record(record_file(config.cache_dir))
    except LoadsheetError as error:
        logger.info("prior=plain reason=%s", error)
        return None
    if not _is_same(record, device):
        logger.info("prior=plain reason=calibrated with other threads, dtype or engine")
        return None
    prior = AffinePrior()
    for ref in filter(None, (config.text, config.image)):
        try:
            prior = _with_model(prior, ref, record, device, config.cache_dir)
        except LoadsheetError as error:
            logger.info("prior=plain model=%s reason=%s", ref, error)
    return prior


def _is_same(record: CalibrationRecord, device: OpenDevice) -> bool:
    """Records from before there were two engines are torch's."""
    names = ("threads", "dtype", "engine")
    found = tuple(device.facts.get(name) for name in names)
    engine = record.versions.get("engine", "torch")
    return found == (str(record.host.num_threads), _DTYPES.get(record.dtype), engine)


def _with_model(
    prior: AffinePrior,
    ref: str,
    record: CalibrationRecord,
    device: OpenDevice,
    cache_dir: Path | None,
) -> AffinePrior:
    # the caller has loaded the engine already; other commands should not
    from loadsheet.engine.assets import resolve_model

    model = resolve_model(ref, cache_dir)
    entry = read_entry(model.path, model.name)
    cost = step_cost(entry, record.device(), Setup(precision=of(record.dtype)))
    if isinstance(cost, TextStepCost):
        return replace(prior, text={**prior.text, model.name: text_prior(cost)})
    card = next(one for one in device.cards if one.name == model.name)
    assert isinstance(cost, ImageStepCost) and isinstance(card, ImageModelCard)
    priced = image_prior(cost, *card.sizes[0])
    return replace(prior, images={**prior.images, model.name: priced})
