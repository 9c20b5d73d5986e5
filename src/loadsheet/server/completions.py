"""`/v1/completions`: the body it takes, the call it becomes, the choices it returns."""

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from loadsheet.runtime.model_card import TextModelCard
from loadsheet.runtime.update import Token
from loadsheet.server import unsupported
from loadsheet.server.body import parse, without_nul
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

_DEFAULT_MAX_TOKENS = 16  # OpenAI's and vLLM's default for this endpoint


def _as_prompts(prompt: object) -> object:
    """One string, several, one list of token ids, or several → a tuple of prompts."""
    prompts = [prompt] if isinstance(prompt, str) or _is_token_ids(prompt) else prompt
    if not isinstance(prompts, list) or not prompts or not all(map(_is_prompt, prompts)):
        raise PydanticCustomError(
            "prompt",
            "give a string, a list of strings, a list of token ids, or a list of such lists",
        )
    return tuple(without_nul(item) if isinstance(item, str) else item for item in prompts)


def _is_prompt(value: object) -> bool:
    return isinstance(value, str) or _is_token_ids(value)


def _is_token_ids(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    )


class CompletionBody(TextBody):
    prompt: Annotated[tuple[str | list[int], ...], BeforeValidator(_as_prompts)]


def read_completion(body: bytes, catalog: ModelCatalog, context: CallContext) -> TextCall:
    """The call that a body asks for; raises ApiError. Runs the tokenizer, so keep it off a loop."""
    asked = parse(CompletionBody, body)
    ignored = unsupported.sift(asked.extras(), unsupported.COMPLETIONS)
    card = catalog.text(asked.model)
    choice_count(asked, len(asked.prompt), context.config)
    usage_mode = usage_mode_of(asked)
    max_tokens = asked.max_tokens or _DEFAULT_MAX_TOKENS
    prompts = [_prompt_ids(prompt, card) for prompt in asked.prompt]
    for prompt_ids in prompts:
        check_fits(card, len(prompt_ids), max_tokens, "prompt")
    return TextCall(
        call_id=context.call_id,
        created=context.created,
        model=card.name,
        tasks=text_tasks(asked, card, context, prompts, max_tokens),
        prompt_tokens=sum(map(len, prompts)),
        is_streamed=bool(asked.stream),
        usage_mode=usage_mode,
        ignored=ignored,
    )


def _prompt_ids(prompt: str | list[int], card: TextModelCard) -> tuple[int, ...]:
    if isinstance(prompt, str):
        prompt_ids = card.codec.encode(prompt)
        if not prompt_ids:
            raise invalid("the prompt is empty", "prompt")
        return prompt_ids
    for token_id in prompt:
        if not 0 <= token_id < card.vocab_size:
            raise invalid(
                f"token id {token_id} is outside the vocabulary (0 to {card.vocab_size - 1})",
                "prompt",
            )
    return tuple(prompt)


class CompletionFormat:
    """How a completion is written."""

    whole_object = "text_completion"
    chunk_object = "text_completion"

    def opening(self, index: int) -> dict[str, object] | None:
        """Nothing: every chunk with a choice counts as a token here."""
        del index
        return None

    def piece(self, index: int, token: Token) -> dict[str, object]:
        return self.whole(index, token.text, token.finish_reason)

    def whole(self, index: int, text: str, finish_reason: str | None) -> dict[str, object]:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}
