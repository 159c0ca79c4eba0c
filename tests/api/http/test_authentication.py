"""Who gets in, and that nothing of a request is read before that is known."""

import json
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.types import Message, Receive, Scope, Send

from api.http.authentication import Authentication
from api.http.errors import ErrorBodies

TOKEN = "correct horse"


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def never_read() -> Message:
    raise AssertionError("the body was read")


async def ask(*headers: bytes, path: str = "/execute", token: str | None = TOKEN) -> tuple[int, Any]:
    """The status and the body that a request with these Authorization headers gets."""
    secret = None if token is None else SecretStr(token)
    app = Authentication(inside, secret, ErrorBodies(legacy=False))
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(b"authorization", header) for header in headers],
    }
    await app(scope, never_read, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body) if body else None


@pytest.mark.parametrize("header", [b"Bearer correct horse", b"bearer correct horse", b"BEARER   correct horse "])
async def test_whoever_has_the_token_gets_in(header: bytes) -> None:
    assert await ask(header) == (204, None)


@pytest.mark.parametrize(
    "headers", [[], [b""], [b"Basic correct horse"], [b"Bearer"], [b"Bearer "], [b"correct horse"]]
)
async def test_no_token_is_a_missing_token(headers: list[bytes]) -> None:
    assert await ask(*headers) == (401, {"detail": "Missing bearer token"})


@pytest.mark.parametrize(
    "header",
    [
        b"Bearer wrong",
        b"Bearer correct horse battery",
        b"Bearer correct",
        "Bearer cörrect hörse".encode(),
        "Bearer cörrect hörse".encode("latin-1"),
        b"Bearer \xff\xfe\x00\x80",
        b"Bearer correct\thorse",
    ],
)
async def test_a_wrong_token_is_invalid_whatever_its_bytes(header: bytes) -> None:
    assert await ask(header) == (401, {"detail": "Invalid token"})


@pytest.mark.parametrize("token", [None, "", "  "])
@pytest.mark.parametrize("headers", [[], [b"Bearer"], [b"Bearer "], [b"Bearer   "], [b"Bearer x"]])
async def test_without_a_configured_token_nobody_gets_in(token: str | None, headers: list[bytes]) -> None:
    assert await ask(*headers, token=token) == (401, {"detail": "Service unauthenticated"})


@pytest.mark.parametrize("path", ["/health", "/ready", "/docs", "/openapi.json"])
async def test_some_routes_are_open(path: str) -> None:
    assert await ask(path=path, token=None) == (204, None)


@pytest.mark.parametrize("path", ["/metrics", "/jobs/x", "/nowhere", "/health/", "//health", "/docs/x", "/redoc", "/"])
async def test_everything_else_wants_the_token(path: str) -> None:
    assert await ask(path=path) == (401, {"detail": "Missing bearer token"})


async def test_under_v1_openai_s_clients_can_read_why() -> None:
    status, body = await ask(path="/v1/models")
    assert status == 401
    assert body["detail"] == "Missing bearer token"
    assert body["error"] == {
        "message": "Missing bearer token",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


async def test_a_token_beyond_ascii_works() -> None:
    assert await ask("Bearer schlüssel".encode(), token="schlüssel") == (204, None)
