"""Presets against the shapes that each service's API gives: polled with nothing new, and with one change."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from pydantic import TypeAdapter

from tasks.items.items import Item, read_items
from tasks.sources.base import HttpSource, Preset
from tasks.sources.details import read_details
from tasks.sources.errors import SourceFailed
from tasks.sources.http_endpoint import HttpEndpoint
from tasks.sources.models import Source
from tasks.sources.pages.feeds import read_feed
from tasks.sources.pages.http_cache import HttpCache
from tasks.sources.secret_files import NamedSecrets

SOURCES: TypeAdapter[Any] = TypeAdapter(Source)

USER = {"login": "ada", "id": 7, "type": "User"} | {
    f"{name}_url": f"https://api.github.com/users/ada/{name}"
    for name in ("followers", "gists", "starred", "repos", "events")
}
GITHUB = {
    "url": "https://api.github.com/repos/o/r/issues/7",
    "repository_url": "https://api.github.com/repos/o/r",
    "labels_url": "https://api.github.com/repos/o/r/issues/7/labels{/name}",
    "comments_url": "https://api.github.com/repos/o/r/issues/7/comments",
    "events_url": "https://api.github.com/repos/o/r/issues/7/events",
    "html_url": "https://github.com/o/r/issues/7",
    "id": 1,
    "node_id": "I_kwDO",
    "number": 7,
    "title": "It breaks",
    "user": USER,
    "labels": [{"id": 1, "name": "bug", "color": "f00", "default": True, "url": "https://api.github.com/labels/bug"}],
    "state": "open",
    "assignees": [USER],
    "comments": 2,
    "created_at": "2026-03-06T10:00:00Z",
    "updated_at": "2026-03-06T10:00:00Z",
    "author_association": "NONE",
    "reactions": {"url": "https://api.github.com/repos/o/r/issues/7/reactions", "total_count": 0, "+1": 0, "-1": 0},
    "body": "Here is how.",
}
GITLAB = {
    "id": 9,
    "iid": 7,
    "project_id": 3,
    "title": "It breaks",
    "description": "Here is how.",
    "state": "opened",
    "labels": [],
    "author": {"username": "ada", "web_url": "https://gitlab.com/ada", "avatar_url": "https://x"},
    "user_notes_count": 0,
    "created_at": "2026-03-06T10:00:00Z",
    "updated_at": "2026-03-06T10:00:00Z",
    "web_url": "https://gitlab.com/g/p/-/issues/7",
}
JIRA = {
    "id": "10001",
    "key": "OPS-7",
    "self": "https://acme.atlassian.net/rest/api/2/issue/10001",
    "fields": {
        "summary": "It breaks",
        "description": "Here is how.",
        "issuetype": {"name": "Bug", "iconUrl": "https://x"},
        "priority": {"name": "High"},
        "status": {"name": "To Do"},
        "reporter": {"displayName": "Ada", "avatarUrls": {"48x48": "https://x"}},
        "labels": [],
        "created": "2026-03-06T10:00:00.000+0000",
        "updated": "2026-03-06T10:00:00.000+0000",
        "comment": {"comments": [{"author": {"displayName": "Bo"}, "created": "2026-03-06", "body": "Me too."}]},
    },
}
LINEAR = {
    "id": "uuid",
    "identifier": "ENG-7",
    "title": "It breaks",
    "description": "Here is how.",
    "url": "https://linear.app/acme/issue/ENG-7",
    "createdAt": "2026-03-06T10:00:00Z",
    "state": {"name": "Triage", "type": "triage"},
    "labels": {"nodes": []},
    "comments": {"nodes": []},
}
SENTRY = {
    "id": "42",
    "shortId": "SHOP-1",
    "title": "KeyError: 'x'",
    "culprit": "app.views",
    "permalink": "https://sentry.io/organizations/acme/issues/42/",
    "level": "error",
    "status": "unresolved",
    "substatus": "new",
    "count": "41",
    "userCount": 3,
    "firstSeen": "2026-03-06T10:00:00Z",
    "lastSeen": "2026-03-06T10:00:00Z",
    "metadata": {"type": "KeyError", "value": "x"},
    "stats": {"24h": [[1, 2]]},
}
ALERT = {
    "fingerprint": "a1b2",
    "labels": {"alertname": "DiskFull", "severity": "warning", "instance": "db1"},
    "annotations": {"summary": "Disk is 81 % full"},
    "startsAt": "2026-03-06T10:00:00Z",
    "endsAt": "2026-03-06T10:09:00Z",
    "updatedAt": "2026-03-06T10:05:00Z",
    "generatorURL": "https://prometheus.example/graph",
    "receivers": [{"name": "team"}],
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
}
INCIDENT = {
    "id": "P1",
    "incident_number": 3,
    "title": "Checkout is down",
    "status": "triggered",
    "urgency": "low",
    "html_url": "https://acme.pagerduty.com/incidents/P1",
    "created_at": "2026-03-06T10:00:00Z",
    "last_status_change_at": "2026-03-06T10:00:00Z",
    "service": {"summary": "shop"},
    "assignments": [],
}
PIPELINE = {
    "id": 900,
    "number": 12,
    "status": "failure",
    "event": "push",
    "branch": "main",
    "commit": "abc",
    "message": "Change it",
    "author": "ada",
    "created": 1772791200,
    "finished": 1772791300,
}
RSS = """<rss version="2.0"><channel><title>news</title>
<item><guid>1</guid><title>One &amp; more</title><link>https://news.example/1</link>
<pubDate>Fri, 06 Mar 2026 10:00:00 GMT</pubDate><description>&lt;p&gt;First.&lt;/p&gt;</description></item>
</channel></rss>"""
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><entry><id>tag:1</id><title>One</title>
<link rel="self" href="https://news.example/self"/><link href="https://news.example/1"/>
<updated>2026-03-06T10:00:00Z</updated><author><name>Ada</name></author><content type="html">First.</content>
</entry></feed>"""

Change = dict[str, Any]
PRESETS: list[tuple[dict[str, Any], dict[str, Any], str, Change, Change]] = [
    # the source, a value, its key, what only moves, what is news
    (
        {"type": "github", "repository": "o/r", "token": "t"},
        GITHUB,
        "https://github.com/o/r/issues/7",
        {"updated_at": "later", "comments": 3, "labels": []},
        {"body": "Here is more."},
    ),
    (
        {"type": "forgejo", "url": "https://codeberg.org", "repository": "o/r"},
        GITHUB,
        "https://github.com/o/r/issues/7",
        {"updated_at": "later"},
        {"title": "It is broken"},
    ),
    (
        {"type": "gitea", "url": "https://gitea.example", "repository": "o/r"},
        GITHUB,
        "https://github.com/o/r/issues/7",
        {"updated_at": "later"},
        {"title": "It is broken"},
    ),
    (
        {"type": "gitlab", "project": "g/p", "token": "t"},
        GITLAB,
        "https://gitlab.com/g/p/-/issues/7",
        {"updated_at": "later", "labels": ["triaged"], "user_notes_count": 1},
        {"description": "Here is more."},
    ),
    (
        {
            "type": "jira",
            "url": "https://acme.atlassian.net",
            "jql": "project = OPS",
            "user": "a@b.example",
            "token": "t",
        },
        JIRA,
        "OPS-7",
        {"fields": {**JIRA["fields"], "updated": "later", "labels": ["x"], "comment": {"comments": []}}},  # type: ignore[dict-item]
        {"fields": {**JIRA["fields"], "description": "Here is more."}},  # type: ignore[dict-item]
    ),
    (
        {"type": "linear", "team": "ENG", "token": "t"},
        LINEAR,
        "uuid",
        {"labels": {"nodes": [{"name": "x"}]}},
        {"description": "Here is more."},
    ),
    (
        {"type": "sentry", "organization": "acme", "project": "shop", "token": "t"},
        SENTRY,
        "42",
        {"count": "42", "lastSeen": "later", "userCount": 4, "substatus": "ongoing", "stats": {}},
        {"substatus": "escalating"},
    ),
    (
        {"type": "alertmanager", "url": "http://alerts.example:9093"},
        ALERT,
        "a1b2",
        {"endsAt": "later", "updatedAt": "later", "annotations": {"summary": "Disk is 82 % full"}},
        {"startsAt": "2026-03-07T10:00:00Z"},
    ),
    (
        {"type": "pagerduty", "token": "t"},
        INCIDENT,
        "P1",
        {"status": "acknowledged", "last_status_change_at": "later"},
        {"urgency": "high"},
    ),
    (
        {"type": "woodpecker", "url": "https://ci.example", "repository_id": 5, "token": "t"},
        PIPELINE,
        "5/12",
        {"finished": 1772791999},
        {"status": "error"},
    ),
    ({"type": "rss", "url": "https://news.example/rss"}, read_feed(RSS.encode(), "x")[0], "1", {}, {"text": "Other."}),
]
NAMES = [str(source["type"]) for source, *_ in PRESETS]


def preset(source: dict[str, Any]) -> Preset:
    assert len(source) <= 6, "a preset has at most six lines in the register"
    found = SOURCES.validate_python(source)
    assert isinstance(found, Preset)
    return found


def item_of(source: Preset, value: Any) -> Item:
    listing = read_items([value], source.reading())
    assert listing.problems == []
    return listing.items[0]


@pytest.mark.parametrize(("source", "value", "key", "moves", "news"), PRESETS, ids=NAMES)
def test_what_only_moves_is_no_news_and_one_change_is(
    source: dict[str, Any], value: dict[str, Any], key: str, moves: Change, news: Change
) -> None:
    first = item_of(preset(source), value)
    assert first.key == key
    assert first.title
    assert first.url is not None
    assert first.url.startswith("https://")
    assert first.came_at is not None
    assert first.came_at.year == 2026
    polled = item_of(preset(source), {**value, **moves})
    assert (polled.key, polled.fingerprint) == (first.key, first.fingerprint)
    changed = item_of(preset(source), {**copy.deepcopy(value), **news})
    assert (changed.key, changed.fingerprint != first.fingerprint) == (first.key, True)


def test_the_model_is_shown_a_fifth_of_github_s_object() -> None:
    item = item_of(preset(PRESETS[0][0]), GITHUB)
    assert "Here is how." in json.dumps(item.shown)
    assert len(json.dumps(item.shown)) * 4 < len(json.dumps(GITHUB))


def test_events_by_the_hundred_are_an_escalation() -> None:
    sentry = preset(PRESETS[6][0])
    assert item_of(sentry, {**SENTRY, "count": "4100"}).fingerprint != item_of(sentry, SENTRY).fingerprint


def test_what_did_not_fail_is_no_item_of_a_ci() -> None:
    woodpecker = preset(PRESETS[9][0])
    listing = read_items([PIPELINE, {**PIPELINE, "number": 13, "status": "success"}], woodpecker.reading())
    assert (len(listing.items), listing.left_out) == (1, 1)


async def listed(source: Preset, place: Path) -> list[Any]:
    (place / "t").write_text("s3cret\n")
    return await HttpEndpoint(source.endpoint(), NamedSecrets(place), HttpCache(place / "pages")).read()


@respx.mock
async def test_jira_is_asked_with_basic_authentication_and_paged_by_its_token(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Basic YUBiLmV4YW1wbGU6czNjcmV0"
        last = "nextPageToken" in str(request.url)
        return httpx.Response(
            200, json={"issues": [{"key": "B" if last else "A"}]} | ({} if last else {"nextPageToken": "n"})
        )

    respx.get(url__startswith="https://acme.atlassian.net/rest/api/2/search/jql").mock(side_effect=answer)
    assert [issue["key"] for issue in await listed(preset(PRESETS[4][0]), tmp_path)] == ["A", "B"]


@respx.mock
async def test_linear_is_asked_by_graphql(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        variables = json.loads(request.content)["variables"]
        assert variables["filter"]["team"] == {"key": {"eq": "ENG"}}
        page = {"nodes": [{"id": variables.get("after", "first")}]}
        more = {"hasNextPage": "after" not in variables, "endCursor": "c"}
        return httpx.Response(200, json={"data": {"issues": {**page, "pageInfo": more}}})

    respx.post("https://api.linear.app/graphql").mock(side_effect=answer)
    assert [issue["id"] for issue in await listed(preset(PRESETS[5][0]), tmp_path)] == ["first", "c"]


@respx.mock
async def test_sentry_s_link_to_a_page_without_results_is_not_followed(tmp_path: Path) -> None:
    link = '<https://sentry.io/next>; rel="next"; results="false"; cursor="0:100:0"'
    route = respx.get(url__startswith="https://sentry.io/api/0/projects/acme/shop/issues/").respond(
        json=[SENTRY], headers={"link": link}
    )
    assert len(await listed(preset(PRESETS[6][0]), tmp_path)) == 1
    assert route.call_count == 1


@respx.mock
async def test_pagerduty_is_paged_by_its_offset(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(dict(request.url.params).get("offset", 0))
        return httpx.Response(200, json={"incidents": [{"id": offset}, {"id": offset + 1}], "more": offset < 4})

    respx.get(url__startswith="https://api.pagerduty.com/incidents").mock(side_effect=answer)
    assert [incident["id"] for incident in await listed(preset(PRESETS[8][0]), tmp_path)] == list(range(6))


# details of planned items


async def details(place: Path, source: HttpSource, value: Any) -> dict[str, Any]:
    (place / "t").write_text("s3cret\n")
    return await read_details(source, value, NamedSecrets(place), HttpCache(place / "pages"))


@respx.mock
async def test_the_comments_of_a_planned_issue_are_read_and_shown(tmp_path: Path) -> None:
    comments = [
        {"user": USER, "created_at": "2026-03-06", "body": f"c{number}", "node_id": "x"} for number in range(30)
    ]
    respx.get("https://api.github.com/repos/o/r/issues/7/comments").respond(json=comments)
    source = preset(PRESETS[0][0])
    found = await details(tmp_path, source.endpoint(), GITHUB)
    assert [comment["body"] for comment in found["comments"]] == [f"c{number}" for number in range(10, 30)]
    item = item_of(source, GITHUB).with_details(found)
    assert isinstance(item.shown, dict)
    assert item.shown["comments"][0] == {"author": "ada", "created_at": "2026-03-06", "body": "c10"}  # type: ignore[index, call-overload]


@respx.mock
async def test_comments_that_may_not_be_read_are_told_in_their_place(tmp_path: Path) -> None:
    respx.get(url__startswith="https://api.github.com").respond(404, text="Not Found")
    found = await details(tmp_path, preset(PRESETS[0][0]).endpoint(), GITHUB)
    assert found["comments"].startswith("could not be read: ")
    assert "s3cret" not in found["comments"]
    respx.get(url__startswith="https://api.github.com").respond(502)
    with pytest.raises(SourceFailed):
        await details(tmp_path, preset(PRESETS[0][0]).endpoint(), GITHUB)


@respx.mock
@pytest.mark.parametrize("number", ["../../../user", "https://evil.example/", "7?x=", None, {"a": 1}, ".."])
async def test_an_item_does_not_decide_where_its_details_are_read(tmp_path: Path, number: object) -> None:
    route = respx.get(url__startswith="https://api.github.com/repos/o/r/issues/").respond(json=[])
    await details(tmp_path, preset(PRESETS[0][0]).endpoint(), {**GITHUB, "number": number})
    assert all(str(call.request.url).startswith("https://api.github.com/repos/o/r/issues/") for call in route.calls)


# feeds


def test_a_feed_of_either_kind_is_read() -> None:
    assert read_feed(ATOM.encode(), "x") == [
        {
            "id": "tag:1",
            "title": "One",
            "link": "https://news.example/1",
            "date": "2026-03-06T10:00:00Z",
            "author": "Ada",
            "text": "First.",
        }
    ]
    assert read_feed(RSS.encode(), "x")[0]["text"] == "First."


@pytest.mark.parametrize(
    "body", [b"<html><body>x</body></html>", b"no xml", b"", b'<!DOCTYPE x [<!ENTITY a "b">]><rss/>']
)
def test_what_is_no_feed_is_told(body: bytes) -> None:
    with pytest.raises(SourceFailed):
        read_feed(body, "x")
