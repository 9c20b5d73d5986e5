"""What an operator may set on the HTTP side. The device has its own configuration."""

from dataclasses import dataclass, field
from pathlib import Path

from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Bounds of one server; every one is enforced with a typed error.

    `api_key` None means open. `default_max_output_tokens` is what a chat request gets when it names
    no limit. `max_choices` bounds the replies of one text request (prompts × n).
    `max_inputs` bounds the texts of one request for embeddings or labels.
    `max_pending_updates` bounds what a slow reader may leave unread before its work is cancelled.
    `adapter_folder` is where clients may load adapters from; None means they may load none.
    """

    api_key: str | None = field(default=None, repr=False)
    default_max_output_tokens: int = 1024
    max_choices: int = 64
    max_inputs: int = 256
    max_body_bytes: int = 2**20
    body_timeout_s: float = 30.0
    max_pending_updates: int = 4096
    is_page_served: bool = True
    adapter_folder: Path | None = None

    def __post_init__(self) -> None:
        if self.adapter_folder is not None and not self.adapter_folder.is_dir():
            raise ConfigError(f"--adapter-folder is {self.adapter_folder}, which is no folder")
        for name, value in (
            ("default_max_output_tokens", self.default_max_output_tokens),
            ("max_choices", self.max_choices),
            ("max_inputs", self.max_inputs),
            ("max_body_bytes", self.max_body_bytes),
            ("max_pending_updates", self.max_pending_updates),
        ):
            if value < 1:
                raise ConfigError(f"{name} is {value}; give 1 or more")
        if not 0 < self.body_timeout_s < float("inf"):
            raise ConfigError(f"body_timeout_s is {self.body_timeout_s}; give a positive number")
        if self.api_key is not None and not self.api_key.strip():
            raise ConfigError("the API key is empty; give a key, or none at all for an open server")
