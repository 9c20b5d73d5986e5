"""A group of a plan on this machine: what to open, and the plan's limits put on it.

The plan decides models, bytes, policy and promises; flags that say otherwise are refused, because a
server that quietly differs from its load sheet makes the load sheet worthless.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loadsheet.cli.device_flags import device_config
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.planner.plan import ClassForecast, Plan, PlannedGroup
from loadsheet.planner.plan_json import read_plan
from loadsheet.planner.sheet.launch import Runner, kv_bytes, runner
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.model_card import ImageModelCard, ModelCard, TextModelCard
from loadsheet.runtime.open_device import OpenDevice
from loadsheet.sched.limits import ImageLimits, TextLimits
from loadsheet.sim.deployment import ResidentModel
from loadsheet.units import format_bytes
from loadsheet.workload.slo import ImageSLO, TextSLO

_DEFAULT = DeviceConfig(text="-")


def planned_group(folder: Path, name: str | None) -> tuple[Plan, PlannedGroup]:
    """The group to serve; its name may be left out where the plan has one."""
    plan = read_plan(folder)
    groups = {group.replicas.name: group for group in plan.groups}
    if name is None and len(groups) > 1:
        raise ConfigError(
            f"{folder} plans {len(groups)} groups; give --group {' or '.join(groups)}"
        )
    found = groups.get(name) if name is not None else next(iter(groups.values()), None)
    if found is None:
        raise ConfigError(f"{folder} has no group {name!r}; there are {', '.join(groups)}")
    if runner(found) is not Runner.OURS:
        raise ConfigError(
            f"group {found.replicas.name} holds {len(found.replicas.text)} language models and "
            f"{len(found.replicas.images)} image models on {found.replicas.num_devices} devices; "
            "serve runs one of each on one device, see run_vllm.sh for the others"
        )
    return plan, found


def planned_config(
    plan: Plan, group: PlannedGroup, arguments: argparse.Namespace, models: Path | None
) -> DeviceConfig:
    """Raises ConfigError for a flag that the plan has decided, CapacityError where this machine is
    smaller than the planned device."""
    _refuse(arguments)
    replicas = group.replicas
    text = next((_ref(replicas.models, one.model, models) for one in replicas.text), None)
    image = next((_ref(replicas.models, one.model, models) for one in replicas.images), None)
    given = argparse.Namespace(**{**vars(arguments), "text": text, "image": image})
    config = device_config(given)
    return replace(
        config,
        kv_bytes=next((kv_bytes(group, one.model) for one in replicas.text), config.kv_bytes),
        latent_bytes=next((one.budget_bytes for one in replicas.images), config.latent_bytes),
        memory_bytes=group.memory_bytes,
        policy=replicas.policy,
        max_waiting_text=next((one.max_waiting for one in replicas.text), config.max_waiting_text),
        max_waiting_images=next(
            (one.max_waiting for one in replicas.images), config.max_waiting_images
        ),
        text_slo=_text_slo(plan, [one.model for one in replicas.text]) or config.text_slo,
        image_slo=_image_slo(plan, [one.model for one in replicas.images]) or config.image_slo,
    )


def check_memory(group: PlannedGroup, available_bytes: int) -> None:
    """Before anything is loaded."""
    if group.used_bytes > available_bytes:
        raise CapacityError(
            f"group {group.replicas.name} needs {format_bytes(group.used_bytes)} of a "
            f"{group.replicas.device}, this machine has {format_bytes(available_bytes)}; plan for "
            "this machine: `loadsheet calibrate`, then a cluster of device cpu"
        )


def within_plan(device: OpenDevice, group: PlannedGroup) -> OpenDevice:
    """The opened device with the plan's limits: sequences, tokens, batches, queues."""
    notes = list(device.notes)
    limits = device.limits
    text = tuple(
        _text_limits(own, planned, notes)
        for own, planned in zip(limits.text, group.replicas.text, strict=True)
    )
    images = tuple(
        _image_limits(own, planned)
        for own, planned in zip(limits.images, group.replicas.images, strict=True)
    )
    if group.replicas.device != device.facts["device"]:
        notes.append(
            f"planned for {group.replicas.device}, running on {device.facts['device']}: limits are "
            "the plan's, times will differ"
        )
    return replace(
        device,
        limits=replace(limits, text=text, images=images),
        cards=tuple(_card(card, text, images) for card in device.cards),
        notes=tuple(notes),
    )


def _card(card: ModelCard, text: Sequence[TextLimits], images: Sequence[ImageLimits]) -> ModelCard:
    """What is said to be served is what the limits let through."""
    if isinstance(card, TextModelCard):
        found = next(one for one in text if one.model == card.name)
        return replace(card, max_context_tokens=found.max_context_tokens)
    if isinstance(card, ImageModelCard):
        drawn = next(one for one in images if one.model == card.base)
        sizes = tuple((size.width, size.height) for size in drawn.sizes)
        return replace(card, sizes=sizes, max_num_steps=drawn.max_steps)
    return card


def _text_limits(own: TextLimits, planned: TextLimits, notes: list[str]) -> TextLimits:
    tokens, wanted = own.num_blocks * own.block_tokens, planned.num_blocks * planned.block_tokens
    if tokens < wanted:
        notes.append(
            f"{own.model}: the plan's KV bytes hold {tokens:,} tokens in this engine, "
            f"{wanted:,} were planned"
        )
    return replace(
        own,
        num_blocks=min(own.num_blocks, max(1, wanted // own.block_tokens)),
        max_context_tokens=min(own.max_context_tokens, planned.max_context_tokens),
        max_num_seqs=planned.max_num_seqs,
        max_waiting=planned.max_waiting,
        max_chunk_tokens=planned.max_chunk_tokens,
    )


def _image_limits(own: ImageLimits, planned: ImageLimits) -> ImageLimits:
    asked = {(size.width, size.height) for size in planned.sizes}
    sizes = tuple(size for size in own.sizes if (size.width, size.height) in asked)
    if len(sizes) < len(asked):
        missing = asked - {(size.width, size.height) for size in sizes}
        shown = ", ".join(f"{width}x{height}" for width, height in sorted(missing))
        raise ConfigError(f"{own.model} does not draw {shown}, which is planned; plan again")
    return replace(
        own,
        sizes=sizes,
        max_batch=planned.max_batch,
        max_steps=min(own.max_steps, planned.max_steps),
        max_waiting=planned.max_waiting,
    )


def _ref(resident: Sequence[ResidentModel], name: str, models: Path | None) -> str:
    """A folder under `models` called like the model, else the model's folder, else its name."""
    if models is not None:
        folder = models / name
        if not folder.is_dir():
            raise ConfigError(f"--models {models} has no folder {name}")
        return str(folder)
    model = next(one for one in resident if one.name == name)
    return model.source if Path(model.source or "-").is_dir() else model.name


def _text_slo(plan: Plan, models: Sequence[str]) -> TextSLO | None:
    """The tightest promise among the classes of the models."""
    classes = [one for one in plan.classes if one.model in models]
    limits = _tightest(classes)
    if "ttft_s" not in limits or "tpot_s" not in limits:
        return None
    share = max(one.percentile for one in classes)
    return TextSLO(ttft_s=limits["ttft_s"], tpot_s=limits["tpot_s"], percentile=share)


def _image_slo(plan: Plan, models: Sequence[str]) -> ImageSLO | None:
    classes = [one for one in plan.classes if one.model in models]
    limits = _tightest(classes)
    if "time_to_image_s" not in limits:
        return None
    share = max(one.percentile for one in classes)
    return ImageSLO(deadline_s=limits["time_to_image_s"], percentile=share)


def _tightest(classes: Sequence[ClassForecast]) -> dict[str, float]:
    limits: dict[str, float] = {}
    for item in (item for one in classes for item in one.latencies):
        limits[item.metric] = min(item.limit_s, limits.get(item.metric, item.limit_s))
    return limits


def _refuse(arguments: argparse.Namespace) -> None:
    for flag, value, default in (
        ("--text", arguments.text, None),
        ("--image", arguments.image, None),
        ("--kv-bytes", arguments.kv_bytes, None),
        ("--latent-bytes", arguments.latent_bytes, None),
        ("--memory-bytes", arguments.memory_bytes, None),
        ("--policy", arguments.policy, _DEFAULT.policy),
        ("--max-waiting-text", arguments.max_waiting_text, _DEFAULT.max_waiting_text),
        ("--max-waiting-images", arguments.max_waiting_images, _DEFAULT.max_waiting_images),
        ("--ttft-slo", arguments.ttft_slo, _DEFAULT.text_slo.ttft_s),
        ("--tpot-slo", arguments.tpot_slo, _DEFAULT.text_slo.tpot_s),
        ("--image-slo", arguments.image_slo, _DEFAULT.image_slo.deadline_s),
    ):
        if value != default:
            raise ConfigError(
                f"{flag} {value}: the plan decides that; change the workload or the cluster file "
                "and plan again"
            )
