"""Items: what names one, what makes it a new one, and what a stranger can do to that."""

import pytest
from pydantic import ValidationError

from tasks.items.items import Listing, read_items, refuse_unreadable
from tasks.sources.errors import SourceFailed
from tasks.sources.expressions import ExpressionFailed, evaluate
from tasks.sources.models import IssuesSource, Reading
from tasks.triage.list_items import make_listing
from tasks.triage.models import TriageRequest


def keys(values: list[object], **reading: str) -> list[str]:
    return [item.key for item in read_items(values, Reading(**reading)).items]


def listed(values: list[object], **members: object) -> Listing:
    request = {"name": "x", "agent": "a", "source": {"type": "list", "items": []}, **members}
    return make_listing(values, TriageRequest.model_validate(request), [])


def fingerprint(value: object, **reading: str) -> str:
    return read_items([value], Reading(**reading)).items[0].fingerprint


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"html_url": "https://forge.example/1", "id": 7}, "https://forge.example/1"),
        ({"id": "lb-1"}, "lb-1"),
        ({"number": 3}, "3"),
        ({"path": "inbox/a.md"}, "inbox/a.md"),
        ("a line", "a line"),
        (17, "17"),
    ],
)
def test_a_key_is_found_where_sources_have_it(value: object, key: str) -> None:
    assert keys([value]) == [key]


def test_a_key_can_be_any_expression() -> None:
    assert keys([{"repo": {"name": "x"}, "n": 1}], key="[repo.name, n]") == ['["x",1]']


def test_where_chooses_items_and_zero_is_a_number_like_any_other() -> None:
    values: list[object] = [{"id": 1, "n": 0}, {"id": 2, "n": None}, {"id": 3, "n": []}]
    assert keys(values, where="n") == ["1"]


def test_what_has_no_key_is_told_and_the_rest_is_read() -> None:
    listing = read_items([{"id": 1}, {"x": 1}, {"id": True}, {"id": 1}, None], Reading())
    assert [item.key for item in listing.items] == ["1"]
    assert [problem.split(":")[0] for problem in listing.problems] == ["item 2", "item 3", "item 4", "item 5"]


def test_an_expression_that_does_not_go_with_one_item_costs_only_that_one() -> None:
    listing = read_items([{"id": 1, "labels": ["a"]}, {"id": 2, "labels": 5}], Reading(where="contains(labels, 'a')"))
    assert [item.key for item in listing.items] == ["1"]
    assert "item 2" in listing.problems[0]


def test_an_issue_is_the_same_until_its_text_changes() -> None:
    issue = {"id": 1, "title": "t", "body": "b", "updated_at": "monday", "labels": []}
    assert fingerprint(issue) == fingerprint({**issue, "updated_at": "tuesday", "labels": ["triaged"]})
    assert fingerprint(issue) != fingerprint({**issue, "body": "other"})


def test_any_other_item_is_new_when_anything_of_it_changes_unless_said_otherwise() -> None:
    assert fingerprint({"id": 1, "a": 1}) != fingerprint({"id": 1, "a": 2})
    assert fingerprint({"id": 1, "a": 1}) == fingerprint({"a": 1, "id": 1})
    assert fingerprint({"id": 1, "a": 1}, fingerprint="id") == fingerprint({"id": 1, "a": 2}, fingerprint="id")


@pytest.mark.parametrize("key", ["a\nb", "x" * 10_000, "\x1b[2J", "'; drop table", "‮gnp", "{{ 7*7 }}", "a|b"])
def test_a_hostile_key_stays_a_key_and_its_title_is_one_short_line(key: str) -> None:
    item = read_items([{"id": key}], Reading()).items[0]
    assert item.key == key
    assert len(item.title) <= 120
    assert item.title.isprintable()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "https://", "http://[", "https://x y", 5])
def test_only_an_address_for_a_browser_becomes_a_link(url: object) -> None:
    assert read_items([{"id": 1, "html_url": url}], Reading()).items[0].url is None


def test_an_expression_with_a_mistake_is_refused_when_the_register_is_read() -> None:
    with pytest.raises(ValidationError, match="JMESPath"):
        TriageRequest(name="x", source={"type": "list", "items": []}, agent="a", key="foo[")  # type: ignore[arg-type]


def test_an_expression_deeper_than_the_stack_fails_like_any_other() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ExpressionFailed):
        evaluate("to_string(@)", deep)


@pytest.mark.parametrize(
    ("source", "url"),
    [
        (
            IssuesSource(repository="o/r", labels=["bug", "a b"]),
            "https://api.github.com/repos/o/r/issues?state=open&per_page=100&labels=bug,a%20b",
        ),
        (
            IssuesSource.model_validate({"forge": "github", "url": "https://git.example", "repository": "o/r"}),
            "https://git.example/api/v3/repos/o/r/issues?state=open&per_page=100",
        ),
        (
            IssuesSource.model_validate({"forge": "gitea", "url": "http://10.0.0.2:3000", "repository": "o/r"}),
            "http://10.0.0.2:3000/api/v1/repos/o/r/issues?state=open&type=issues&limit=50",
        ),
    ],
)
def test_the_issues_of_a_forge_are_an_endpoint(source: IssuesSource, url: str) -> None:
    assert str(source.endpoint().url) == url


def test_a_pull_request_among_issues_is_left_out() -> None:
    request = TriageRequest(name="x", agent="a", source=IssuesSource(repository="o/r"))
    values = [{"id": 1, "title": "t", "body": None}, {"id": 2, "pull_request": {"url": "x"}}]
    assert [item.key for item in read_items(values, request.reading).items] == ["1"]


def test_the_operator_s_filter_is_joined_with_that_of_the_source() -> None:
    request = TriageRequest(name="x", agent="a", source=IssuesSource(repository="o/r"), where="user.type != 'Bot'")
    values: list[object] = [
        {"id": 1, "user": {"type": "User"}},
        {"id": 2, "user": {"type": "User"}, "pull_request": {"url": "x"}},
        {"id": 3, "user": {"type": "Bot"}},
    ]
    assert [item.key for item in read_items(values, request.reading).items] == ["1"]


ALERT = {
    "labels": {"alertname": "DiskFull", "severity": "warning"},
    "annotations": {"summary": "80 % full"},
    "startsAt": "2026-03-06T10:00:00Z",
    "endsAt": "2026-03-06T10:09:00Z",
    "updatedAt": "2026-03-06T10:05:00Z",
    "status": {"state": "active"},
}
SENTRY = {"id": "7", "title": "KeyError", "level": "error", "count": "41", "userCount": 3, "lastSeen": "2026-03-06"}


def test_what_moves_by_itself_makes_no_item_new() -> None:
    later = {**ALERT, "endsAt": "2026-03-06T10:14:00Z", "updatedAt": "2026-03-06T10:10:00Z"}
    assert fingerprint(ALERT, key="labels") == fingerprint(later, key="labels")
    assert fingerprint(SENTRY) == fingerprint({**SENTRY, "count": "42", "userCount": 4, "lastSeen": "2026-03-07"})


def test_an_escalation_makes_an_item_new() -> None:
    critical = {**ALERT, "labels": {"alertname": "DiskFull", "severity": "critical"}}
    assert fingerprint(ALERT, key="labels") != fingerprint(critical, key="labels")
    assert fingerprint(SENTRY) != fingerprint({**SENTRY, "level": "fatal"})
    assert fingerprint(SENTRY) != fingerprint({**SENTRY, "count": "4100"})


def test_an_issue_of_gitlab_is_the_same_until_its_text_changes() -> None:
    issue = {
        "id": 1,
        "title": "t",
        "description": "b",
        "labels": [],
        "web_url": "https://gitlab.example/o/r/-/issues/1",
    }
    assert fingerprint(issue) == fingerprint({**issue, "labels": ["triaged"], "updated_at": "tuesday"})
    assert fingerprint(issue) != fingerprint({**issue, "description": "other"})
    assert read_items([issue], Reading()).items[0].url == issue["web_url"]


def test_a_source_of_which_nothing_has_a_key_fails_and_names_the_members_there_are() -> None:
    with pytest.raises(SourceFailed, match=r"none of 8 listed values .* members there: labels, annotations, startsAt"):
        listed([ALERT] * 8)
    with pytest.raises(SourceFailed, match="key: `idd`"):
        listed([{"id": n} for n in range(3)], key="idd")
    # nothing at all is no failure, and one that can be read is enough to go on
    refuse_unreadable(read_items([], Reading()), [], Reading())
    assert listed([{"x": 1}, {"id": 1}]).unreadable == 1


def test_a_run_can_be_of_some_items_only() -> None:
    listing = listed([{"id": n} for n in range(3)], only=["1", "7"])
    assert ([item.key for item in listing.items], listing.left_out) == (["1"], 2)
    assert listing.notes == ["there is no item '7' now"]


def test_a_key_that_names_several_items_is_told() -> None:
    listing = listed([{"id": "a", "n": 1}, {"id": "a", "n": 2}, {"id": "a", "n": 1}])
    assert (listing.values, len(listing.items), listing.unreadable) == (3, 1, 1)


def test_a_member_that_no_item_has_is_told_wherever_it_is_written() -> None:
    values: list[object] = [{"id": n, "status": {"state": "active"}} for n in range(8)]
    listing = listed(values, where="state == 'active'")
    assert (listing.left_out, listing.items) == (8, [])
    assert listing.notes == ["where: no item has `state`"]
    said = listed(values, where="status.stat != 'x'", title="name", prompt="Look at {{ item.boddy }}.").notes
    assert said == ["where: no item has `status.stat`", "title: no item has `name`", "prompt: no item has `boddy`"]
    # an object that is null everywhere says nothing about its members
    assert listed([{"id": 1, "milestone": None}], where="milestone.title == null").notes == []
    assert listed([], where="state == 'active'").notes == []


@pytest.mark.parametrize(
    ("value", "year"),
    [
        ({"created_at": "2026-03-06T10:00:00Z"}, 2026),
        ({"date": "Fri, 06 Mar 2026 10:00:00 +0100"}, 2026),
        ({"timestamp": 1772791200}, 2026),
        ({"timestamp": 1772791200000}, 2026),
        ({"fields": {"created": "2026-03-06T10:00:00.000+0000"}}, 2026),
        ({"created_at": "yesterday", "date": None}, None),
        ({"time": "999999999999999999"}, None),
        ("a line", None),
    ],
)
def test_the_age_of_an_item_is_read_where_sources_write_it(value: object, year: int | None) -> None:
    came_at = read_items([value], Reading(key="to_string(@)")).items[0].came_at
    assert (came_at.year if came_at else None) == year
