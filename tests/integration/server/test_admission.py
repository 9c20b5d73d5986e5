"""Refusals of the scheduler, clients that leave, and the drain."""

import signal
import socket
import threading

import httpx
import pytest

from loadsheet.server.config import ServerConfig

CHAT = {"messages": [{"role": "user", "content": "hello"}], "ignore_eos": True, "max_tokens": 400}
IMAGE = {"prompt": "a cat", "num_inference_steps": 50}


def stop_device(app):
    """A step that never ends keeps everything where it is."""
    app.executor.hold()


def post_in_thread(app, path, body):
    """A request that waits, and the list that will hold its reply."""
    replies = []
    thread = threading.Thread(
        target=lambda: replies.append(app.http.post(path, json=body)), daemon=True
    )
    thread.start()
    return thread, replies


def load(app):
    return app.http.get("/load").json()["server_load"]


def test_a_full_queue_is_a_429_with_retry_after(app):
    stop_device(app)
    threads = []
    while not app.metric("loadsheet:rejections_total"):
        threads.append(post_in_thread(app, "/v1/images/generations", IMAGE))
        assert len(threads) < 40
        app.until(lambda: load(app) >= len(threads) or app.metric("loadsheet:rejections_total"))
    thread, (reply,) = threads.pop()
    thread.join()
    assert reply.status_code == 429
    assert reply.json()["error"]["code"] == "queue_full"
    assert reply.json()["error"]["type"] == "rate_limit_error"
    assert int(reply.headers["retry-after"]) >= 1
    app.executor.resume()
    for thread, _ in threads:
        thread.join()
    assert {replies[0].status_code for _, replies in threads} == {200}


def test_one_refused_image_takes_the_others_of_its_call_back(app):
    stop_device(app)
    running, _ = post_in_thread(app, "/v1/images/generations", IMAGE)
    app.until(lambda: app.status()["models"][1]["running"] == 1)
    waiting, replies = post_in_thread(app, "/v1/images/generations", {**IMAGE, "n": 8})
    app.until(lambda: load(app) == 9)  # 8 of 12 places to wait are taken
    reply = app.http.post("/v1/images/generations", json={**IMAGE, "n": 10})
    assert reply.status_code == 429
    app.until(lambda: load(app) == 9)
    app.executor.resume()
    running.join()
    waiting.join()
    assert len(replies[0].json()["data"]) == 8


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/images/generations", IMAGE)]
)
def test_a_client_that_leaves_frees_the_work(app, path, body, is_streamed):
    stop_device(app)
    with httpx.Client(base_url=app.url, timeout=20) as client:
        raw = leave_after_sending(client, path, {**body, "stream": is_streamed})
        app.until(lambda: load(app) == 1)
        raw.close()
        app.until(lambda: app.metric("loadsheet:requests_total") == 1)
    app.executor.resume()
    app.until(lambda: load(app) == 0)
    app.until(lambda: not app.executor.live)
    assert 'outcome="abort"' in app.http.get("/metrics").text


def leave_after_sending(client, path, body):
    """A bare connection with the request on it, to be closed by the test."""
    request = client.build_request("POST", path, json=body)
    raw = socket.create_connection((request.url.host, request.url.port), timeout=20)
    head = [f"POST {path} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in request.headers.items()]
    raw.sendall("\r\n".join([*head, "", ""]).encode() + request.content)
    return raw


def test_leaving_in_the_middle_of_a_stream_frees_the_work(app):
    with app.http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as reply:
        next(reply.iter_raw())
        app.executor.hold()
    app.until(lambda: app.metric("loadsheet:requests_total") == 1)
    app.executor.resume()
    app.until(lambda: load(app) == 0)
    app.until(lambda: not app.executor.live)


def read_to_the_end(raw):
    tail = b""
    while b"[DONE]" not in tail:
        chunk = raw.recv(2**16)
        assert chunk
        tail = tail[-16:] + chunk


@pytest.mark.parametrize("is_reading", [True, False])
def test_only_a_reader_that_does_not_read_is_cut_off(start, is_reading):
    """Socket buffers fill up (8 MB come), then the bounded queue; then the work is cancelled."""
    body = {"prompt": ["x"] * 16, "max_tokens": 400, "ignore_eos": True, "stream": True}
    with start(ServerConfig(max_pending_updates=1000)) as app:
        app.executor.padding = "x" * 1000
        app.executor.step_s = 0.003
        with httpx.Client(base_url=app.url) as client:
            raw = leave_after_sending(client, "/v1/completions", body)
            raw.settimeout(60)
            assert raw.recv(15) == b"HTTP/1.1 200 OK"
            if is_reading:
                read_to_the_end(raw)
            app.until(lambda: app.metric("loadsheet:requests_total") == 16)
            raw.close()
        assert ('outcome="abort"' in app.http.get("/metrics").text) is not is_reading


def test_draining_refuses_new_work_and_finishes_the_old(app):
    stop_device(app)
    old, replies = post_in_thread(app, "/v1/chat/completions", {**CHAT, "max_tokens": 5})
    app.until(lambda: load(app) == 1)
    app.loop.drain()
    app.until(lambda: app.http.get("/health").status_code == 503)
    assert app.http.get("/health").json()["error"]["code"] == "draining"
    assert app.status()["is_draining"]
    for path, body in (("/v1/chat/completions", CHAT), ("/v1/images/generations", IMAGE)):
        reply = app.http.post(path, json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "draining")
        assert int(reply.headers["retry-after"]) >= 1
    app.executor.resume()
    old.join()
    assert replies[0].json()["usage"]["completion_tokens"] == 5


def test_a_signal_finishes_accepted_work_and_ends_the_server(app):
    stop_device(app)
    old, replies = post_in_thread(app, "/v1/chat/completions", {**CHAT, "max_tokens": 5})
    app.until(lambda: load(app) == 1)
    app.server.handle_exit(signal.SIGTERM, None)
    app.executor.resume()
    old.join()
    assert replies[0].status_code == 200
    app.thread.join(20)
    assert not app.thread.is_alive()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{app.url}/health")


def test_the_drain_has_an_end(start):
    with start(ServerConfig(), drain_timeout_s=0.0) as app:
        stop_device(app)
        old, replies = post_in_thread(app, "/v1/chat/completions", CHAT)
        app.until(lambda: load(app) == 1)
        app.server.handle_exit(signal.SIGTERM, None)
        app.thread.join(20)
        assert not app.thread.is_alive()
        old.join()
        assert replies[0].status_code == 503
        assert replies[0].json()["error"]["code"] == "draining"
        app.executor.resume()
        app.until(lambda: not app.executor.live)  # cancelled, not left running


def test_a_dead_loop_is_unhealthy_and_refuses(app):
    app.loop.stop()
    assert app.http.get("/health").json()["error"]["code"] == "engine_dead"
    reply = app.http.post("/v1/chat/completions", json=CHAT)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "engine_dead")
    assert app.metric("loadsheet:up") == 0


def test_work_on_a_loop_that_dies_fails_with_a_status(app):
    stop_device(app)
    old, replies = post_in_thread(app, "/v1/chat/completions", CHAT)
    app.until(lambda: load(app) == 1)
    stopper = threading.Thread(target=app.loop.stop)
    stopper.start()
    app.executor.resume()
    stopper.join()
    old.join()
    assert replies[0].status_code in (500, 503)
    assert replies[0].json()["error"]["message"]
