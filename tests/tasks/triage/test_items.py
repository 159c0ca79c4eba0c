"""Items: what names one, what makes it a new one, and what a stranger can do to that."""

import pytest
from pydantic import ValidationError

from tasks.sources.expressions import ExpressionFailed, evaluate
from tasks.sources.models import IssuesSource, Reading
from tasks.triage.items import read_items
from tasks.triage.models import TriageRequest


def keys(values: list[object], **reading: str) -> list[str]:
    return [item.key for item in read_items(values, Reading(**reading)).items]


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
