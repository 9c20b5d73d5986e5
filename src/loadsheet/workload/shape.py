"""How much work one request asks for: what a trace row and a drawn request have in common."""

from dataclasses import dataclass

from loadsheet.errors import ConfigError
from loadsheet.workload.request import ImageRequest, RequestKind, TextRequest
from loadsheet.workload.slo import ImageSLO, TextSLO


@dataclass(frozen=True, slots=True, kw_only=True)
class TextShape:
    prompt_tokens: int
    output_tokens: int

    def __post_init__(self) -> None:
        _check_positive(prompt_tokens=self.prompt_tokens, output_tokens=self.output_tokens)

    @property
    def kind(self) -> RequestKind:
        return RequestKind.TEXT

    def request(self, request_id: str, model: str, arrival_s: float, slo: TextSLO) -> TextRequest:
        return TextRequest(
            request_id=request_id,
            model=model,
            arrival_s=arrival_s,
            prompt_tokens=self.prompt_tokens,
            max_output_tokens=self.output_tokens,
            slo=slo,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShape:
    """`guidance_scale` None leaves the choice to the model; `num_images` come from one request."""

    width: int
    height: int
    num_steps: int
    guidance_scale: float | None = None
    num_images: int = 1

    def __post_init__(self) -> None:
        _check_positive(
            width=self.width,
            height=self.height,
            num_steps=self.num_steps,
            num_images=self.num_images,
        )
        if self.guidance_scale is not None and self.guidance_scale < 0:
            raise ConfigError(f"guidance_scale is {self.guidance_scale}; give 0 or more")

    @property
    def kind(self) -> RequestKind:
        return RequestKind.IMAGE

    @property
    def work(self) -> int:
        """Pixels × steps × images: what diffusion time grows with, to first order."""
        return self.width * self.height * self.num_steps * self.num_images

    @property
    def is_guided(self) -> bool:
        """Whether each step runs two branches."""
        return self.guidance_scale is None or self.guidance_scale > 1

    def request(self, request_id: str, model: str, arrival_s: float, slo: ImageSLO) -> ImageRequest:
        """One request per image; `num_images` of them make one call."""
        return ImageRequest(
            request_id=request_id,
            model=model,
            arrival_s=arrival_s,
            width=self.width,
            height=self.height,
            num_steps=self.num_steps,
            is_guided=self.is_guided,
            slo=slo,
        )


Shape = TextShape | ImageShape


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}; give at least 1")
