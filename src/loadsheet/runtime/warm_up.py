"""One short request per model before the doors open.

The first step of each kind is slow (kernels are chosen, memory is touched, libraries load); a user
should not pay for it. The requests go through the loop like any other, so the scheduler learns its
first step times and the event log stays complete.
"""

import queue
from collections.abc import Sequence

from loadsheet.errors import ExecutorError
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.model_card import (
    EncoderModelCard,
    ImageModelCard,
    ModelCard,
    TextModelCard,
)
from loadsheet.runtime.payload import EncodePayload, ImagePayload, Sampling, TextPayload
from loadsheet.runtime.update import Encoded, Failed, Image, Rejected, Token, Update
from loadsheet.workload.request import EncodeRequest, ImageRequest, TextRequest

_OUTPUT_TOKENS = 4
_NUM_STEPS = 2
_TIMEOUT_S = 600.0


def warm_up(loop: DeviceLoop, cards: Sequence[ModelCard]) -> None:
    """Run one request on each model; ExecutorError with the reason when one cannot run."""
    for card in cards:
        updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        if isinstance(card, TextModelCard):
            _submit_text(loop, card, updates)
        elif isinstance(card, ImageModelCard):
            _submit_image(loop, card, updates)
        else:
            _submit_encode(loop, card, updates)
        _await_end(card.name, updates)


def _submit_text(
    loop: DeviceLoop, card: TextModelCard, updates: "queue.SimpleQueue[Update]"
) -> None:
    prompt_ids = card.codec.encode("Warm up.") or (0,)
    request = TextRequest(
        request_id=f"warm-up:{card.name}",
        model=card.name,
        arrival_s=loop.now_s(),
        prompt_tokens=len(prompt_ids),
        max_output_tokens=_OUTPUT_TOKENS,
    )
    payload = TextPayload(
        prompt_ids=prompt_ids,
        sampling=Sampling(temperature=0.0),
        max_output_tokens=_OUTPUT_TOKENS,
        is_eos_ignored=True,
    )
    loop.submit(request, payload, updates.put)


def _submit_image(
    loop: DeviceLoop, card: ImageModelCard, updates: "queue.SimpleQueue[Update]"
) -> None:
    width, height = card.sizes[0]
    request = ImageRequest(
        request_id=f"warm-up:{card.name}",
        model=card.base,
        arrival_s=loop.now_s(),
        width=width,
        height=height,
        num_steps=_NUM_STEPS,
        is_guided=card.default_guidance_scale > 1,
        adapter=None if card.adapter is None else card.adapter.name,
    )
    payload = ImagePayload(
        prompt="a circle",
        width=width,
        height=height,
        num_steps=_NUM_STEPS,
        guidance_scale=card.default_guidance_scale,
        seed=0,
    )
    loop.submit(request, payload, updates.put)


def _submit_encode(
    loop: DeviceLoop, card: EncoderModelCard, updates: "queue.SimpleQueue[Update]"
) -> None:
    token_ids = card.codec.encode("Warm up.")
    request = EncodeRequest(
        kind=card.kind,
        request_id=f"warm-up:{card.name}",
        model=card.group,
        arrival_s=loop.now_s(),
        num_tokens=len(token_ids),
    )
    head = card.name if card.labels else None
    loop.submit(request, EncodePayload(token_ids=token_ids, head=head), updates.put)


def _await_end(model: str, updates: "queue.SimpleQueue[Update]") -> None:
    while True:
        try:
            update = updates.get(timeout=_TIMEOUT_S)
        except queue.Empty:
            raise ExecutorError(f"{model} gave no answer in {_TIMEOUT_S:.0f} s") from None
        if isinstance(update, Rejected):
            raise ExecutorError(f"{model} cannot run: {update.rejection.message}")
        if isinstance(update, Failed):
            raise ExecutorError(f"{model} cannot run: {update.message}")
        if isinstance(update, Image | Encoded) or (
            isinstance(update, Token) and update.finish_reason
        ):
            return
