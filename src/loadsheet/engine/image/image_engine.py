"""Runs the image steps of a plan: encode, denoise, VAE decode, each on a batch of requests.

Between two steps everything about a request lives in its `ImageState`, so that any set of requests
of one size can share a step wherever each of them stands: a request's picture does not depend on
its company.

    admit ─► order ─► run(ENCODE) ─► state ─► run(DENOISE) × num_steps ─► run(VAE_DECODE) ─► release
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from loadsheet.engine.image.conditioning import Conditioning, Prompts, concatenate
from loadsheet.engine.image.denoise_step import denoise_step
from loadsheet.engine.image.image_state import ImageOrder, ImageState
from loadsheet.engine.image.latent_decoder import to_pixels
from loadsheet.engine.image.pipeline import ImagePipeline, Size
from loadsheet.engine.image.wardrobe import Wardrobe
from loadsheet.errors import ConfigError, ExecutorError
from loadsheet.runtime.executor import FailedOutput, ImageOutput, StepOutput
from loadsheet.runtime.payload import ImagePayload
from loadsheet.sched.plan import ImageBatch, ImageShape, StepKind, StepPlan
from loadsheet.workload.request import ImageRequest

_LATENT_BYTES = torch.float32.itemsize
_MAX_SEED = 2**63 - 1


class ImageEngine:
    """One image model on one device. `admit` and `release` may be called while `run` works."""

    def __init__(
        self, pipeline: ImagePipeline, of_share: Mapping[float, ImagePipeline] | None = None
    ) -> None:
        """`of_share` computes the same as `pipeline` on a share of the device; steps of other
        shares run on `pipeline` itself."""
        self.pipeline = pipeline
        self._of_share = dict(of_share or {})
        self._orders: dict[str, ImageOrder] = {}
        self._states: dict[str, ImageState] = {}
        self._unconditional: dict[Size, Conditioning] = {}  # of "", at most one per size
        self._wardrobe = Wardrobe(pipeline.denoise.adapters)
        with torch.inference_mode():
            self._row_bytes = self._empty_prompt(pipeline.sizes[0]).num_bytes

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Every supported (width, height); the native one first."""
        return self.pipeline.sizes

    @property
    def weight_bytes(self) -> Mapping[str, int]:
        return self.pipeline.weight_bytes

    def state_bytes(self, width: int, height: int) -> int:
        """Bytes a guided request keeps between steps: latents, sampler history, conditioning."""
        channels, rows, columns = self.pipeline.latent_shape(width, height)
        num_latents = 1 + self.pipeline.sampling.sampler.num_history
        return num_latents * channels * rows * columns * _LATENT_BYTES + 2 * self._row_bytes

    def vae_peak_bytes(self, width: int, height: int, batch: int = 1) -> int:
        """Estimated activations of one VAE decode, beside weights and states."""
        return self.pipeline.decoder.peak_bytes(width, height, batch)

    def admit(self, request: ImageRequest, payload: ImagePayload) -> None:
        self._check(request, payload)
        order = ImageOrder(
            request_id=request.request_id,
            payload=payload,
            is_guided=request.is_guided,
            adapter=request.adapter,
            schedule=self.pipeline.sampling.noise.schedule(payload.num_steps),
        )
        if request.adapter is not None:
            self._wardrobe.take(request.adapter, request.request_id)
        self._orders[request.request_id] = order

    def release(self, request_id: str) -> None:
        """Frees everything of a request; unknown ids are fine."""
        self._orders.pop(request_id, None)
        self._states.pop(request_id, None)
        self._wardrobe.give_back(request_id)

    def load_adapter(self, name: str, folder: Path) -> int:
        """From now on requests may name it; its bytes. Waits for a running denoise step."""
        return self._wardrobe.load(name, folder)

    def unload_adapter(self, name: str) -> None:
        """ConfigError while accepted images still need it, or when there is none of that name."""
        self._wardrobe.unload(name)

    def run(self, plan: StepPlan) -> tuple[StepOutput, ...]:
        """One step for every request of the plan; a failed one says so and harms no other."""
        batch, shape = plan.batch, plan.shape
        if not isinstance(batch, ImageBatch) or not isinstance(shape, ImageShape):
            raise ExecutorError(f"step {plan.step_id} of kind {plan.kind} is not an image step")
        pipeline = self._of_share.get(plan.share, self.pipeline)
        with torch.inference_mode():
            match plan.kind:
                case StepKind.ENCODE:
                    return self._encode(pipeline, batch, shape)
                case StepKind.DENOISE:
                    return self._denoise(pipeline, batch, shape)
                case StepKind.VAE_DECODE:
                    return self._decode(pipeline, batch, shape)
        raise ExecutorError(f"the image engine runs no {plan.kind} steps")

    def _encode(
        self, pipeline: ImagePipeline, batch: ImageBatch, shape: ImageShape
    ) -> tuple[StepOutput, ...]:
        """Prompts to conditioning, seeds to first latents. A text that repeats is encoded once."""
        orders = [_find(self._orders, item.request_id) for item in batch.items]
        for order in orders:
            _check_shape(order, shape)
        texts = {text for order in orders for text in order.texts}
        encoded = self._encode_texts(pipeline, texts, shape)
        for order in orders:
            self._states[order.request_id] = ImageState(
                order=order,
                branches=concatenate([encoded[text] for text in order.texts]),
                latents_1CHW=self._first_latents(order),
            )
            del self._orders[order.request_id]
        return ()

    def _denoise(
        self, pipeline: ImagePipeline, batch: ImageBatch, shape: ImageShape
    ) -> tuple[StepOutput, ...]:
        states = [_find(self._states, item.request_id) for item in batch.items]
        _check_one_adapter(states)
        for item, state in zip(batch.items, states, strict=True):
            _check_shape(state.order, shape)
            if item.step_idx != state.step_idx or state.step_idx >= state.schedule.num_steps:
                raise ExecutorError(
                    f"{item.request_id} was planned at step {item.step_idx} but stands at"
                    f" {state.step_idx} of {state.schedule.num_steps}"
                )
        latents_BCHW, histories = denoise_step(pipeline, states, is_guided=shape.is_guided)
        failed: list[StepOutput] = []
        for idx, (state, is_sound) in enumerate(
            zip(states, _all_finite(latents_BCHW), strict=True)
        ):
            if not is_sound:
                failed.append(_numeric_failure(state, f"denoise step {state.step_idx}"))
                continue
            # a copy, so that no request keeps its batch in memory
            state.latents_1CHW = latents_BCHW[idx : idx + 1].clone()
            state.history = histories[idx]
            state.step_idx += 1
        return tuple(failed)

    def _decode(
        self, pipeline: ImagePipeline, batch: ImageBatch, shape: ImageShape
    ) -> tuple[StepOutput, ...]:
        states = [_find(self._states, item.request_id) for item in batch.items]
        for state in states:
            _check_shape(state.order, shape)
            if state.step_idx != state.schedule.num_steps:
                raise ExecutorError(
                    f"{state.order.request_id} cannot be decoded: it stands at step"
                    f" {state.step_idx} of {state.schedule.num_steps}"
                )
        x_BCHW = pipeline.decoder(torch.cat([state.latents_1CHW for state in states]))
        return tuple(
            ImageOutput(request_id=state.order.request_id, pixels_HWC=to_pixels(x_CHW))
            if is_sound
            else _numeric_failure(state, "the VAE decode")
            for state, x_CHW, is_sound in zip(states, x_BCHW, _all_finite(x_BCHW), strict=True)
        )

    def _encode_texts(
        self, pipeline: ImagePipeline, texts: set[str], shape: ImageShape
    ) -> dict[str, Conditioning]:
        encoded = {"": self._empty_prompt((shape.width, shape.height))}
        fresh = tuple(sorted(texts - {""}))
        if fresh:
            prompts = Prompts(texts=fresh, width=shape.width, height=shape.height)
            encoded.update(zip(fresh, pipeline.encode(prompts).rows(), strict=True))
        return encoded

    def _empty_prompt(self, size: Size) -> Conditioning:
        """The usual unconditional branch, encoded once for each size."""
        if size not in self._unconditional:
            prompts = Prompts(texts=("",), width=size[0], height=size[1])
            self._unconditional[size] = self.pipeline.encode(prompts)
        return self._unconditional[size]

    def _first_latents(self, order: ImageOrder) -> Tensor:
        payload = order.payload
        noise_1CHW = self.pipeline.unit_noise(payload.seed, payload.width, payload.height)
        return noise_1CHW * order.schedule.init_noise_sigma

    def _check(self, request: ImageRequest, payload: ImagePayload) -> None:
        size = (payload.width, payload.height)
        if size not in self.sizes:
            known = ", ".join(f"{width}x{height}" for width, height in self.sizes)
            raise ConfigError(f"size is {size[0]}x{size[1]}; this model draws {known}")
        if not 0 <= payload.seed <= _MAX_SEED:
            raise ConfigError(f"seed is {payload.seed}; give one from 0 to {_MAX_SEED}")
        asked = (request.width, request.height, request.num_steps)
        if asked != (*size, payload.num_steps):
            raise ConfigError(
                f"request {request.request_id} and its payload differ in size or steps"
            )


Kept = TypeVar("Kept", ImageOrder, ImageState)


def _find(kept: Mapping[str, Kept], request_id: str) -> Kept:
    if request_id not in kept:
        raise ExecutorError(f"{request_id} was planned but is not admitted or not at this stage")
    return kept[request_id]


def _check_shape(order: ImageOrder, shape: ImageShape) -> None:
    payload = order.payload
    found = (payload.width, payload.height, order.is_guided)
    if found != (shape.width, shape.height, shape.is_guided):
        raise ExecutorError(
            f"{order.request_id} is {found[0]}x{found[1]}, guided: {found[2]};"
            f" its batch is {shape.width}x{shape.height}, guided: {shape.is_guided}"
        )


def _check_one_adapter(states: Sequence[ImageState]) -> None:
    adapters = {state.order.adapter for state in states}
    if len(adapters) > 1:
        names = ", ".join(sorted(name or "none" for name in adapters))
        raise ExecutorError(f"a denoise step mixes images that wear different adapters: {names}")


def _all_finite(x_BCHW: Tensor) -> list[bool]:
    finite: list[bool] = torch.isfinite(x_BCHW).flatten(start_dim=1).all(dim=1).tolist()
    return finite


def _numeric_failure(state: ImageState, where: str) -> FailedOutput:
    return FailedOutput(
        request_id=state.order.request_id, message=f"{where} gave infinite or undefined numbers"
    )
