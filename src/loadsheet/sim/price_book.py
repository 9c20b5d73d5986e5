"""What steps cost on the replicas of a deployment, made once per model and device and kept.

Kernels are priced on first use, which takes longer than many a simulation: whoever simulates more
than once (seeds, candidates) keeps the book.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loadsheet.cost.memory import part_precision, weight_bytes
from loadsheet.cost.pipelined_text import PipelinedTextCost
from loadsheet.cost.serving.decode_curve import DecodeSegment
from loadsheet.cost.step_cost import Setup, StepCost, TextStepCost, step_cost, text_engine_on
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device
from loadsheet.sched.plan import StepKind, StepShape
from loadsheet.sim.deployment import ReplicaGroup, ResidentModel
from loadsheet.specs.catalog import Catalog, Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.model_folder import read_entry
from loadsheet.specs.pipeline import Role
from loadsheet.specs.precision import of

ModelCost = StepCost | PipelinedTextCost


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaPrices:
    """`StepPrices` of one replica. `request_s` is what an engine spends on a request before the
    scheduler sees it, by model."""

    costs: Mapping[str, ModelCost]
    request_s: Mapping[str, float]

    def seconds(self, kind: StepKind, model: str, shape: StepShape) -> float:
        return self.costs[model].seconds(kind, shape)

    def decode_segment(self, model: str, num_decodes: int, context_tokens: int) -> DecodeSegment:
        cost = self.costs[model]
        assert isinstance(cost, TextStepCost | PipelinedTextCost)
        return cost.decode_segment(num_decodes, context_tokens)


@dataclass(slots=True)
class PriceBook:
    """`devices` and `entries` are known by these names before the catalogues are asked."""

    devices: Mapping[str, Device] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    _device_catalog: DeviceCatalog = field(default_factory=DeviceCatalog)
    _model_catalog: Catalog = field(default_factory=Catalog)
    _costs: dict[tuple[object, ...], ModelCost] = field(default_factory=dict)

    def device(self, name: str) -> Device:
        return self.devices.get(name) or self._device_catalog.find(name)

    def entry(self, model: ResidentModel) -> Entry:
        name = model.spec_name
        if name in self.entries:
            return self.entries[name]
        folder = Path(name)
        return read_entry(folder) if folder.is_dir() else self._model_catalog.find(name)

    def prices(self, group: ReplicaGroup) -> ReplicaPrices:
        """Raises ConfigError where a model cannot run as the group says."""
        return ReplicaPrices(
            costs={model.name: self._cost(model, group) for model in group.models},
            request_s={model.name: self._request_s(model, group) for model in group.models},
        )

    def weight_bytes(self, model: ResidentModel) -> int:
        """What has to be loaded before the model serves."""
        precision = of(model.dtype, model.kv_dtype)
        return sum(
            weight_bytes(part, part_precision(part, precision))
            for part in self.entry(model).components()
            if part.role is not Role.VAE_ENCODE
        )

    def _cost(self, model: ResidentModel, group: ReplicaGroup) -> ModelCost:
        key = (*_key(model), group.device, group.tp, group.pp)
        if key not in self._costs:
            self._costs[key] = self._price(model, group)
        return self._costs[key]

    def _price(self, model: ResidentModel, group: ReplicaGroup) -> ModelCost:
        entry, device = self.entry(model), self.device(group.device)
        cost = step_cost(entry, device, _setup(model, group))
        if group.num_devices > 1 and not isinstance(entry.model, DecoderSpec):
            raise ConfigError(
                f"{entry.name} in group {group.name} runs on one device, not on tp {group.tp} x "
                f"pp {group.pp}; put it into a group of its own"
            )
        if group.pp == 1:
            return cost
        assert isinstance(cost, TextStepCost) and isinstance(entry.model, DecoderSpec)
        return PipelinedTextCost(
            whole=cost, device=device, hidden_size=entry.model.hidden_size, pp=group.pp
        )

    def _request_s(self, model: ResidentModel, group: ReplicaGroup) -> float:
        """Transport and tokenizer; images and encoders go in without."""
        if not isinstance(self.entry(model).model, DecoderSpec):
            return 0.0
        engine = text_engine_on(self.device(group.device), _setup(model, group))
        return engine.request_ms * 1e-3


def _setup(model: ResidentModel, group: ReplicaGroup) -> Setup:
    return Setup(
        precision=of(model.dtype, model.kv_dtype),
        tp=group.tp,
        engine=model.engine,
        is_compiled=model.is_compiled,
    )


def _key(model: ResidentModel) -> tuple[object, ...]:
    return model.spec_name, model.dtype, model.kv_dtype, model.engine, model.is_compiled
