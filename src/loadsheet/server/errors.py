"""Every refusal as OpenAI clients read it: `{"error": {message, type, param, code}}`.

`code` is always a string, so that clients can branch on it; the table of codes is in
`docs/guide/api.md`.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus

from loadsheet.sched.event import Rejection, RejectReason

_CLIENT_CLOSED = 499  # nobody reads it: the client left before the answer


class ApiError(Exception):
    """A refusal or failure with its HTTP status. `message` says the number and the next step."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        return {
            "error": {
                "message": self.message,
                "type": _type_of(self.status),
                "param": self.param,
                "code": self.code,
            }
        }


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, code, message, param=param)


def unsupported(message: str, param: str) -> ApiError:
    return invalid(message, param, "unsupported_parameter")


def failed(message: str) -> ApiError:
    """The device accepted the work and could not finish it."""
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "execution_failed", message)


def unavailable(message: str, code: str) -> ApiError:
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, code, message, headers={"Retry-After": "1"})


def client_closed() -> ApiError:
    return ApiError(_CLIENT_CLOSED, "client_closed", "the client left before the answer")


def from_rejection(rejection: Rejection) -> ApiError:
    """The scheduler's numbers, with the status that tells a client whether waiting helps."""
    match rejection.reason:
        case RejectReason.TOO_LARGE:
            return invalid(rejection.message, code="too_large")
        case RejectReason.INVALID:
            return invalid(rejection.message)
        case RejectReason.UNKNOWN_MODEL:
            return ApiError(
                HTTPStatus.NOT_FOUND, "model_not_found", rejection.message, param="model"
            )
        case RejectReason.DRAINING:
            return unavailable(rejection.message, "draining")
        case _:
            return ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                str(rejection.reason),
                rejection.message,
                headers={"Retry-After": _whole_seconds(rejection.retry_after_s)},
            )


def _whole_seconds(retry_after_s: float | None) -> str:
    """RFC 9110 wants whole seconds; 0 would invite a busy loop and a day is long enough."""
    if retry_after_s is None or not math.isfinite(retry_after_s):
        return "1"
    return str(min(max(1, math.ceil(retry_after_s)), 86_400))


def _type_of(status: int) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return "authentication_error"
        case HTTPStatus.NOT_FOUND:
            return "not_found_error"
        case HTTPStatus.TOO_MANY_REQUESTS:
            return "rate_limit_error"
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return "service_unavailable_error"
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return "server_error"
        case _:
            return "invalid_request_error"
