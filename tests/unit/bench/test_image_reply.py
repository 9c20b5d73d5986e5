import json

import pytest

from loadsheet.bench.image_reply import ImageReply
from loadsheet.bench.record import Outcome


def whole(*images):
    reader = ImageReply()
    reader.feed_whole(json.dumps({"data": list(images)}).encode(), 1)
    return reader.reply()


def test_images_and_bytes_are_counted():
    reply = whole({"b64_json": "aGVsbG8="}, {"b64_json": "aGVsbG8="})
    assert (reply.num_images, reply.image_bytes, reply.outcome) == (2, 12, Outcome.OK)


def test_a_link_is_an_image_too():
    assert whole({"url": "http://x/y.png"}).num_images == 1


def test_no_image_is_an_error():
    assert whole().outcome is Outcome.ERROR


def test_an_empty_image_is_no_image():
    with pytest.raises(ValueError, match="without b64_json"):
        whole({"b64_json": ""})


def test_previews_are_stamped_and_the_finished_image_is_not_one_of_them():
    reader = ImageReply()
    for at_ns, name in enumerate(("partial_image", "partial_image", "completed"), start=1):
        document = {"type": f"image_generation.{name}", "b64_json": "aGk="}
        reader.feed(b"data: " + json.dumps(document).encode() + b"\n\n", at_ns)
    reader.feed(b"data: [DONE]\n\n", 9)
    reply = reader.reply()
    assert reply.chunk_ns == (1, 2)
    assert reply.num_images == 1


def test_an_error_in_the_stream_is_the_outcome():
    reader = ImageReply()
    reader.feed(b'data: {"error": {"message": "out of memory"}}\n\n', 1)
    reply = reader.reply()
    assert reply.outcome is Outcome.ERROR and "out of memory" in reply.error
