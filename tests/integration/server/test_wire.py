"""What goes over the wire, byte by byte where clients depend on it."""

import json
import socket

import httpx
import pytest

from loadsheet.server.config import ServerConfig

CHAT = {"model": "talker", "messages": [{"role": "user", "content": "hello"}]}


def events(response):
    """The JSON of every data event; the last one must be [DONE]."""
    lines = [line for line in response.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def error_of(response):
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert isinstance(body["error"]["code"], str)
    return body["error"]


def post(app, path, body, **options):
    return app.http.post(path, json=body, **options)


def test_a_chat_stream_times_tokens_right(app):
    """One role chunk right before the first token, one chunk per token, reason on the last."""
    app.executor.empty_at = {1}  # an incomplete character: still a token
    options = {"include_usage": True}
    response = post(
        app, "/v1/chat/completions", {**CHAT, "stream": True, "stream_options": options}
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    opening, *tokens, usage = events(response)
    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    deltas = [token["choices"][0]["delta"] for token in tokens]
    assert deltas == [{"content": text} for text in ("w0 ", "", "w2 ", "w3 ", "")]
    reasons = [token["choices"][0]["finish_reason"] for token in tokens]
    assert reasons == [None, None, None, None, "stop"]
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == len(tokens)
    assert usage["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    metrics = usage["metrics"]
    assert 0 <= metrics["queue_time_ms"] <= metrics["time_to_first_token_ms"]
    assert {chunk["object"] for chunk in (opening, *tokens, usage)} == {"chat.completion.chunk"}


def test_the_role_leaves_with_the_first_token(app):
    """Headers may come early; no event does, or clients would time the queue as the first token."""
    app.executor.hold()
    with app.http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as reply:
        assert reply.status_code == 200
        parts = reply.iter_raw()
        app.until(lambda: app.status()["models"][0]["running"] == 1)
        app.executor.resume()
        first = next(parts).decode()
        assert first.count("data: ") == 2
        assert '"role":"assistant"' in first
        assert '"content":"w0 "' in first
        for _ in parts:
            pass


def test_a_completion_stream_has_no_role_chunk(app):
    body = {"model": "talker", "prompt": "x", "stream": True, "max_tokens": 3}
    response = post(app, "/v1/completions", body)
    assert [chunk["choices"][0]["text"] for chunk in events(response)] == ["w0 ", "w1 ", "w2 "]


def test_continuous_usage_counts_up(app):
    """What guidellm sends, as it sends it."""
    body = {
        "model": "talker",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "max_completion_tokens": 7,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    chunks = events(post(app, "/v1/chat/completions", body))
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == [0, 1, 2, 3, 4, 5, 6, 7, 7]


def test_every_reply_carries_the_metrics(app):
    chat = post(app, "/v1/chat/completions", CHAT).json()
    assert chat["metrics"]["time_to_first_token_ms"] >= chat["metrics"]["queue_time_ms"] >= 0
    image = post(app, "/v1/images/generations", {"prompt": "a", "n": 2}).json()
    assert image["metrics"]["total_time_ms"] >= image["metrics"]["queue_time_ms"] >= 0


def test_steps_of_an_image_pass_as_comments(app):
    body = {"prompt": "a", "stream": True, "num_inference_steps": 3, "n": 2}
    lines = post(app, "/v1/images/generations", body).text.split("\n")
    comments = [line for line in lines if line.startswith(":")]
    assert sorted(comments) == [f": image {i} step {k}/3" for i in (0, 1) for k in (1, 2, 3)]
    completed = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert sorted(event["index"] for event in completed) == [0, 1]
    assert all(event["type"] == "image_generation.completed" for event in completed)


def test_ignored_fields_are_named_in_a_header(app):
    reply = post(app, "/v1/images/generations", {"prompt": "a", "quality": "hd", "user": "me"})
    assert reply.headers["x-loadsheet-ignored"] == "quality,user"
    reply = post(app, "/v1/chat/completions", {**CHAT, "stream": True, "store": True})
    assert reply.headers["x-loadsheet-ignored"] == "store"


@pytest.mark.parametrize(
    ("sent", "is_echoed"),
    [("abc-1.2:3_x", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("ä", False)],
)
def test_request_ids(app, sent, is_echoed):
    for path in ("/v1/models", "/nowhere"):
        reply = app.http.get(path, headers={"X-Request-ID": sent.encode()})
        assert (reply.headers["x-request-id"] == sent) is is_echoed
        assert reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/audio/speech", 404, "unknown_url"),
        ("GET", "/nowhere", 404, "unknown_url"),
        ("GET", "/v1/models/", 404, "model_not_found"),
        ("GET", "/assets/nothing.js", 404, "unknown_url"),
        ("GET", "/v1/models/nothing", 404, "model_not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/health", 405, "method_not_allowed"),
    ],
)
def test_wrong_urls_and_methods(app, method, path, status, code):
    reply = app.http.request(method, path)
    assert reply.status_code == status
    assert error_of(reply)["code"] == code


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/images/generations"]
)
def test_only_json_is_read(app, path):
    for content_type in (None, "text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": content_type} if content_type else {}
        reply = app.http.post(path, content=b"{}", headers=headers)
        assert (reply.status_code, error_of(reply)["code"]) == (415, "unsupported_media_type")
    reply = app.http.post(path, content=b"{", headers={"Content-Type": "application/json"})
    assert (reply.status_code, error_of(reply)["code"]) == (400, "invalid_json")


def test_a_long_body_is_refused_by_its_length(app):
    reply = post(app, "/v1/completions", {"prompt": "x" * 2**20})
    assert (reply.status_code, error_of(reply)["code"]) == (413, "body_too_large")


def test_a_long_body_without_a_length_is_refused_while_it_comes(start):
    sent = []

    def endless():
        for index in range(10_000):
            sent.append(index)
            yield b" " * 4096

    with start(ServerConfig(max_body_bytes=10_000)) as app:
        try:
            reply = app.http.post(
                "/v1/completions", content=endless(), headers={"Content-Type": "application/json"}
            )
        except (httpx.WriteError, httpx.ReadError):
            pass  # the server hung up on the rest; the answer may be lost with it
        else:
            assert (reply.status_code, error_of(reply)["code"]) == (413, "body_too_large")
    assert len(sent) < 10_000


def test_a_body_that_does_not_come_is_given_up(start):
    head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with start(ServerConfig(body_timeout_s=0.05)) as app:
        url = httpx.URL(app.url)
        with socket.create_connection((url.host, url.port), timeout=20) as raw:
            raw.sendall(f'{head}Content-Length: 100\r\n\r\n{{"prompt"'.encode())
            reply = b"".join(iter(lambda: raw.recv(4096), b""))  # until the server hangs up
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_timeout"' in reply


def test_prompts_that_never_fit_name_the_numbers(app):
    reply = post(app, "/v1/completions", {"prompt": "x" * 500, "max_tokens": 13})
    error = error_of(reply)
    assert (reply.status_code, error["code"]) == (400, "context_length_exceeded")
    assert "513" in error["message"]


def test_operations(app):
    assert (app.http.get("/health").status_code, app.http.get("/health").content) == (200, b"")
    assert app.http.head("/health").status_code == 200
    assert app.http.get("/ping").status_code == app.http.post("/ping").status_code == 200
    assert app.http.get("/version").json()["version"]
    assert app.http.get("/load").json() == {"server_load": 0}
    assert app.http.head("/metrics").status_code == 200


def test_the_status_of_a_held_device(app):
    app.executor.hold()
    with app.http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}):
        app.until(lambda: app.status()["lanes"] == ["text"])
        text, image = app.status()["models"]
        assert (text["running"], text["waiting"]) == (1, 0)
        assert 0 < text["kv_blocks"]["used"] <= text["kv_blocks"]["total"] == 256
        assert (image["running"], image["latent_bytes"]) == (0, {"used": 0, "total": 1000})
        assert app.http.get("/load").json() == {"server_load": 1}
        assert app.metric('vllm:num_requests_running{engine="0",model_name="talker"}') == 1
        app.executor.resume()


def test_metrics_after_a_chat_and_an_image(app):
    post(app, "/v1/chat/completions", CHAT)
    post(app, "/v1/images/generations", {"prompt": "a", "num_inference_steps": 6})
    status = app.status()
    assert status["steps"]["denoise"] == 6
    assert app.metric('loadsheet:steps_total{step_kind="denoise"}') == 6
    assert app.metric('loadsheet:busy_seconds_total{step_kind="denoise"}') > 0
    assert app.metric('vllm:generation_tokens_total{engine="0",model_name="talker"}') == 5
    assert app.metric('vllm_omni:image_count_total{model_name="painter"}') == 1
    assert app.metric("loadsheet:up") == 1


def test_operations_need_no_key_and_the_api_does(start):
    with start(ServerConfig(api_key="key")) as app, httpx.Client(base_url=app.url) as stranger:
        for path in ("/health", "/metrics", "/version", "/load", "/ping", "/", "/assets/app.js"):
            assert stranger.get(path).status_code == 200, path
        for path in ("/v1/models", "/v1/loadsheet/status", "/v1/nowhere"):
            reply = stranger.get(path)
            assert (reply.status_code, error_of(reply)["code"]) == (401, "invalid_api_key")
            assert reply.headers["www-authenticate"] == "Bearer"
        for header in ("key", "Basic key", "Bearer", "Bearer kee", "bearer  key"):
            is_right = header == "bearer  key"
            reply = stranger.get("/v1/models", headers={"Authorization": header})
            assert (reply.status_code == 200) is is_right, header


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(app):
    reply = app.http.get("/")
    assert reply.headers["content-security-policy"].startswith("default-src 'self'")
    for name in ("app", "api", "chat", "draw", "device"):
        script = app.http.get(f"/assets/{name}.js")
        assert script.status_code == 200
        assert "javascript" in script.headers["content-type"]
        assert "http://" not in script.text
        assert "https://" not in script.text
    assert app.http.get("/assets/style.css").status_code == 200


def test_the_page_can_be_left_out(start):
    with start(ServerConfig(is_page_served=False)) as app:
        assert app.http.get("/").status_code == 404
        assert app.http.get("/health").status_code == 200
