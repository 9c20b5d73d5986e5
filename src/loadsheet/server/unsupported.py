"""Known fields that this server does not do, and the values of them that change nothing.

A neutral value passes; any other is refused by name, because dropping it silently would return
something else than what was asked. Fields in neither list are ignored and reported in a header.
"""

from collections.abc import Mapping

from loadsheet.server.errors import unsupported

_NOTHING: tuple[object, ...] = (None, False, [], {}, "")

_TEXT: dict[str, tuple[object, ...]] = {
    "allowed_token_ids": _NOTHING,
    "audio": _NOTHING,
    "bad_words": _NOTHING,
    "chat_template": _NOTHING,
    "chat_template_kwargs": _NOTHING,
    "frequency_penalty": (None, 0),
    "function_call": (None, "none"),
    "functions": _NOTHING,
    "guided_choice": _NOTHING,
    "guided_grammar": _NOTHING,
    "guided_json": _NOTHING,
    "guided_regex": _NOTHING,
    "include_stop_str_in_output": _NOTHING,
    "length_penalty": (None, 1),
    "logit_bias": _NOTHING,
    "min_p": (None, 0),
    "min_tokens": (None, 0),
    "modalities": (None, [], ["text"]),
    "prediction": _NOTHING,
    "presence_penalty": (None, 0),
    "prompt_logprobs": (None,),
    "repetition_penalty": (None, 1),
    "response_format": (None, {"type": "text"}),
    "skip_special_tokens": (None, True),
    "stop_token_ids": _NOTHING,
    "structured_outputs": _NOTHING,
    "tool_choice": (None, "none", "auto"),  # auto without tools is a plain reply
    "tools": _NOTHING,
    "truncate_prompt_tokens": (None,),
    "use_beam_search": _NOTHING,
    "web_search_options": (None,),
}

CHAT: Mapping[str, tuple[object, ...]] = {
    **_TEXT,
    "add_generation_prompt": (None, True),
    "continue_final_message": _NOTHING,
    "echo": _NOTHING,
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
}
COMPLETIONS: Mapping[str, tuple[object, ...]] = {
    **_TEXT,
    "best_of": (None, 1),
    "echo": _NOTHING,
    "logprobs": (None, False),
    "prompt_embeds": _NOTHING,
    "suffix": _NOTHING,
}
MESSAGE: Mapping[str, tuple[object, ...]] = {
    "audio": _NOTHING,
    "function_call": _NOTHING,
    "refusal": _NOTHING,
    "tool_call_id": _NOTHING,
    "tool_calls": _NOTHING,
}
IMAGES: Mapping[str, tuple[object, ...]] = {
    "complexity": (None,),
    "frame_count": (None, 1),
    "frame_duration_ms": (None,),
    "image": _NOTHING,
    "lora": _NOTHING,
    "mask": _NOTHING,
    "output_format": (None, "png"),
    "svg": _NOTHING,
    "true_cfg_scale": (None, 1),
}
ENCODERS: Mapping[str, tuple[object, ...]] = {
    "activation": (None, True),
    "add_special_tokens": (None, True),
    "messages": _NOTHING,
    "normalize": (None, True),
    "priority": (None, 0),
    "softmax": (None, True),
    "use_activation": (None, True),
}


def sift(
    extras: Mapping[str, object], known: Mapping[str, tuple[object, ...]], path: str = ""
) -> tuple[str, ...]:
    """Names that are ignored; raises ApiError (400 `unsupported_parameter`) on the first refusal.

    `path` prefixes the names, for fields inside a list.
    """
    ignored = []
    for name, value in extras.items():
        if name not in known:
            ignored.append(path + name)
        elif not _is_neutral(value, known[name]):
            raise unsupported(f"{path}{name} is not supported by this server", path + name)
    return tuple(ignored)


def _is_neutral(value: object, neutral: tuple[object, ...]) -> bool:
    """Equal in value and kind: JSON `true` is not 1, but 0 and 0.0 are the same number."""
    return any(
        value == candidate and isinstance(value, bool) == isinstance(candidate, bool)
        for candidate in neutral
    )
