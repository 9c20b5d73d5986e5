"""The error shape, and what a scheduler's refusal means over HTTP."""

import pytest

from loadsheet.sched.event import Rejection, RejectReason
from loadsheet.server.errors import ApiError, client_closed, failed, from_rejection, unavailable


def rejected(reason, retry_after_s=None):
    return from_rejection(
        Rejection(request_id="r", reason=reason, message="numbers", retry_after_s=retry_after_s)
    )


def test_the_body_has_the_four_fields():
    error = ApiError(400, "some_code", "what and why", param="size")
    assert error.body() == {
        "error": {
            "message": "what and why",
            "type": "invalid_request_error",
            "param": "size",
            "code": "some_code",
        }
    }


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        (RejectReason.QUEUE_FULL, 429, "queue_full"),
        (RejectReason.TOO_LARGE, 400, "too_large"),
        (RejectReason.INVALID, 400, "invalid_value"),
        (RejectReason.UNKNOWN_MODEL, 404, "model_not_found"),
        (RejectReason.DRAINING, 503, "draining"),
    ],
)
def test_rejections(reason, status, code):
    error = rejected(reason)
    assert (error.status, error.code, error.message) == (status, code, "numbers")


@pytest.mark.parametrize(
    ("seconds", "header"),
    [(None, "1"), (0.0, "1"), (0.2, "1"), (1.0, "1"), (1.1, "2"), (1e9, "86400"), (1e999, "1")],
)
def test_retry_after_is_whole_seconds_of_at_least_one(seconds, header):
    assert rejected(RejectReason.QUEUE_FULL, seconds).headers == {"Retry-After": header}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "service_unavailable_error"),
    ],
)
def test_types(status, kind):
    assert ApiError(status, "c", "m").body()["error"]["type"] == kind


def test_named_errors():
    assert (failed("x").status, failed("x").code) == (500, "execution_failed")
    assert unavailable("x", "draining").headers == {"Retry-After": "1"}
    assert client_closed().status == 499
