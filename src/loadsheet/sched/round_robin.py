"""Round-robin: text iterations and image steps in turn, blind to deadlines. The fair baseline.

Chunked prefill (Sarathi-Serve, OSDI 2024) keeps its text iterations bounded; images go earliest
deadline first and batch when that pays, as under every policy.
"""

from loadsheet.sched.encoder_turn import EncoderTurns, pick_texts
from loadsheet.sched.image_batch import pick_images
from loadsheet.sched.policy import Choice, DeviceState, TextChoice
from loadsheet.sched.steady import only_choice

CHUNK_TOKENS = 512


class RoundRobinPolicy:
    def __init__(self) -> None:
        self._encoders = EncoderTurns()
        self._is_images_turn = False
        self._text_turn = 0  # which text model goes next

    def choose(self, state: DeviceState, now_s: float) -> Choice | None:
        ready = [idx for idx, group in enumerate(state.text) if group.is_ready]
        pick = pick_images(state, float("inf"), now_s)
        texts = pick_texts(state, float("inf"))
        if texts is not None:
            is_alone = pick is None and not ready
            if self._encoders.take(texts, float("inf"), is_alone=is_alone):
                return texts.choice
        if pick is not None and (self._is_images_turn or not ready):
            self._is_images_turn = False
            return pick.choice
        if not ready:
            return None
        self._is_images_turn = True
        idx = next((idx for idx in ready if idx >= self._text_turn), ready[0])
        self._text_turn = idx + 1
        return TextChoice(model=state.text[idx].model, chunk_tokens=CHUNK_TOKENS)

    def steady(self, state: DeviceState, now_s: float, max_steps: int) -> tuple[Choice, int] | None:
        choice = only_choice(state, now_s)
        if choice is None:
            return None
        self._is_images_turn = isinstance(choice, TextChoice)
        if isinstance(choice, TextChoice):
            models = [group.model for group in state.text]
            self._text_turn = models.index(choice.model) + 1
            return TextChoice(model=choice.model, chunk_tokens=CHUNK_TOKENS), max_steps
        return choice, max_steps
