"""The objective a class is held to, and where it comes from."""

from dataclasses import dataclass, replace

from loadsheet.bench.record import RequestRecord
from loadsheet.workload.shape import ImageShape, Shape
from loadsheet.workload.slo import SLO, ImageSLO, TextSLO


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """With `reference_work` the deadline was measured on an image of that much work and grows."""

    slo: SLO
    origin: str
    reference_work: int | None = None

    def slo_of(self, shape: Shape) -> SLO:
        slo = self.slo
        if (
            self.reference_work is None
            or not isinstance(slo, ImageSLO)
            or not isinstance(shape, ImageShape)
        ):
            return slo
        return replace(slo, deadline_s=slo.deadline_s * shape.work / self.reference_work)

    def is_kept(self, record: RequestRecord) -> bool:
        if not record.is_ok:
            return False
        slo = self.slo_of(record.shape)
        if isinstance(slo, TextSLO):
            return record.text_timing().meets(slo)
        return record.image_timing().meets(slo)
