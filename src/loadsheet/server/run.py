"""Running the app under uvicorn, with a drain between the first signal and the exit.

SIGTERM or SIGINT ─► loop.drain(): new work gets 503, accepted work goes on
                   ─► no new connections; open replies have `drain_timeout_s` to finish
                   ─► what is left is cancelled; `serve` returns
a second signal    ─► `serve` returns at once
"""

import math
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from loadsheet.errors import ConfigError


class DrainingServer(uvicorn.Server):
    """A uvicorn server that tells the device first, and does not re-raise the signal at the end."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del sig, frame
        if self.should_exit:
            self.force_exit = True
            return
        self._drain()
        self.should_exit = True


def serve(
    app: FastAPI,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    drain_timeout_s: float = 30.0,
    has_access_log: bool = False,
) -> None:
    """Serve until a signal; raises ConfigError when the address cannot be had."""
    listener = listen(host, port)
    make_server(app, drain_timeout_s=drain_timeout_s, has_access_log=has_access_log).run([listener])


def make_server(
    app: FastAPI, *, drain_timeout_s: float, has_access_log: bool = False
) -> DrainingServer:
    """`drain_timeout_s` is rounded up to whole seconds, which is what uvicorn counts in."""
    if not 0 <= drain_timeout_s < float("inf"):
        raise ConfigError(f"the drain timeout is {drain_timeout_s} s; give 0 or more")
    config = uvicorn.Config(
        app,
        access_log=has_access_log,
        log_level="info" if has_access_log else "warning",
        server_header=False,
        timeout_graceful_shutdown=math.ceil(drain_timeout_s),
    )
    return DrainingServer(config, app.state.drain)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    if not 0 <= port <= 65_535:
        raise ConfigError(f"the port is {port}; give 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
