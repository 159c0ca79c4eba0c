"""A triage's report as a table: what a person looks for first is where it can be seen."""

from datetime import UTC, datetime
from uuid import uuid4

from tasks.triage.models import ItemReport, TriageReport
from tasks.triage.report_markdown import render_triage, triage_rows
from tasks.triage.report_triage import describe_failure

NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
LONG = "a sentence that takes more room than a column of a table has"


def report(*items: ItemReport) -> TriageReport:
    given = {"listed": len(items), "handled_before": 0, "elsewhere": 0, "waiting": 0, "problems": [], "notes": []}
    return TriageReport.model_validate(
        {"name": "x", "started_at": NOW, "finished_at": NOW, "items": items, "set_aside": [], **given}
    )


def item(**members: object) -> ItemReport:
    given = {"title": "t", "key": "k", "url": None, "status": "done", "attempts": 1, "run_id": uuid4(), "cost_usd": 0.5}
    return ItemReport.model_validate({**given, "run_url": f"http://prefect.example/{'x' * 40}", **members})


def test_long_texts_come_after_all_that_is_short() -> None:
    rows = triage_rows(report(item(verdict={"summary": LONG, "priority": "high"}), item(verdict=None)))
    assert list(rows[0]) == ["item", "priority", "status", "cost", "summary", "run"]
    assert rows[0]["summary"] == LONG
    assert rows[1]["priority"] == ""


def test_attempts_and_errors_are_columns_where_there_are_any() -> None:
    failed = item(status="failed", attempts=2, error="it broke", verdict={"priority": "low"})
    rows = triage_rows(report(item(verdict={"priority": "low"}), failed))
    assert list(rows[0]) == ["item", "priority", "status", "cost", "attempts", "error", "run"]
    assert [row["attempts"] for row in rows] == ["", 2]
    assert [row["error"] for row in rows] == ["", "it broke"]


def test_a_verdict_hides_nothing_of_the_report() -> None:
    [row] = triage_rows(report(item(verdict={"item": "another", "status": "failed", "run": "http://evil.example"})))
    assert (row["item"], row["status"], row["its status"]) == ("t", "done", "failed")
    assert row["run"].startswith("http://prefect.example/")
    assert triage_rows(report()) == []


def test_more_failures_than_are_allowed_fail_the_run() -> None:
    failed = item(status="failed", error="it broke")
    two_of_three = report(failed, failed, item()).model_copy(update={"max_failed_share": 0.5})
    assert describe_failure(two_of_three) == (
        "2 of 3 items failed, and max_failed_share allows 50%; the first: it broke"
    )
    assert describe_failure(report(failed, item(), item()).model_copy(update={"max_failed_share": 0.5})) is None
    assert describe_failure(report(failed, failed, item())) is None
    assert describe_failure(report(failed, failed)) == "all 2 items failed; the first: it broke"


def test_what_was_left_out_stands_in_the_headline() -> None:
    note = "where: no item has `state`"
    left = report().model_copy(update={"listed": 8, "left_out": 8, "notes": [note]})
    assert "8 listed: 8 left out by the filter; where\\: no item has \\`state\\`" in render_triage(left)
    unread = report(item()).model_copy(update={"listed": 3, "unreadable": 2})
    assert "2 could not be read" in render_triage(unread)


def test_an_item_that_tries_to_instruct_is_named() -> None:
    assert "## Suspicious" in render_triage(report(item(suspicious=True)))
    assert "## Suspicious" not in render_triage(report(item()))


def test_what_an_item_says_is_no_markup_in_the_report() -> None:
    hostile = item(title="[x](javascript:alert(1)) | <b>", verdict={"summary": "| a |\n# b <script>"})
    said = render_triage(report(hostile))
    assert "<script>" not in said
    assert "\n# b" not in said
    assert "[x](javascript" not in said
