"""Settings that make no sense are refused at start."""

import pytest

from loadsheet.errors import ConfigError
from loadsheet.server.config import ServerConfig


@pytest.mark.parametrize(
    "setting",
    [
        {"default_max_output_tokens": 0},
        {"max_choices": 0},
        {"max_body_bytes": 0},
        {"max_pending_updates": -1},
        {"body_timeout_s": 0.0},
        {"body_timeout_s": float("nan")},
        {"body_timeout_s": float("inf")},
        {"api_key": ""},
        {"api_key": "  "},
    ],
)
def test_bad_settings(setting):
    with pytest.raises(ConfigError, match=next(iter(setting)).replace("api_key", "API key")):
        ServerConfig(**setting)


def test_the_key_is_not_printed():
    assert "secret" not in repr(ServerConfig(api_key="secret"))
