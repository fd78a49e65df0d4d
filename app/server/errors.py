"""From our errors to HTTP: one ``Problem`` (status, code, words), and each API's own shape for it."""

import logging
import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from starlette.responses import Response

from app.core.errors import HearthError
from app.core.generate import Failed
from app.server.choices import choices
from app.server.wire import ErrorBody, WireError

log = logging.getLogger(__name__)

Api = Literal["openai", "anthropic", "ollama", "lmstudio", "llamacpp"]

# Everything else is our own fault: 500.
STATUS = {
    "model_not_found": 404,
    "model_ambiguous": 404,
    "hub_not_found": 404,
    "hub_no_such_file": 404,
    "usage": 400,
    "settings": 400,
    "bad_request": 400,
    "bad_image": 400,
    "no_eyes": 400,
    "bad_constraint": 400,
    "template_failed": 400,
    "prompt_too_long": 400,
    "unsupported_model": 400,
    "model_in_use": 409,
    "hub_gated": 403,
    "hub_unauthorized": 403,
    "hub_unreachable": 502,
    "hub_server": 502,
    "hub_rate_limited": 503,
    "busy": 503,
    "stopping": 503,
    "worker_crashed": 503,
    "pack_crashed": 503,
    "out_of_memory": 503,
    "not_loaded": 503,
    "load_cancelled": 503,
    "disk_full": 507,
    "save_disk_full": 507,
    "timeout": 504,
}
# The names OpenAI's clients test for.
CODES = {"prompt_too_long": "context_length_exceeded", "rate_limited": "rate_limit_exceeded"}
RETRY_AFTER = {"busy": 2, "stopping": 5, "worker_crashed": 1, "pack_crashed": 1}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class Problem(Exception):  # noqa: N818 - HTTP's own word for it (RFC 9457)
    """Why a request can't be served. ``param`` names the field that is wrong; ``retry`` is in seconds."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None, retry: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.retry = RETRY_AFTER.get(code) if retry is None else retry


def bad_field(param: str, message: str) -> Problem:
    """400, naming the field."""
    return Problem(400, "bad_request", message, param)


def status_of(code: str) -> int:
    """The HTTP status of one of our error codes."""
    return STATUS.get(code, 500)


def from_failed(failed: Failed) -> Problem:
    """The engine's own refusal."""
    return Problem(status_of(failed.code), failed.code, failed.message)


def problem_of(error: BaseException) -> Problem:
    """Any exception of a handler as a Problem; what we did not foresee is logged and said in general words."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HearthError):
        return Problem(status_of(error.code), error.code, error.message)
    if isinstance(error, msgspec.MsgspecError | RecursionError | UnicodeDecodeError):
        return _from_decode(error)
    log.error("a request failed", exc_info=error)
    return Problem(500, "internal", "Something went wrong inside the server.")


def wrong_body(error: msgspec.ValidationError, kind: Any) -> Problem:
    """400 for a body that is not of type ``kind``, naming the field and what words it may be."""
    problem = _from_decode(error)
    where = re.search(r"^Invalid enum value .* at `(\$[^`]*)`$", str(error))
    words = choices(kind, where.group(1)) if where else ()
    if words:
        problem.message = f"{problem.message} It can be {', '.join(words)}."
    return problem


def _from_decode(error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem(400, "bad_request", "The request body is nested too deeply.")
    text = str(error)
    where = re.search(r"at `\$\.?([^`]*)`", text)
    missing = re.search(r"required field `([^`]+)`", text)
    parts = [found.group(1) for found in (where, missing) if found and found.group(1)]
    return bad_field(".".join(parts) or "", f"The request body is wrong: {text}.")


# ------------------------------------------------------------------------------------------ shapes


def _openai(problem: Problem) -> object:
    code = CODES.get(problem.code, problem.code)
    kind = TYPES.get(problem.status, "server_error")
    return ErrorBody(WireError(problem.message, kind, problem.param or None, code))


def _anthropic(problem: Problem) -> object:
    kind = ANTHROPIC_TYPES.get(problem.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": problem.message}}


def _ollama(problem: Problem) -> object:
    return {"error": problem.message}


def _llamacpp(problem: Problem) -> object:
    kind = TYPES.get(problem.status, "unavailable_error" if problem.status == 503 else "server_error")
    return {"error": {"code": problem.status, "message": problem.message, "type": kind}}


SHAPES: dict[Api, Callable[[Problem], object]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "ollama": _ollama,
    "lmstudio": _openai,
    "llamacpp": _llamacpp,
}


def body_of(api: Api, problem: Problem) -> bytes:
    """The error as this API's clients read it."""
    return msgspec.json.encode(SHAPES[api](problem))


def error_response(api: Api, problem: Problem) -> Response:
    """An error answer. A body that was refused for its size is not read to its end: the connection closes."""
    headers = {}
    if problem.retry is not None:
        headers["Retry-After"] = str(problem.retry)
    if problem.status == 413:
        headers["Connection"] = "close"
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(body_of(api, problem), problem.status, headers, "application/json")
