"""Which model of a deployment a class of traffic goes to, and what it was promised there."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from loadsheet.errors import ConfigError
from loadsheet.sched.plan import ImageShape as StepSize
from loadsheet.sched.plan import StepKind
from loadsheet.sim.deployment import Deployment, ReplicaGroup
from loadsheet.sim.price_book import PriceBook, ReplicaPrices
from loadsheet.workload.request import RequestKind
from loadsheet.workload.shape import ImageShape
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import StandaloneSLO, Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """`delay_s` passes before a scheduler hears of a request. `hosts` price the model on each kind
    of replica that holds it."""

    name: str
    slo: TextSLO | ImageSLO | StandaloneSLO
    delay_s: float
    hosts: tuple[ReplicaPrices, ...]

    def image_slo(self, shape: ImageShape) -> ImageSLO:
        """An image due so many times later than alone is priced on its fastest replica."""
        slo = self.slo
        if isinstance(slo, StandaloneSLO):
            alone_s = min(self._alone_s(host, shape) for host in self.hosts)
            return ImageSLO(deadline_s=slo.factor * alone_s, percentile=slo.percentile)
        assert isinstance(slo, ImageSLO)
        return slo

    def _alone_s(self, host: ReplicaPrices, shape: ImageShape) -> float:
        size = StepSize(batch=1, width=shape.width, height=shape.height, is_guided=shape.is_guided)
        encode_s, step_s, decode_s = (
            host.seconds(kind, self.name, size)
            for kind in (StepKind.ENCODE, StepKind.DENOISE, StepKind.VAE_DECODE)
        )
        return (encode_s + shape.num_steps * step_s + decode_s) * shape.num_images


def served_model(traffic: Traffic, deployment: Deployment, book: PriceBook) -> ServedModel:
    """The model that the class names, or the only one of its kind."""
    names = sorted({name for group in deployment.groups for name in _names(group, traffic.kind)})
    name = traffic.model or (names[0] if len(names) == 1 else "")
    if name not in names:
        raise _unserved(traffic, names)
    groups = [group for group in deployment.groups if name in _names(group, traffic.kind)]
    hosts = tuple(book.prices(group) for group in groups)
    delay_s = min(host.request_s[name] for host in hosts)
    return ServedModel(name=name, slo=traffic.slo, delay_s=delay_s, hosts=hosts)


def _unserved(traffic: Traffic, names: Sequence[str]) -> ConfigError:
    asked = f"model {traffic.model!r}" if traffic.model else "no model"
    near = get_close_matches(traffic.model or "", names, n=3, cutoff=0.0)
    known = ", ".join(near or names) or "none"
    return ConfigError(
        f"class {traffic.name} asks for {asked}; {traffic.kind} models that are served: {known}"
    )


def _names(group: ReplicaGroup, kind: RequestKind) -> list[str]:
    if kind is RequestKind.TEXT:
        return [one.model for one in group.text]
    if kind is RequestKind.IMAGE:
        return [one.model for one in group.images]
    return [one.model for one in group.encoders]
