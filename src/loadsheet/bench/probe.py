"""A few requests on the idle server before the load: reach it, warm it, learn what it needs.

Two short texts fix how words become tokens on this server; a few images by themselves fix the
objective of classes that are promised a multiple of the stand-alone time.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace

from loadsheet.bench.call import CallMaker
from loadsheet.bench.http_client import HttpClient
from loadsheet.bench.promise import Promise
from loadsheet.bench.prompts import TokenLine, fit_line
from loadsheet.bench.record import RequestRecord
from loadsheet.bench.target import Target
from loadsheet.errors import ConfigError
from loadsheet.workload.request import RequestKind
from loadsheet.workload.shape import ImageShape, TextShape
from loadsheet.workload.slo import ImageSLO
from loadsheet.workload.traffic import Draw, ImageTraffic, StandaloneSLO, TextTraffic, draws

PHASE = "probe"
_PROBE_WORDS = (8, 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    client: HttpClient
    target: Target
    seed: int
    clock_ns: Callable[[], int]
    on_record: Callable[[RequestRecord], None]

    async def token_line(self, traffic: TextTraffic, model: str | None) -> TokenLine:
        """The default line (a word is a token) where the server reports no usage."""
        maker = CallMaker(traffic=replace(traffic, name=PHASE), model=model, seed=self.seed)
        points = []
        for index, num_words in enumerate(_PROBE_WORDS):
            shape = TextShape(prompt_tokens=num_words, output_tokens=2)
            record = await self._send(maker, Draw(index=index, arrival_s=None, shape=shape))
            if record.reply.prompt_tokens is None:
                return TokenLine()
            points.append((num_words, record.reply.prompt_tokens))
        return fit_line((points[0], points[1]))

    async def promise(
        self, traffic: TextTraffic | ImageTraffic, model: str | None, num_requests: int
    ) -> Promise:
        if isinstance(traffic, TextTraffic) or not isinstance(traffic.slo, StandaloneSLO):
            assert not isinstance(traffic.slo, StandaloneSLO)
            return Promise(slo=traffic.slo, origin="workload")
        time_s, work = await self._standalone(traffic, model, num_requests)
        factor = traffic.slo.factor
        return Promise(
            slo=ImageSLO(deadline_s=factor * time_s, percentile=traffic.slo.percentile),
            origin=f"{factor:g} × {time_s:.3f} s alone (median of {num_requests})",
            reference_work=work,
        )

    async def _standalone(
        self, traffic: ImageTraffic, model: str | None, num_requests: int
    ) -> tuple[float, int]:
        """Median time and the work of the class's first shape; the first image only warms up."""
        maker = CallMaker(traffic=traffic, model=model, seed=self.seed)
        first = next(draws(traffic, self.seed))
        assert isinstance(first.shape, ImageShape)
        times_s = []
        for index in range(num_requests + 1):
            record = await self._send(maker, replace(first, index=index))
            times_s.append(record.image_timing().time_to_image_s)
        return statistics.median(times_s[1:]), first.shape.work

    async def _send(self, maker: CallMaker, draw: Draw) -> RequestRecord:
        kind = draw.shape.kind
        url = self.target.url(kind)
        record = await self.client.send(
            maker.call(draw), base_url=url, phase=PHASE, due_ns=self.clock_ns()
        )
        self.on_record(record)
        if not record.is_ok:
            what = "chat" if kind is RequestKind.TEXT else "image"
            raise ConfigError(f"the first {what} request to {url} failed: {record.reply.error}")
        return record
