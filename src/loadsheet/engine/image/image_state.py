"""What the engine keeps for one request: first the order, then everything its steps change."""

from dataclasses import dataclass

from torch import Tensor

from loadsheet.engine.image.conditioning import Conditioning
from loadsheet.engine.image.noise_schedule import NoiseSchedule
from loadsheet.engine.image.samplers import History
from loadsheet.runtime.payload import ImagePayload


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrder:
    """An admitted request before its text is encoded."""

    request_id: str
    payload: ImagePayload
    is_guided: bool
    adapter: str | None
    schedule: NoiseSchedule

    @property
    def texts(self) -> tuple[str, ...]:
        """What is encoded, one text for each branch."""
        payload = self.payload
        return (payload.prompt, payload.negative_prompt) if self.is_guided else (payload.prompt,)


@dataclass(slots=True, kw_only=True)
class ImageState:
    """A started image. `branches` has one row, or two when guided: conditional, unconditional."""

    order: ImageOrder
    branches: Conditioning
    latents_1CHW: Tensor
    history: History = ()
    step_idx: int = 0  # denoise steps done

    @property
    def schedule(self) -> NoiseSchedule:
        return self.order.schedule
