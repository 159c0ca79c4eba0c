"""Without a directive the offline model judges sensibly and answers what a schema allows."""

import json
from typing import Any

import jsonschema
import pytest

from demo.offline_model.conversation import read_conversation
from demo.offline_model.demo_agents import improvise, pick_task
from demo.offline_model.inbox_verdicts import judge
from demo.offline_model.schema_example import make_specimen
from demo.repository import WORKSPACE

INBOX = WORKSPACE / "inbox"


@pytest.mark.parametrize(
    ("name", "kind", "priority"),
    [
        ("01-staff-engineer.md", "recruiting", "medium"),
        ("02-rockstar.md", "recruiting", "low"),
        ("03-offer-expires.md", "recruiting", "high"),
        ("04-backup-fails.md", "issue", "high"),
        ("05-first-page.md", "spam", "low"),
        ("06-helpful-assistant.md", "prompt-injection", "high"),
        ("07-rechnung.md", "invoice", "medium"),
        ("08-thank-you.json", "other", "low"),
    ],
)
def test_each_item_of_the_inbox_is_judged(name: str, kind: str, priority: str) -> None:
    verdict = judge((INBOX / name).read_text())
    assert (verdict.kind, verdict.priority) == (kind, priority)
    assert verdict.sender != "unknown"
    assert verdict.subject in verdict.as_markdown(name)


def test_the_line_numbers_of_the_read_tool_do_not_matter() -> None:
    text = (INBOX / "03-offer-expires.md").read_text()
    numbered = "\n".join(f"{number}\t{line}" for number, line in enumerate(text.splitlines(), 1))
    assert judge(numbered) == judge(text)


NODE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "child": {"$ref": "#"},
        "children": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["name"],
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"priority": {"enum": ["urgent", "whenever"]}}, "required": ["priority"]},
        {"type": "object", "properties": {"priority": {"type": "integer", "minimum": 1, "maximum": 5}}},
        {
            "type": "object",
            "properties": {"labels": {"type": "array", "items": {"enum": ["bug", "spam"]}, "uniqueItems": True}},
        },
        {"type": "object", "properties": {"labels": {"type": "array", "items": {"type": "string"}, "minItems": 3}}},
        {"type": "object", "properties": {"labels": {"type": "array", "items": {"type": "string"}, "maxItems": 1}}},
        {"type": "object", "properties": {"score": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.4}}},
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5, "multipleOf": 4}}},
        {"type": "object", "properties": {"summary": {"type": "string", "maxLength": 5}, "x": {"const": 3}}},
        {"type": "object", "properties": {"code": {"type": "string", "minLength": 300}, "on": {"format": "date"}}},
        {
            "type": "object",
            "properties": {"a": {"type": ["string", "null"]}, "b": {"anyOf": [{"type": "null"}, {"type": "boolean"}]}},
        },
        {"type": "object", "required": ["unlisted"], "additionalProperties": {"type": "string"}},
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}},
                {"type": "object", "required": ["a"]},
            ]
        },
        {
            "$ref": "#/$defs/item",
            "$defs": {
                "item": {"type": "object", "properties": {"deep": {"$ref": "#/$defs/leaf"}}},
                "leaf": {"type": "null"},
            },
        },
        NODE,
    ],
    ids=range(14),
)
def test_a_specimen_conforms_to_its_schema(schema: dict[str, Any]) -> None:
    verdict = judge((INBOX / "04-backup-fails.md").read_text())
    specimen = make_specimen(schema, verdict.hints(), "some text")
    jsonschema.validate(specimen, schema)
    assert set(specimen) == set(schema.get("properties", specimen))


def test_a_specimen_takes_the_verdict_where_it_fits() -> None:
    verdict = judge((INBOX / "04-backup-fails.md").read_text())
    names = ("priority", "labels", "summary", "action")
    schema = {"type": "object", "properties": {name: {} for name in names}}
    schema["properties"]["labels"] = {"type": "array", "items": {"type": "string"}}  # type: ignore[index]
    specimen = make_specimen(schema, verdict.hints(), "some text")
    assert specimen == {name: verdict.hints()[name] for name in names}


def test_any_other_agent_says_what_it_was_asked_and_what_it_is() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Upgrade booking"}]}
    step = improvise(read_conversation(body))
    assert step.text
    assert "Upgrade booking" in step.text
    assert "offline model" in step.text


def test_the_task_that_is_named_goes_before_the_most_pressing_one() -> None:
    tasks = (WORKSPACE / ".beads" / "issues.jsonl").read_text()
    assert all(json.loads(line)["id"] for line in tasks.splitlines())
    assert (pick_task(tasks, "next, please") or {})["id"] == "lb-2"
    assert (pick_task(tasks, "do lb-4") or {})["id"] == "lb-4"
    assert pick_task("", "next") is None
