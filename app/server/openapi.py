"""GET /openapi.json, made from the table of endpoints and their msgspec types, and GET /docs, a page that shows it and
tries it out. The page brings everything with it and may talk to this server only (Content-Security-Policy).
"""

import base64
import hashlib
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app import __version__
from app.server.errors import Api
from app.server.page import HTML
from app.server.routes import Endpoint
from app.server.wire import ErrorBody

REF = "#/components/schemas/{name}"
TITLES: dict[Api, str] = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "ollama": "Ollama",
    "lmstudio": "LM Studio",
    "llamacpp": "llama.cpp",
}
ERRORS: dict[Api, dict[str, Any]] = {
    "openai": {"$ref": REF.format(name="ErrorBody")},
    "lmstudio": {"$ref": REF.format(name="ErrorBody")},
    "anthropic": {
        "type": "object",
        "required": ["type", "error"],
        "properties": {"type": {"const": "error"}, "error": {"type": "object"}},
    },
    "ollama": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
    "llamacpp": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object"}}},
}
# What the guard, the decoder and the engine can say to any request.
ALWAYS = {
    401: "The API key is missing or wrong.",
    403: "The Host or the Origin is not allowed, or the Hub refused.",
    429: "Too many requests with this key.",
}
WITH_BODY = {
    400: "A field is wrong.",
    413: "The body is too large.",
    500: "The engine failed.",
    504: "It took too long.",
}
BUSY = {503: "Too many requests wait, or the model could not be loaded."}
WORDS = {
    404: "There is no such thing here.",
    502: "The Hub can't be reached or answered wrongly.",
    507: "The disk is full.",
}


def endpoints(found: list[Endpoint]) -> list[Endpoint]:
    """The description of what is served, this included, and the page."""
    mine: list[Endpoint] = []
    document: list[bytes] = []

    async def description(_request: Request) -> Response:
        if not document:
            document.append(msgspec.json.encode(describe([*found, *mine])))
        return Response(document[0], media_type="application/json")

    mine += [
        Endpoint(
            "GET", "/openapi.json", description, "llamacpp", "This description", answer=dict[str, Any], public=True
        ),
        Endpoint("GET", "/docs", _page, "llamacpp", "A page that shows and tries it", media="text/html", public=True),
    ]  # fmt: skip
    return mine


def describe(table: list[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    types = [kind for endpoint in table for kind in (endpoint.body, endpoint.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, ErrorBody], ref_template=REF)
    by_type = dict(zip(map(repr, types), schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in table:
        operation = _operation(endpoint, by_type)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hearth",
            "version": __version__,
            "description": "Language models on this machine.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": endpoint.summary,
        "tags": [TITLES[endpoint.api]],
        "operationId": f"{endpoint.method.lower()}{endpoint.path}".translate(_TO_NAME).strip("_"),
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas[repr(endpoint.body)]}}
        found["requestBody"] = {"required": True, "content": content}
    name = endpoint.path.partition("{")[2].rstrip("}")
    if name:
        found["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        ]
    return found


_TO_NAME = str.maketrans(dict.fromkeys("/{}-.", "_"))


def _responses(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if endpoint.answer is not None:
        content[endpoint.media] = {"schema": schemas[repr(endpoint.answer)]}
    elif endpoint.media != "application/json":
        content[endpoint.media] = {"schema": {"type": "string"}}
    if endpoint.stream:
        content[endpoint.stream.partition(";")[0]] = {}
    found: dict[str, Any] = {"200": {"description": endpoint.summary}}
    if content:
        found["200"]["content"] = content
    told = {403: ALWAYS[403]} if endpoint.public else dict(ALWAYS)
    if endpoint.body is not None:
        told |= WITH_BODY | BUSY
    told |= {status: WORDS.get(status, "Refused.") for status in endpoint.errors if status not in told}
    error = {"application/json": {"schema": ERRORS[endpoint.api]}}
    return found | {
        str(status): {"description": text, "content": error} for status, text in sorted(told.items())
    }


# ------------------------------------------------------------------------------------------ the page


async def _page(_request: Request) -> Response:
    html, policy = _pages()
    headers = {"Content-Security-Policy": policy, "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}
    return Response(html, headers=headers, media_type="text/html")


def _pages() -> tuple[bytes, str]:
    if not _made:
        script, style = (_between(HTML, tag) for tag in ("script", "style"))
        policy = (
            f"default-src 'none'; connect-src 'self'; script-src '{_hash(script)}'; "
            f"style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        _made.append((HTML.encode(), policy))
    return _made[0]


_made: list[tuple[bytes, str]] = []


def _between(html: str, tag: str) -> str:
    return html.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
