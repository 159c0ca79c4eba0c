"""What an operator writes about a triage: slips are refused, and caps that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.sources.strict import describe_mistake
from tasks.triage.models import TriageRequest

GIVEN: dict[str, Any] = {"name": "x", "agent": "a", "source": {"type": "list", "items": []}}


def mistake(**members: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TriageRequest.model_validate({**GIVEN, **members})
    return describe_mistake(caught.value)


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("wher", "where"),
        ("max_item", "max_items"),
        ("max_cost_us", "max_cost_usd"),
        ("prompts", "prompt"),
        ("schema", "json_schema"),
        ("finger_print", "fingerprint"),
        ("atonce", "at_once"),
        ("timeout", "timeout_seconds"),
        ("max_budget", "max_budget_usd"),
        ("attempts", "max_attempts"),
    ],
)
def test_a_misspelt_member_is_refused_with_the_one_that_was_meant(slip: str, meant: str) -> None:
    assert mistake(**{slip: 1}) == f"{slip}: unknown member; did you mean `{meant}`?"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ({"type": "issues", "repository": "o/r", "lables": ["bug"]}, "source.issues.lables"),
        ({"type": "folder", "patern": "*.md"}, "source.folder.patern"),
        ({"type": "http", "url": "https://x.example", "header": {}}, "source.http.header"),
        ({"type": "http", "url": "https://x.example", "headers": {"a": {"secret": "s", "prefx": "Bearer "}}}, "prefx"),
        ({"type": "command", "command": "ls", "timeout": 3}, "source.command.timeout"),
        ({"type": "list", "items": [], "item": 1}, "source.list.item"),
    ],
)
def test_a_misspelt_member_of_a_source_is_refused(source: dict[str, Any], place: str) -> None:
    said = mistake(source=source)
    assert place in said
    assert "unknown member; did you mean" in said


def test_a_type_that_no_source_has_is_refused_with_those_there_are() -> None:
    assert "'folder'" in mistake(source={"type": "foldr"})


def test_caps_under_which_no_item_could_be_handled_are_refused() -> None:
    assert "no item could ever be handled" in mistake(max_cost_usd=0.5)
    assert TriageRequest.model_validate({**GIVEN, "max_cost_usd": 0.5, "max_budget_usd": 0.5}).max_cost_usd == 0.5
