"""What every request passes first: an id, the key, and a net under unforeseen failures.

Plain ASGI, because a middleware that wraps responses would hide client disconnects from streams.
"""

import asyncio
import hmac
import logging
import re
import secrets
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loadsheet.server.errors import ApiError, failed, unavailable

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
_PROTECTED = "/v1/"


class Guard:
    """Echoes or makes `X-Request-ID`; answers 401 for protected paths without the right key."""

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self._app = app
        self._api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        is_started = False

        async def send_with_id(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
                is_started = True
            await send(message)

        if scope["path"].startswith(_PROTECTED) and not self._is_authorized(headers):
            await error_response(_wrong_key())(scope, receive, send_with_id)
            return
        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:  # the drain is over before the work is
            if is_started:
                raise
            error = unavailable("the server exits before this was done", "draining")
            await error_response(error)(scope, receive, send_with_id)
        except Exception:
            if is_started:
                raise
            logger.exception("request failed path=%s request_id=%s", scope["path"], request_id)
            error = failed("the server failed; its log has the details under this request id")
            await error_response(error)(scope, receive, send_with_id)

    def _is_authorized(self, headers: Headers) -> bool:
        if self._api_key is None:
            return True
        scheme, _, key = headers.get("authorization", "").partition(" ")
        # compared even when the scheme is wrong, so that time tells nothing
        is_equal = hmac.compare_digest(key.strip().encode(), self._api_key.encode())
        return is_equal and scheme.lower() == "bearer"


def error_response(error: ApiError) -> JSONResponse:
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)


def _request_id(headers: Headers) -> str:
    asked = headers.get("x-request-id", "")
    return asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(16)


def _wrong_key() -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED,
        "invalid_api_key",
        "the API key is missing or wrong; send it as Authorization: Bearer KEY",
        headers={"WWW-Authenticate": "Bearer"},
    )
