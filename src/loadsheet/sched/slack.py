"""SLACK: decode just in time for the token deadlines, spend the slack on images and prefill.

Decoding costs nearly the same for one sequence or thirty, so it is a periodic task that gains
from being late; denoise steps are short and can stop after any of them. That is slack stealing
(Lehoczky and Ramos-Thuel, RTSS 1992) with a step as the quantum and earliest deadline first among
images. At each step boundary, with D the deadline of the next tokens and S = D - now - decode - m:

    an image step that ends within S, while no prompt is urgent and the image is not relaxed enough
    to let one pass                                                  → the image step
    otherwise → one text iteration, with as much prefill as still ends by D

Before both, a batch of texts for an encoder takes its turn (see encoder_turn).

Work conserving: with nothing else to do it decodes at once, and early tokens become credit. What is
lost is served after the rest (see lost_work); patience bounds what deadlines alone would starve.
"""

from dataclasses import dataclass

from loadsheet.sched.chunk import MIN_CHUNK_TOKENS, largest_chunk, prefill_s, text_seconds
from loadsheet.sched.encoder_turn import EncoderTurns, pick_texts
from loadsheet.sched.image_batch import ImagePick, pick_images
from loadsheet.sched.lost_work import give_up_images, give_up_prompts
from loadsheet.sched.plan import StepKind
from loadsheet.sched.policy import Choice, DeviceState, TextChoice
from loadsheet.sched.steady import only_choice
from loadsheet.sched.step_times import StepTimes
from loadsheet.sched.text_group import TextGroup

URGENCY = 4.0  # a prompt or image is urgent when it can wait for fewer than this many steps
RELAXED = 0.6  # an image that can pause for this share of its time lets earlier prompts pass
FREE_PREFILL = 1.1  # prefill that lengthens an iteration by less than a tenth counts as free
# Steps of the other kind that one waits for at most, where deadlines alone would starve it:
PATIENCE = 32  # an image step, while text is feasible but keeps using up its credit
SHORT_PATIENCE = 3  # the same, while text is late anyway or the step is longer than any credit;
# and a prompt without a deadline to defend


@dataclass(slots=True)
class _Need:
    """What one text group needs at this boundary."""

    group: TextGroup
    decode_s: float  # its iteration without prefill; 0 without decodes
    due_s: float  # D, infinity without decodes
    has_prompt: bool
    prefill_laxity_s: float  # of its most urgent prompt; infinity without one, or given up

    def laxity_s(self, now_s: float) -> float:
        return min(self.due_s - self.decode_s - now_s, self.prefill_laxity_s)


@dataclass(slots=True)
class _Outlook:
    """What all text groups need; `need` is the one to serve next."""

    need: _Need
    laxity_s: float  # until the next decodes must start
    margin_s: float
    prefill_laxity_s: float
    max_stall_s: float  # longest image step that full credit could pay for

    @property
    def slack_s(self) -> float:
        return self.laxity_s - self.margin_s


class SlackPolicy:
    def __init__(self) -> None:
        self._encoders = EncoderTurns()
        self._num_granted = 0  # image steps in a row while text could run
        self._num_denied = 0  # text iterations in a row while an image could step
        self._num_late = 0  # decisions in a row at which the next tokens were going to miss

    def choose(self, state: DeviceState, now_s: float) -> Choice | None:
        text = _outlook(state, now_s)
        for group in state.images:
            give_up_images(group, state.times, now_s)
        slack_s = float("inf") if text is None else text.slack_s
        pick = pick_images(state, slack_s, now_s)
        texts = pick_texts(state, slack_s)
        if texts is not None:
            is_alone = text is None and pick is None
            if self._encoders.take(texts, slack_s, is_alone=is_alone):
                return texts.choice
        if text is None:
            if pick is None:
                return None
            self._num_granted = self._num_denied = self._num_late = 0
            return pick.choice
        self._note_lateness(text, now_s)
        if pick is not None and self._may_go(pick, text, state.times):
            self._num_granted += 1
            self._num_denied = 0
            return pick.choice
        self._num_granted = 0
        self._num_denied = 0 if pick is None else self._num_denied + 1
        chunk_tokens = _chunk_tokens(text, pick, state.times)
        return TextChoice(model=text.need.group.model, chunk_tokens=chunk_tokens)

    def steady(self, state: DeviceState, now_s: float, max_steps: int) -> tuple[Choice, int] | None:
        choice = only_choice(state, now_s)
        if isinstance(choice, TextChoice):
            group = next(group for group in state.text if group.model == choice.model)
            max_steps = _steps_in_time(group, state.times, now_s, max_steps)
        if choice is None or not max_steps:
            return None
        self._num_granted = self._num_denied = self._num_late = 0
        return choice, max_steps

    def _note_lateness(self, text: _Outlook, now_s: float) -> None:
        """After two misses in a row, stop serving deadlines that are lost."""
        self._num_late = self._num_late + 1 if text.laxity_s < 0 else 0
        if self._num_late >= 2:
            need = text.need
            need.group.deadlines.give_up(need.group.it, now_s + need.decode_s, need.decode_s)

    def _may_go(self, pick: ImagePick, text: _Outlook, times: StepTimes) -> bool:
        if min(text.laxity_s, text.prefill_laxity_s) == float("inf"):  # only given-up prompts
            return self._num_granted < SHORT_PATIENCE
        seconds = pick.seconds + min(times.margin(pick.choice.kind), pick.seconds)
        is_urgent = text.prefill_laxity_s <= URGENCY * pick.seconds
        is_prompts_turn = pick.laxity_share > RELAXED and text.prefill_laxity_s < pick.laxity_s
        if seconds <= text.slack_s and not is_urgent and not is_prompts_turn:
            return True
        is_hopeless = self._num_late >= 2 or text.prefill_laxity_s < 0 or seconds > text.max_stall_s
        return self._num_denied >= (SHORT_PATIENCE if is_hopeless else PATIENCE)


def _steps_in_time(group: TextGroup, times: StepTimes, now_s: float, max_steps: int) -> int:
    """How many decodes in a row are sure to be in time: no token deadline comes nearer.

    Iterations get longer as context grows, so the last one has to keep the pace.
    """
    if group.next_token_due_s() - text_seconds(group, times, 0) < now_s:
        return 0
    while max_steps:
        shape = group.shape_after(max_steps - 1)
        if times.predict(StepKind.TEXT, group.model, shape) <= group.deadlines.pace_s():
            return max_steps
        max_steps //= 2
    return 0


def _outlook(state: DeviceState, now_s: float) -> _Outlook | None:
    needs = [_need(group, state.times, now_s) for group in state.text if group.is_ready]
    if not needs:
        return None
    if len(needs) == 1:
        return _lone_outlook(needs[0], state.times, now_s)
    laxity_s, busy_s = float("inf"), 0.0
    for need in sorted(needs, key=lambda need: need.due_s):
        busy_s += need.decode_s
        laxity_s = min(laxity_s, need.due_s - busy_s - now_s)
    margin_s = min(state.times.margin(StepKind.TEXT), busy_s)  # doubles a prediction at most
    longest_gap_s = min(need.group.deadlines.max_gap_s() for need in needs)
    return _Outlook(
        need=_next_need(needs, state.times, laxity_s, now_s),
        laxity_s=laxity_s,
        margin_s=margin_s,
        prefill_laxity_s=min(need.prefill_laxity_s for need in needs),
        max_stall_s=longest_gap_s - busy_s - margin_s,
    )


def _lone_outlook(need: _Need, times: StepTimes, now_s: float) -> _Outlook:
    """The same of the one text model that has work, as is usual."""
    margin_s = min(times.margin(StepKind.TEXT), need.decode_s)
    return _Outlook(
        need=need,
        laxity_s=need.due_s - need.decode_s - now_s,
        margin_s=margin_s,
        prefill_laxity_s=need.prefill_laxity_s,
        max_stall_s=need.group.deadlines.max_gap_s() - need.decode_s - margin_s,
    )


def _next_need(needs: list[_Need], times: StepTimes, laxity_s: float, now_s: float) -> _Need:
    """Of several text models: the most urgent prompt if all decodes can wait for a chunk of it."""
    prompts = [need for need in needs if need.has_prompt]
    if prompts:
        first = min(prompts, key=lambda need: need.prefill_laxity_s)
        if text_seconds(first.group, times, MIN_CHUNK_TOKENS) - first.decode_s <= laxity_s:
            return first
    return min(needs, key=lambda need: need.laxity_s(now_s))


def _need(group: TextGroup, times: StepTimes, now_s: float) -> _Need:
    give_up_prompts(group, times, now_s)
    prompt = group.next_prefill()
    laxity_s = float("inf")
    if prompt is not None:
        laxity_s = prompt.first_token_due_s - now_s - prefill_s(group, times, prompt)
    return _Need(
        group=group,
        decode_s=text_seconds(group, times, 0) if group.num_decodes else 0.0,
        due_s=group.next_token_due_s(),
        has_prompt=prompt is not None,
        prefill_laxity_s=laxity_s,
    )


def _chunk_tokens(text: _Outlook, pick: ImagePick | None, times: StepTimes) -> int:
    """Prefill for this iteration: what still ends by D; only what is free if an image is urgent."""
    need = text.need
    tokens = need.group.prefill_tokens_ready()
    if not tokens:
        return 0
    image_s = 0.0 if pick is None else pick.seconds
    is_urgent = need.prefill_laxity_s <= URGENCY * max(need.decode_s, image_s)
    budget_s = need.decode_s + text.slack_s
    if pick is not None and not is_urgent and 0 <= pick.laxity_s < URGENCY * image_s:
        budget_s = min(budget_s, FREE_PREFILL * need.decode_s)
    fitting = largest_chunk(need.group, times, tokens, budget_s) if budget_s > need.decode_s else 0
    if fitting or not (is_urgent or need.group.num_decodes == 0):
        return fitting
    return min(tokens, MIN_CHUNK_TOKENS)
