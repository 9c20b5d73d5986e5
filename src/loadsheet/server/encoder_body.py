"""What `/v1/embeddings` and `/v1/classify` share: inputs, limits, and the call they become.

`input` is a string, strings, token ids, or lists of token ids. Each is one request for the device;
the reply keeps their order.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from loadsheet.runtime.model_card import EncoderModelCard
from loadsheet.runtime.payload import EncodePayload
from loadsheet.server.body import Body, Text, without_nul
from loadsheet.server.errors import invalid
from loadsheet.server.job import Task
from loadsheet.server.text_body import CallContext
from loadsheet.workload.request import EncodeRequest
from loadsheet.workload.slo import EncodeSLO

Input = str | tuple[int, ...]


def _as_inputs(value: object) -> object:
    if isinstance(value, str):
        return (_as_input(value),)
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return (_as_input(value),)
    if isinstance(value, list):
        return tuple(_as_input(item) for item in value)
    raise PydanticCustomError("input", "give a string, strings, token ids or lists of token ids")


def _as_input(value: object) -> Input:
    if isinstance(value, str):
        return without_nul(value)
    if isinstance(value, list) and all(type(item) is int for item in value):
        return tuple(value)
    raise PydanticCustomError("input", "give a string, strings, token ids or lists of token ids")


class EncodeSLOBody(Body):
    """An extension: when the answer is due, instead of the model's default."""

    model_config = ConfigDict(extra="forbid")

    deadline_s: Annotated[float, Field(gt=0)]


class EncoderBody(Body):
    input: Annotated[tuple[str | tuple[int, ...], ...], BeforeValidator(_as_inputs)]
    model: Text | None = None
    truncate_prompt_tokens: Annotated[int, Field(ge=-1)] | None = None
    slo: EncodeSLOBody | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCall:
    """A validated request: one task per input, in their order."""

    call_id: str
    created: int
    card: EncoderModelCard
    tasks: tuple[Task, ...]
    num_tokens: int
    ignored: tuple[str, ...]


def encoder_call(
    asked: EncoderBody, card: EncoderModelCard, context: CallContext, ignored: tuple[str, ...]
) -> EncoderCall:
    """Raises ApiError (400) with the numbers for inputs that cannot be read."""
    inputs, limit = asked.input, context.config.max_inputs
    if not 1 <= len(inputs) <= limit:
        raise invalid(f"{len(inputs)} inputs; give 1 to {limit} per request", "input")
    slo = card.slo if asked.slo is None else EncodeSLO(deadline_s=asked.slo.deadline_s)
    tasks, num_tokens = [], 0
    for index, one in enumerate(inputs):
        token_ids = _token_ids(one, index, card, asked.truncate_prompt_tokens)
        request = EncodeRequest(
            kind=card.kind,
            request_id=f"{context.call_id}-{index}",
            model=card.group,
            arrival_s=context.arrival_s,
            num_tokens=len(token_ids),
            slo=slo,
        )
        num_tokens += len(token_ids)
        payload = EncodePayload(token_ids=token_ids, head=card.name if card.labels else None)
        tasks.append(Task(request=request, payload=payload))
    return EncoderCall(
        call_id=context.call_id,
        created=context.created,
        card=card,
        tasks=tuple(tasks),
        num_tokens=num_tokens,
        ignored=ignored,
    )


def _token_ids(
    one: Input, index: int, card: EncoderModelCard, truncate: int | None
) -> tuple[int, ...]:
    where = f"input[{index}]"
    if not one:
        raise invalid(f"{where} is empty; give at least one character or token", where)
    if isinstance(one, str):
        ids = card.codec.encode(one)
    else:
        unknown = next((idx for idx in one if not 0 <= idx < card.codec.vocab_size), None)
        if unknown is not None:
            raise invalid(
                f"{where}: token id {unknown} is not in the vocabulary of "
                f"{card.codec.vocab_size} of {card.name}",
                where,
            )
        ids = card.codec.wrap(one)
    return _fitted(ids, where, card, truncate)


def _fitted(
    ids: tuple[int, ...], where: str, card: EncoderModelCard, truncate: int | None
) -> tuple[int, ...]:
    """Cut only where the client asks for it; the closing token stays."""
    limit = card.max_tokens
    if truncate is not None:
        if truncate != -1 and not 3 <= truncate <= limit:
            raise invalid(
                f"truncate_prompt_tokens is {truncate}; give 3 to {limit}, or -1 for {limit}",
                "truncate_prompt_tokens",
            )
        keep = limit if truncate == -1 else truncate
        return ids if len(ids) <= keep else (*ids[: keep - 1], ids[-1])
    if len(ids) > limit:
        raise invalid(
            f"{where} has {len(ids)} tokens, {card.name} reads {limit}; shorten it, or send "
            "truncate_prompt_tokens: -1",
            where,
            "context_length_exceeded",
        )
    return ids
