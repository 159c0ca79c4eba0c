"""Paths as clients write them, and what is said of those that are not there."""

import httpx
import pytest
from fake_host import FakeHost, client_of, settings

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("path", ["/v1/models/", "//v1/models", "/v1//models//", "/v1/models"])
async def test_slashes_too_many_change_nothing(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"http://service{path}")
    assert (answer.status_code, answer.json()["object"]) == (200, "list")


async def test_a_chat_path_with_a_slash_is_answered_and_not_sent_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/chat/completions/", json=HELLO)
    assert (answer.status_code, answer.history) == (200, [])


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models", "/health/", "/openapi.json"])
async def test_head_is_answered_like_get_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_open_paths_are_open_with_a_slash_and_closed_ones_closed(host: FakeHost) -> None:
    async with client_of(host, token=None) as stranger:
        assert (await stranger.get("/health/")).status_code == 200
        assert (await stranger.get("//v1/models/")).status_code == 401
        assert (await stranger.head("/v1/models")).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        (
            "POST",
            "/v1/responses",
            "POST /v1/responses: the Responses API is not served here; use POST /v1/chat",
        ),
        ("POST", "/v1/completions", "use POST /v1/chat/completions"),
        ("POST", "/v1/embeddings", "embedding is not served here"),
        ("POST", "/v1/audio/transcriptions", "audio is not served here"),
        ("POST", "/v1/messages", "use POST /v1/chat/completions"),
        ("POST", "/chat/completions", "the base URL for OpenAI's clients is http://service/v1"),
        ("POST", "/v1/v1/chat/completions", "the base URL for OpenAI's clients is http://service/v1"),
        ("POST", "/v1/chat/completions/chat/completions", "the base URL for OpenAI's clients is http://service/v1"),
        ("GET", "/api/tags", "GET /api/tags is not found; there are /agents"),
        ("PUT", "/jobs/x", "PUT /jobs/x is not allowed; use DELETE, GET"),
        ("GET", "/v1/chat/completions", "GET /v1/chat/completions is not allowed; use POST"),
    ],
)
async def test_a_path_without_a_route_says_what_there_is(
    client: httpx.AsyncClient, method: str, path: str, words: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == (405 if "not allowed" in words else 404)
    assert words in answer.json()["detail"]
    if path.startswith("/v1"):
        assert words in answer.json()["error"]["message"]


ORIGIN = {"origin": "https://chat.example.org"}
PREFLIGHT = ORIGIN | {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-os",
}


async def test_a_page_of_an_allowed_origin_may_ask(host: FakeHost) -> None:
    allowed = settings(api_cors_origins=["https://chat.example.org/"])
    async with client_of(host, allowed, token=None) as page:
        before = await page.options("/v1/chat/completions", headers=PREFLIGHT)
        refused = await page.post("/v1/chat/completions", headers=ORIGIN, json=HELLO)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert before.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN["origin"])
    assert "x-flow-run-id" in refused.headers["access-control-expose-headers"]


async def test_a_page_of_another_origin_is_told_the_setting(client: httpx.AsyncClient) -> None:
    answer = await client.options("/v1/chat/completions", headers=PREFLIGHT)
    assert answer.status_code == 403
    assert "API_CORS_ORIGINS" in answer.json()["detail"]
    assert "access-control-allow-origin" not in (await client.get("/v1/models", headers=ORIGIN)).headers


@pytest.mark.parametrize("origin", ["chat.example.org", "https://chat.example.org/path", "https://CHAT.example.org x"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        settings(api_cors_origins=origin)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "x/y", ""])
async def test_json_is_read_under_any_content_type(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    body = '{"messages": [{"role": "user", "content": "Hello"}]}'
    assert (await client.post("/v1/chat/completions", content=body, headers=headers)).status_code == 200


async def test_a_form_is_told_what_is_read_here(client: httpx.AsyncClient) -> None:
    answer = await client.post("/execute", data={"prompt": "x", "agent": "a"})
    assert answer.status_code == 422
    assert "Content-Type: application/json, and not application/x-www-form-urlencoded" in answer.text
