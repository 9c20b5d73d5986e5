"""Reading a request's body: JSON only, bounded in bytes and in time."""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Receive

from loadsheet.server.config import ServerConfig
from loadsheet.server.errors import ApiError, client_closed


async def read_body(headers: Headers, receive: Receive, config: ServerConfig) -> bytes:
    """The whole body; raises ApiError 415, 413 or 408, as soon as it is known."""
    _check_is_json(headers)
    _check_length(headers.get("content-length"), config.max_body_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(config.body_timeout_s):
            is_more = True
            while is_more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise client_closed()
                body += message.get("body", b"")
                is_more = message.get("more_body", False)
                if len(body) > config.max_body_bytes:
                    raise _too_long(config.max_body_bytes)
    except TimeoutError:
        raise ApiError(
            HTTPStatus.REQUEST_TIMEOUT,
            "body_timeout",
            f"the body did not arrive within {config.body_timeout_s:g} s",
            headers={"Connection": "close"},
        ) from None
    return bytes(body)


def _check_is_json(headers: Headers) -> None:
    """Also what keeps a foreign web page from posting work with a plain form."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send the body as JSON, with the header Content-Type: application/json",
        )


def _check_length(content_length: str | None, max_bytes: int) -> None:
    if content_length is not None and content_length.isdigit() and int(content_length) > max_bytes:
        raise _too_long(max_bytes)


def _too_long(max_bytes: int) -> ApiError:
    return ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        f"the body is larger than {max_bytes} bytes; send a shorter one",
        headers={"Connection": "close"},  # the rest of it is not read
    )
