"""Property: whatever is sent, the answer is a call or an ApiError with a 4xx status."""

import json
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadsheet.server.chat import ChatBody, read_chat
from loadsheet.server.completions import CompletionBody, read_completion
from loadsheet.server.errors import ApiError
from loadsheet.server.images import ImageBody, read_image

READERS = {
    "chat": (read_chat, ChatBody),
    "completions": (read_completion, CompletionBody),
    "images": (partial(read_image, fresh_seed=1), ImageBody),
}
VALID = {
    "chat": {"messages": [{"role": "user", "content": "hello"}]},
    "completions": {"prompt": "hello"},
    "images": {"prompt": "hello"},
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["talker", "painter", "user", "64x64", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "role", "content", "x"]), inner)
    ),
    max_leaves=8,
)
RELAXED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(endpoint, body, catalog, context):
    read, _ = READERS[endpoint]
    try:
        call = read(body, catalog, context)
    except ApiError as error:
        assert 400 <= error.status < 500
        json.dumps(error.body()).encode()  # it can be sent
    else:
        assert all(task.request.model in ("talker", "painter") for task in call.tasks)
        assert call.tasks


@pytest.mark.parametrize("endpoint", READERS)
@RELAXED
@given(data=st.data())
def test_any_value_in_any_field(endpoint, catalog, context, data):
    names = [*READERS[endpoint][1].model_fields, "tools", "logprobs", "anything"]
    changes = data.draw(st.dictionaries(st.sampled_from(names), JSON, max_size=3))
    check(endpoint, json.dumps(VALID[endpoint] | changes).encode(), catalog, context)


@pytest.mark.parametrize("endpoint", READERS)
@RELAXED
@given(body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(endpoint, catalog, context, body):
    check(endpoint, body, catalog, context)
