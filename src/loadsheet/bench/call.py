"""A request ready to be sent: path, body, and what will read the answer."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol
from zlib import crc32

import numpy as np

from loadsheet.bench.image_reply import ImageReply
from loadsheet.bench.promise import Promise
from loadsheet.bench.prompts import TokenLine, image_prompt, text_prompt
from loadsheet.bench.record import Outcome, Reply
from loadsheet.bench.text_reply import TextReply
from loadsheet.workload.shape import ImageShape, Shape, TextShape
from loadsheet.workload.traffic import Draw, ImageTraffic, TextTraffic, Traffic


class ReplyReader(Protocol):
    def feed(self, data: bytes, at_ns: int) -> None: ...

    def feed_whole(self, body: bytes, at_ns: int) -> None: ...

    def reply(self, outcome: Outcome = Outcome.OK, error: str = "") -> Reply: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    traffic: str
    index: int
    shape: Shape
    path: str
    body: bytes
    reader: Callable[[], ReplyReader]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMaker:
    """Turns draws of one class into calls; the same seed and index give the same bytes.

    With a `promise` the request tells its objective, for servers that schedule by it.
    """

    traffic: Traffic
    model: str | None
    seed: int
    token_line: TokenLine = TokenLine()
    promise: Promise | None = None

    def call(self, draw: Draw) -> Call:
        rng = np.random.default_rng([self.seed, crc32(self.traffic.name.encode()), 2, draw.index])
        shape = draw.shape
        if isinstance(self.traffic, TextTraffic) and isinstance(shape, TextShape):
            body = self._text_body(self.traffic, shape, rng)
            return self._call(draw, "/v1/chat/completions", body, TextReply)
        assert isinstance(self.traffic, ImageTraffic) and isinstance(shape, ImageShape)
        body = self._image_body(self.traffic, shape, rng, draw.index)
        return self._call(draw, "/v1/images/generations", body, ImageReply)

    def _call(
        self, draw: Draw, path: str, body: dict[str, object], reader: Callable[[], ReplyReader]
    ) -> Call:
        named = body if self.model is None else {"model": self.model, **body}
        if self.promise is not None:
            slo = asdict(self.promise.slo_of(draw.shape))
            named["slo"] = {name: value for name, value in slo.items() if name != "percentile"}
        return Call(
            traffic=self.traffic.name,
            index=draw.index,
            shape=draw.shape,
            path=path,
            body=json.dumps(named).encode(),
            reader=reader,
        )

    def _text_body(
        self, traffic: TextTraffic, shape: TextShape, rng: np.random.Generator
    ) -> dict[str, object]:
        prompt = text_prompt(self.token_line.words_for(shape.prompt_tokens), rng)
        body: dict[str, object] = {
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": shape.output_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return body | {"ignore_eos": True} if traffic.ignore_eos else body

    def _image_body(
        self, traffic: ImageTraffic, shape: ImageShape, rng: np.random.Generator, index: int
    ) -> dict[str, object]:
        """Field names of vLLM-Omni and SGLang; the seed makes runs draw the same images."""
        body: dict[str, object] = {
            "prompt": image_prompt(rng),
            "n": shape.num_images,
            "size": f"{shape.width}x{shape.height}",
            "response_format": "b64_json",
            "num_inference_steps": shape.num_steps,
            "seed": self.seed + index,
        }
        if shape.guidance_scale is not None:
            body["guidance_scale"] = shape.guidance_scale
        if traffic.partial_images:
            body |= {"stream": True, "partial_images": traffic.partial_images}
        return body
