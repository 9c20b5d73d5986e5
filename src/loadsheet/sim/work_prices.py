"""What a request will cost its device, roughly and in O(1): what routers compare.

Prompts at the price per token of one full chunk; output tokens at the price per stream of a batch
of sixteen, as they share their iterations; images step by step, texts of an encoder one by one.
"""

from dataclasses import dataclass, field

from loadsheet.sched.plan import EncoderShape, ImageShape, StepKind, TextShape
from loadsheet.sim.job import Job
from loadsheet.sim.step_prices import StepPrices
from loadsheet.workload.request import EncodeRequest, ImageRequest, TextRequest

_CHUNK_TOKENS = 512
_STREAMS = 16
_CONTEXT_TOKENS = 512


@dataclass(slots=True)
class WorkPrices:
    prices: StepPrices
    _tokens: dict[str, tuple[float, float]] = field(default_factory=dict)
    _images: dict[tuple[str, ImageShape], tuple[float, float]] = field(default_factory=dict)

    def seconds(self, job: Job) -> float:
        request = job.request
        if isinstance(request, TextRequest):
            prompt_s, output_s = self._token_prices(request.model)
            return request.prompt_tokens * prompt_s + request.max_output_tokens * output_s
        if isinstance(request, EncodeRequest):
            shape = EncoderShape(batch=1, tokens=request.num_tokens)
            return self.prices.seconds(StepKind.ENCODE, request.model, shape)
        step_s, once_s = self._image_prices(request)
        return request.num_steps * step_s + once_s

    def _token_prices(self, model: str) -> tuple[float, float]:
        """Seconds per prompt token and per output token."""
        if model not in self._tokens:
            chunk = _text(prefill_tokens=_CHUNK_TOKENS)
            batch = _text(num_decodes=_STREAMS, context=_STREAMS * _CONTEXT_TOKENS)
            chunk_s, batch_s = (
                self.prices.seconds(StepKind.TEXT, model, shape) for shape in (chunk, batch)
            )
            self._tokens[model] = chunk_s / _CHUNK_TOKENS, batch_s / _STREAMS
        return self._tokens[model]

    def _image_prices(self, request: ImageRequest) -> tuple[float, float]:
        """Seconds per denoise step, and of the rest."""
        shape = ImageShape(
            batch=1, width=request.width, height=request.height, is_guided=request.is_guided
        )
        key = request.model, shape
        if key not in self._images:
            kinds = StepKind.DENOISE, StepKind.ENCODE, StepKind.VAE_DECODE
            step_s, *rest_s = (self.prices.seconds(kind, request.model, shape) for kind in kinds)
            self._images[key] = step_s, sum(rest_s)
        return self._images[key]


def _text(*, num_decodes: int = 0, context: int = 0, prefill_tokens: int = 0) -> TextShape:
    return TextShape(
        num_decodes=num_decodes,
        decode_context_tokens=context,
        prefill_tokens=prefill_tokens,
        prefill_context_tokens=0,
    )
