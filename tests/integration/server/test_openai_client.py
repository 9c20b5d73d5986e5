"""The public client against the server: replies, streams, images, and the right exceptions."""

import base64
import io

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image

from loadsheet.server.config import ServerConfig

HELLO = [{"role": "user", "content": "hello"}]
WORDS = "w0 w1 w2 w3 "


@pytest.fixture
def client(app):
    with OpenAI(base_url=f"{app.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def picture(b64_json):
    return Image.open(io.BytesIO(base64.b64decode(b64_json)))


def test_models(client):
    assert [model.id for model in client.models.list()] == ["talker", "painter"]
    assert client.models.retrieve("talker").owned_by == "loadsheet"


def test_a_chat(client):
    reply = client.chat.completions.create(model="talker", messages=HELLO)
    choice = reply.choices[0]
    assert choice.message.content == WORDS
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert reply.usage.prompt_tokens == len("user:hello\n")
    assert reply.usage.completion_tokens == 5  # four words and the end of sequence
    assert reply.usage.total_tokens == 16
    assert reply.usage.prompt_tokens_details.cached_tokens == 0


def test_a_chat_cut_at_its_limit(client):
    reply = client.chat.completions.create(model="talker", messages=HELLO, max_tokens=2)
    assert reply.choices[0].message.content == "w0 w1 "
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 2


def test_several_replies(client):
    reply = client.chat.completions.create(model="talker", messages=HELLO, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert {choice.message.content for choice in reply.choices} == {WORDS}
    assert reply.usage.completion_tokens == 15


def test_a_streamed_chat(client):
    chunks = list(client.chat.completions.create(model="talker", messages=HELLO, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == WORDS
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_streamed_chat_of_several_replies(client):
    texts = {0: "", 1: ""}
    roles = []
    for chunk in client.chat.completions.create(model="talker", messages=HELLO, stream=True, n=2):
        choice = chunk.choices[0]
        texts[choice.index] += choice.delta.content
        roles.append(choice.delta.role)
    assert texts == {0: WORDS, 1: WORDS}
    assert roles.count("assistant") == 2


def test_streamed_usage(client):
    *chunks, last = client.chat.completions.create(
        model="talker", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert last.choices == []
    assert last.usage.completion_tokens == 5
    assert all(chunk.usage is None for chunk in chunks)


async def test_the_async_client_streams_two_at_once(app):
    async with AsyncOpenAI(base_url=f"{app.url}/v1", api_key="any", max_retries=0) as client:
        streams = [
            await client.chat.completions.create(model="talker", messages=HELLO, stream=True)
            for _ in range(2)
        ]
        for stream in streams:
            texts = [chunk.choices[0].delta.content async for chunk in stream]
            assert "".join(texts) == WORDS


def test_completions(client):
    reply = client.completions.create(model="talker", prompt=["a", "bc"], max_tokens=3, n=2)
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    assert {choice.text for choice in reply.choices} == {"w0 w1 w2 "}
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 12)


def test_a_streamed_completion(client):
    chunks = list(client.completions.create(model="talker", prompt=[97, 98], stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == WORDS
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_an_image(client):
    reply = client.images.generate(model="painter", prompt="a cat", extra_body={"seed": 200})
    image = picture(reply.data[0].b64_json)
    assert (image.format, image.size) == ("PNG", (64, 64))
    assert image.getpixel((0, 0)) == (200, 200, 200)
    assert (reply.output_format, reply.size) == ("png", "64x64")


def test_several_images_with_seeds_that_count_up(client):
    reply = client.images.generate(
        prompt="a cat",
        n=3,
        size="96x64",
        extra_body={"seed": 7, "num_inference_steps": 2, "guidance_scale": 1.0},
    )
    images = [picture(one.b64_json) for one in reply.data]
    assert [image.size for image in images] == [(96, 64)] * 3
    assert [image.getpixel((5, 5))[0] for image in images] == [7, 8, 9]
    assert [one.seed for one in reply.data] == [7, 8, 9]


def test_a_streamed_image(client):
    events = list(client.images.generate(prompt="a cat", stream=True, extra_body={"seed": 9}))
    assert [event.type for event in events] == ["image_generation.completed"]
    assert picture(events[0].b64_json).getpixel((0, 0)) == (9, 9, 9)


@pytest.mark.parametrize(
    ("options", "exception", "code", "param"),
    [
        ({"model": "tolker"}, openai.NotFoundError, "model_not_found", "model"),
        ({"model": "painter"}, openai.BadRequestError, "wrong_model_kind", "model"),
        ({"temperature": 3}, openai.BadRequestError, "invalid_value", "temperature"),
        ({"max_tokens": 600}, openai.BadRequestError, "context_length_exceeded", "messages"),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            openai.BadRequestError,
            "unsupported_parameter",
            "tools",
        ),
    ],
)
def test_refusals_are_the_clients_exceptions(client, options, exception, code, param):
    with pytest.raises(exception) as caught:
        client.chat.completions.create(**{"model": "talker", "messages": HELLO, **options})
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.request_id


def test_image_refusals(client):
    with pytest.raises(openai.BadRequestError, match="64x64, 96x64"):
        client.images.generate(prompt="a cat", size="1024x1024")
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="a cat", response_format="url")
    assert caught.value.code == "unsupported_parameter"
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=b"x", prompt="a cat")
    assert caught.value.code == "unsupported_parameter"


def test_a_failing_device_is_a_server_error(app, client):
    app.executor.fail_after = 2
    with pytest.raises(openai.InternalServerError, match="NaN in logits") as caught:
        client.chat.completions.create(model="talker", messages=HELLO)
    assert caught.value.code == "execution_failed"
    with pytest.raises(openai.InternalServerError, match="NaN in latents"):
        client.images.generate(prompt="a cat")


def test_a_failure_in_the_middle_of_a_stream_is_raised(app, client):
    app.executor.fail_after = 2
    seen = []
    with pytest.raises(openai.APIError, match="NaN in logits"):
        for chunk in client.chat.completions.create(model="talker", messages=HELLO, stream=True):
            seen.append(chunk.choices[0].delta.content)
    assert seen == ["", "w0 ", "w1 "]


def test_keys(start):
    with start(ServerConfig(api_key="right")) as app:
        for key, is_right in (("right", True), ("wrong", False), ("right2", False)):
            with OpenAI(base_url=f"{app.url}/v1", api_key=key, max_retries=0) as client:
                if is_right:
                    assert len(list(client.models.list())) == 2
                else:
                    with pytest.raises(openai.AuthenticationError) as caught:
                        client.models.list()
                    assert caught.value.code == "invalid_api_key"
