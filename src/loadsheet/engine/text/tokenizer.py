"""Text to token ids and back for a Hugging Face folder, with its chat template.

Only `tokenizers` and a sandboxed jinja2 are needed. A template is code from elsewhere: the sandbox
keeps it from reaching anything but the messages.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from loadsheet.engine.text.detokenizer import Detokenizer
from loadsheet.engine.text.weights import read_json
from loadsheet.errors import AssetError, ConfigError
from loadsheet.runtime.model_card import ChatMessage


class FolderTokenizer:
    """A `runtime.model_card.TextCodec` over tokenizer.json and tokenizer_config.json."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not path.exists():
            raise AssetError(f"{path} is missing; give a Hugging Face model folder")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust library raises nothing narrower
            raise AssetError(f"{path} cannot be read: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        config = read_optional_json(folder / "tokenizer_config.json")
        self._special = {
            name: _token_text(config[name])
            for name in ("bos_token", "eos_token", "pad_token", "unk_token")
            if config.get(name)
        }
        self._template = _compile_template(folder, config)
        self.eos_ids = frozenset(self._read_eos_ids(folder))

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=True).ids)

    def encode_chat(self, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
        """The template writes the special tokens itself, so none are added after it."""
        if self._template is None:
            raise ConfigError(
                "this model has no chat template; use plain completions, or a folder whose "
                "tokenizer_config.json or chat_template.jinja has one"
            )
        turns = [{"role": one.role, "content": one.content} for one in messages]
        try:
            text = self._template.render(
                messages=turns, add_generation_prompt=True, **self._special
            )
        except jinja2.TemplateError as error:
            raise ConfigError(f"the chat template refused these messages: {error}") from error
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return text

    def detokenizer(self) -> Detokenizer:
        return Detokenizer(self.decode)

    def _read_eos_ids(self, folder: Path) -> list[int]:
        for name in ("generation_config.json", "config.json"):
            eos = read_optional_json(folder / name).get("eos_token_id")
            if isinstance(eos, int):
                return [eos]
            if isinstance(eos, list):
                return [token_id for token_id in eos if isinstance(token_id, int)]
        eos_id = self._tokenizer.token_to_id(self._special.get("eos_token", ""))
        return [] if eos_id is None else [eos_id]


def read_optional_json(path: Path) -> dict[str, object]:
    return read_json(path) if path.exists() else {}


def _token_text(token: object) -> str:
    """Special tokens are written as text, or as an object with its `content`."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


def _compile_template(folder: Path, config: dict[str, object]) -> jinja2.Template | None:
    path = folder / "chat_template.jinja"
    source = path.read_text(encoding="utf-8") if path.exists() else config.get("chat_template")
    if isinstance(source, list):  # several named templates
        named = {one.get("name"): one.get("template") for one in source if isinstance(one, dict)}
        source = named.get("default")
    if not isinstance(source, str):
        return None
    # The settings and globals that chat templates are written for.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise AssetError(f"the chat template in {folder} is broken: {error}") from error


def _to_json(value: object, indent: int | None = None) -> str:
    """jinja's own filter escapes HTML, which no model was trained on."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
