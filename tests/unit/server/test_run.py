"""Addresses that cannot be had, and the answer to signals."""

import signal

import pytest
from fastapi import FastAPI

from loadsheet.errors import ConfigError
from loadsheet.server.run import listen, make_server


def test_a_taken_port_is_a_clear_error():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on 127.0.0.1:{port}.*in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_impossible_ports(port):
    with pytest.raises(ConfigError, match=str(port)):
        listen("127.0.0.1", port)


def test_an_address_of_another_machine():
    with pytest.raises(ConfigError, match="cannot listen"):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize("timeout_s", [-1.0, float("inf"), float("nan")])
def test_bad_drain_timeouts(timeout_s):
    with pytest.raises(ConfigError, match="drain timeout"):
        make_server(FastAPI(), drain_timeout_s=timeout_s)


def test_the_first_signal_drains_and_the_second_forces():
    drained = []
    app = FastAPI()
    app.state.drain = lambda: drained.append(True)
    server = make_server(app, drain_timeout_s=0.5)
    assert server.config.timeout_graceful_shutdown == 1  # whole seconds, rounded up
    server.handle_exit(signal.SIGTERM, None)
    assert (server.should_exit, server.force_exit, drained) == (True, False, [True])
    server.handle_exit(signal.SIGTERM, None)
    assert (server.force_exit, drained) == (True, [True])
