"""From our errors to HTTP: a status, OpenAI's error type, and sometimes Retry-After."""

import re

import msgspec
from starlette.responses import Response

from app.core.errors import HearthError
from app.server.wire import ErrorBody, WireError

# Everything else is our own fault: 500.
STATUS = {
    "model_not_found": 404,
    "model_ambiguous": 404,
    "hub_not_found": 404,
    "bad_request": 400,
    "bad_constraint": 400,
    "template_failed": 400,
    "prompt_too_long": 400,
    "unsupported_model": 400,
    "busy": 503,
    "worker_crashed": 503,
    "out_of_memory": 503,
    "not_loaded": 503,
    "load_cancelled": 503,
}
# The names OpenAI's clients test for.
CODES = {"prompt_too_long": "context_length_exceeded"}
RETRY_AFTER = {"busy": "2", "worker_crashed": "1"}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
}


def status_of(code: str) -> int:
    """The HTTP status of one of our error codes."""
    return STATUS.get(code, 500)


def body_of(code: str, message: str, status: int, param: str | None = None) -> ErrorBody:
    """OpenAI's error object."""
    return ErrorBody(WireError(message, TYPES.get(status, "server_error"), param, CODES.get(code, code)))


def error_response(code: str, message: str, status: int, param: str | None = None) -> Response:
    """An error answer."""
    headers = {"Retry-After": RETRY_AFTER[code]} if code in RETRY_AFTER else None
    body = msgspec.json.encode(body_of(code, message, status, param))
    return Response(body, status, headers, "application/json")


def from_hearth(error: HearthError) -> Response:
    """The answer to one of our own errors."""
    return error_response(error.code, error.message, status_of(error.code))


def from_decode(error: msgspec.MsgspecError) -> Response:
    """A body that is no JSON or has a wrong field: 400, naming the field."""
    text = str(error)
    where = re.search(r"at `\$\.?([^`]*)`", text) or re.search(r"required field `([^`]+)`", text)
    return error_response(
        "bad_request", f"The request body is wrong: {text}.", 400, where.group(1) if where else None
    )
