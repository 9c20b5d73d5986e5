"""What chat and completions share: sampling fields, limits, and the call they become."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from loadsheet.runtime.model_card import TextModelCard
from loadsheet.runtime.payload import Sampling, TextPayload
from loadsheet.server.body import Body, Text
from loadsheet.server.config import ServerConfig
from loadsheet.server.errors import invalid
from loadsheet.server.job import Task
from loadsheet.workload.request import TextRequest
from loadsheet.workload.slo import TextSLO

MAX_SEED = 2**63 - 1
_MAX_STOPS = 16
_MAX_STOP_CHARS = 1024


def _as_stops(value: object) -> object:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise PydanticCustomError("stop", "give a string or a list of strings")
    if len(stops) > _MAX_STOPS:
        raise PydanticCustomError("stop", f"give at most {_MAX_STOPS} stop strings")
    if any(not 1 <= len(stop) <= _MAX_STOP_CHARS for stop in stops):
        raise PydanticCustomError("stop", f"give 1 to {_MAX_STOP_CHARS} characters per stop string")
    return tuple(stops)


class StreamOptions(Body):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class TextSLOBody(Body):
    """An extension: what this request was promised, instead of the model's default."""

    model_config = ConfigDict(extra="forbid")

    ttft_s: Annotated[float, Field(gt=0)] | None = None
    tpot_s: Annotated[float, Field(gt=0)] | None = None


class TextBody(Body):
    model: Text | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    stop: Annotated[tuple[Text, ...], BeforeValidator(_as_stops)] = ()
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    slo: TextSLOBody | None = None


class UsageMode(Enum):
    """When a stream reports usage."""

    NEVER = "never"
    LAST = "last"  # one chunk without choices at the end
    EACH = "each"  # on every chunk as well


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCall:
    """A validated request: one task per reply, in the order of their choice index."""

    call_id: str
    created: int
    model: str
    tasks: tuple[Task, ...]
    prompt_tokens: int
    is_streamed: bool
    usage_mode: UsageMode
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What a body does not say: who asks, when, and under which configuration.

    `arrival_s` is the loop's time when the request came in; `created` is Unix time.
    """

    call_id: str
    created: int
    arrival_s: float
    config: ServerConfig


def sampling_of(body: TextBody) -> Sampling:
    return Sampling(
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        top_k=body.top_k if body.top_k is not None and body.top_k > 0 else None,
        seed=body.seed,
    )


def usage_mode_of(body: TextBody) -> UsageMode:
    options = body.stream_options
    if options is None:
        return UsageMode.NEVER
    if not body.stream:
        raise invalid("stream_options is only allowed when stream is true", "stream_options")
    if options.include_usage and options.continuous_usage_stats:
        return UsageMode.EACH
    return UsageMode.LAST if options.include_usage else UsageMode.NEVER


def slo_of(body: TextBody, card: TextModelCard) -> TextSLO:
    if body.slo is None:
        return card.slo
    return replace(
        card.slo,
        ttft_s=body.slo.ttft_s if body.slo.ttft_s is not None else card.slo.ttft_s,
        tpot_s=body.slo.tpot_s if body.slo.tpot_s is not None else card.slo.tpot_s,
    )


def check_fits(card: TextModelCard, prompt_tokens: int, max_tokens: int, param: str) -> None:
    """Raise ApiError (400 `context_length_exceeded`) with the counts when it does not fit."""
    limit = card.max_context_tokens
    if prompt_tokens + max_tokens > limit:
        raise invalid(
            f"this model's context is {limit} tokens, but {prompt_tokens + max_tokens} were asked "
            f"for ({prompt_tokens} in the prompt, {max_tokens} to write); shorten one of them",
            param,
            "context_length_exceeded",
        )


def choice_count(body: TextBody, num_prompts: int, config: ServerConfig) -> int:
    """Replies per prompt; raises ApiError when the request would start too many."""
    per_prompt = body.n or 1
    if per_prompt * num_prompts > config.max_choices:
        raise invalid(
            f"{num_prompts} prompts × n={per_prompt} are {per_prompt * num_prompts} replies; "
            f"at most {config.max_choices} per request",
            "n",
        )
    return per_prompt


def text_tasks(
    body: TextBody,
    card: TextModelCard,
    context: CallContext,
    prompts: Sequence[tuple[int, ...]],
    max_tokens: int,
) -> tuple[Task, ...]:
    """`n` tasks for each prompt. With a seed, reply i of a prompt draws with seed + i."""
    per_prompt = choice_count(body, len(prompts), context.config)
    sampling = sampling_of(body)
    tasks = []
    for index in range(per_prompt * len(prompts)):
        prompt_ids = prompts[index // per_prompt]
        request = TextRequest(
            request_id=f"{context.call_id}-{index}",
            model=card.name,
            arrival_s=context.arrival_s,
            prompt_tokens=len(prompt_ids),
            max_output_tokens=max_tokens,
            slo=slo_of(body, card),
        )
        payload = TextPayload(
            prompt_ids=prompt_ids,
            sampling=_with_seed_offset(sampling, index % per_prompt),
            max_output_tokens=max_tokens,
            stop=body.stop,
            is_eos_ignored=bool(body.ignore_eos),
        )
        tasks.append(Task(request=request, payload=payload))
    return tuple(tasks)


def _with_seed_offset(sampling: Sampling, offset: int) -> Sampling:
    if sampling.seed is None or offset == 0:
        return sampling
    return replace(sampling, seed=(sampling.seed + offset) % (MAX_SEED + 1))
