"""The main job: chat and draw at once, from one process, with real models."""

import asyncio
import base64
import io

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

pytestmark = pytest.mark.real_weights


@pytest.fixture
async def client(flight):
    async with openai.AsyncOpenAI(base_url=f"{flight.url}/v1", api_key="none") as client:
        yield client


async def chat(client, question: str, **options) -> str:
    reply = await client.chat.completions.create(
        model="smollm2-135m-instruct",
        messages=[{"role": "user", "content": question}],
        temperature=0,
        max_tokens=48,
        **options,
    )
    return reply.choices[0].message.content


async def draw(client, prompt: str, seed: int) -> np.ndarray:
    reply = await client.images.generate(model="emoji", prompt=prompt, extra_body={"seed": seed})
    picture = Image.open(io.BytesIO(base64.b64decode(reply.data[0].b64_json)))
    return np.asarray(picture.convert("RGB")).astype(float)


async def test_the_answer_is_sensible(client):
    assert "Paris" in await chat(client, "What is the capital of France?")


async def test_the_picture_shows_what_was_asked(client):
    """A red apple is redder than green, blue or white; a green leaf is not red."""
    apple = await draw(client, "a red apple", seed=1)
    leaf = await draw(client, "a green leaf", seed=1)
    redness = lambda picture: (picture[..., 0] - picture[..., 1]).clip(0).mean()  # noqa: E731
    assert redness(apple) > 2 * redness(leaf)


async def test_chat_and_pictures_at_once_equal_each_alone(client):
    alone_text = await chat(client, "Name three colours.")
    alone_picture = await draw(client, "a cat face", seed=3)
    text, picture, *_ = await asyncio.gather(
        chat(client, "Name three colours."),
        draw(client, "a cat face", seed=3),
        draw(client, "a rocket", seed=4),
        chat(client, "Write a haiku about the sea."),
    )
    assert text[:20] == alone_text[:20]  # bf16: batches of another size may round differently
    assert np.abs(picture - alone_picture).mean() < 8  # of 255


async def test_the_same_seed_gives_the_same_picture(client):
    first, again, other = [await draw(client, "a star", seed) for seed in (5, 5, 6)]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


async def test_metrics_and_health_tell_of_the_flight(client, flight):
    await chat(client, "Hello")
    async with httpx.AsyncClient(base_url=flight.url) as http:
        assert (await http.get("/health")).status_code == 200
        metrics = (await http.get("/metrics")).text
    assert "vllm:time_to_first_token_seconds_bucket" in metrics
    assert "vllm:generation_tokens_total" in metrics


def test_the_load_sheet_names_models_memory_and_address(flight):
    for word in ("smollm2-135m-instruct", "emoji", "kv_blocks", "weights", "total", flight.url):
        assert word in flight.output
