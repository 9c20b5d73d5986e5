"""Cards with a codec of one token per character, and a context for reading bodies."""

import json

import numpy as np
import pytest

from loadsheet.errors import ConfigError
from loadsheet.runtime.model_card import ImageModelCard, TextModelCard
from loadsheet.server.catalog import ModelCatalog
from loadsheet.server.config import ServerConfig
from loadsheet.server.text_body import CallContext
from loadsheet.workload.slo import ImageSLO, TextSLO


class CharacterCodec:
    """Refuses a chat that does not end with the user, as some templates do."""

    def encode(self, text):
        return tuple(ord(character) for character in text)

    def encode_chat(self, messages):
        if messages[-1].role != "user":
            raise ConfigError("the chat template refused these messages: roles must alternate")
        return self.encode("".join(f"<{one.role}>{one.content}" for one in messages))

    def decode(self, token_ids):
        return "".join(map(chr, token_ids))


TEXT_CARD = TextModelCard(
    name="talker",
    max_context_tokens=100,
    vocab_size=200,
    codec=CharacterCodec(),
    slo=TextSLO(ttft_s=1.0, tpot_s=0.1),
)
IMAGE_CARD = ImageModelCard(
    name="painter",
    sizes=((64, 64), (96, 64)),
    default_num_steps=8,
    max_num_steps=40,
    default_guidance_scale=4.5,
    slo=ImageSLO(deadline_s=10.0),
)


@pytest.fixture
def catalog():
    return ModelCatalog((TEXT_CARD, IMAGE_CARD), created=1_700_000_000)


@pytest.fixture
def make_context():
    def make(**config):
        return CallContext(call_id="call", created=1, arrival_s=3.0, config=ServerConfig(**config))

    return make


@pytest.fixture
def context(make_context):
    return make_context(default_max_output_tokens=30)


@pytest.fixture
def encode():
    """A body as bytes; text goes through unchanged, so that broken JSON can be sent."""

    def to_bytes(body):
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()

    return to_bytes


@pytest.fixture
def pixels():
    return np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
