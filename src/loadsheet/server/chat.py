"""`/v1/chat/completions`: the body it takes, the call it becomes, the choices it returns."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from loadsheet.errors import ConfigError
from loadsheet.runtime.model_card import ChatMessage, TextModelCard
from loadsheet.runtime.update import Token
from loadsheet.server import unsupported
from loadsheet.server.body import Body, Text, parse
from loadsheet.server.catalog import ModelCatalog
from loadsheet.server.errors import invalid
from loadsheet.server.text_body import (
    CallContext,
    TextBody,
    TextCall,
    check_fits,
    choice_count,
    text_tasks,
    usage_mode_of,
)


def _as_text(content: object) -> object:
    """A string, or the text parts of a list joined by line breaks."""
    if content is None:
        raise PydanticCustomError("content", "give a string or a list of text parts")
    if not isinstance(content, list):
        return content
    return "\n".join(_part_text(part) for part in content)


def _part_text(part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    text = part.get("text") if isinstance(part, dict) else None
    if kind != "text":
        raise PydanticCustomError(
            "unsupported_parameter", "only content parts of type 'text' are supported"
        )
    if not isinstance(text, str):
        raise PydanticCustomError("content", "a text part needs a string in 'text'")
    return text


class MessageBody(Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Text, BeforeValidator(_as_text)]


class ChatBody(TextBody):
    messages: Annotated[tuple[MessageBody, ...], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None


def read_chat(body: bytes, catalog: ModelCatalog, context: CallContext) -> TextCall:
    """The call that a body asks for; raises ApiError. Runs the tokenizer, so keep it off a loop."""
    asked = parse(ChatBody, body)
    ignored = unsupported.sift(asked.extras(), unsupported.CHAT)
    for index, message in enumerate(asked.messages):
        path = f"messages[{index}]."
        ignored += unsupported.sift(message.extras(), unsupported.MESSAGE, path)
    card = catalog.text(asked.model)
    choice_count(asked, 1, context.config)
    usage_mode = usage_mode_of(asked)
    prompt_ids = _prompt_ids(asked, card)
    max_tokens = _max_tokens(asked, card, len(prompt_ids), context)
    return TextCall(
        call_id=context.call_id,
        created=context.created,
        model=card.name,
        tasks=text_tasks(asked, card, context, [prompt_ids], max_tokens),
        prompt_tokens=len(prompt_ids),
        is_streamed=bool(asked.stream),
        usage_mode=usage_mode,
        ignored=ignored,
    )


def _prompt_ids(asked: ChatBody, card: TextModelCard) -> tuple[int, ...]:
    try:
        return card.codec.encode_chat([_chat_message(message) for message in asked.messages])
    except ConfigError as error:  # the model's template may refuse an order of roles
        raise invalid(str(error), "messages") from None


def _chat_message(message: MessageBody) -> ChatMessage:
    """`developer` is OpenAI's newer name for `system`, which chat templates know."""
    role = "system" if message.role == "developer" else message.role
    return ChatMessage(role=role, content=message.content)


def _max_tokens(
    asked: ChatBody, card: TextModelCard, prompt_tokens: int, context: CallContext
) -> int:
    limits = {limit for limit in (asked.max_completion_tokens, asked.max_tokens) if limit}
    if len(limits) > 1:
        raise invalid("max_tokens and max_completion_tokens differ; give one", "max_tokens")
    if limits:
        max_tokens = limits.pop()
        check_fits(card, prompt_tokens, max_tokens, "messages")
        return max_tokens
    check_fits(card, prompt_tokens, 1, "messages")
    return min(card.max_context_tokens - prompt_tokens, context.config.default_max_output_tokens)


class ChatFormat:
    """How a chat reply is written."""

    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def opening(self, index: int) -> dict[str, object]:
        """The role, sent right before the first token so that clients time the token."""
        delta = {"role": "assistant", "content": ""}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def piece(self, index: int, token: Token) -> dict[str, object]:
        return {
            "index": index,
            "delta": {"content": token.text},
            "logprobs": None,
            "finish_reason": token.finish_reason,
        }

    def whole(self, index: int, text: str, finish_reason: str) -> dict[str, object]:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {
            "index": index,
            "message": message,
            "logprobs": None,
            "finish_reason": finish_reason,
        }
