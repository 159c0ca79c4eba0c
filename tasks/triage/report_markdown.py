"""The Markdown report of a triage; item text is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import JsonValue

from tasks.markdown import escaped
from tasks.triage.models import ItemReport, TriageReport

_ROWS = 500
_LINES = 50
_SHORT_CHARACTERS = 40
_CELL_CHARACTERS = 300
_SOMETIMES = ("attempts", "error")
"""Columns of the table that are left out if they are empty."""


def render_triage(report: TriageReport) -> str:
    """Render the report."""
    parts = [f"# Triage of {_plain(report.name)}", _headline(report)]
    if report.notes:
        parts.append("\n".join(f"- **{_plain(note)}**" for note in report.notes))
    if report.items:
        parts.append(_table(report.items[:_ROWS]))
    parts += _section("Failed", [_line(item, item.error) for item in report.items if item.status == "failed"])
    suspects = [_line(item, "its text tries to instruct the agent") for item in report.items if item.suspicious]
    parts += _section("Suspicious", suspects)
    parts += _section("Set aside: failed too often", [_line(item, item.error) for item in report.set_aside])
    parts += _section("Listed, but no item", [_plain(problem) for problem in report.problems])
    return "\n\n".join(parts)


def triage_rows(report: TriageReport) -> list[dict[str, Any]]:
    """Return the items as rows of a table. Each member of the verdicts is a column; long texts come last."""
    items = [*report.items, *report.set_aside][:_ROWS]
    members = verdict_members(report.items)
    rows = [_row(item, members) for item in items]
    told = [name for name in (rows[0] if rows else {}) if name not in _SOMETIMES or any(row[name] for row in rows)]
    is_long = {name: max(len(str(row[name])) for row in rows) > _SHORT_CHARACTERS for name in told}
    columns = ["item", *sorted(told[1:], key=lambda name: is_long[name])]
    return [{name: row[name] for name in columns} for row in rows]


def _row(item: ItemReport, members: list[str]) -> dict[str, Any]:
    verdict = item.verdict if isinstance(item.verdict, dict) else {}
    own = {
        "status": item.status,
        "cost": _dollars(item.cost_usd),
        "attempts": item.attempts if item.attempts > 1 else "",
        "error": item.error or "",
        "run": item.run_url or str(item.run_id or ""),
    }
    said = {f"its {name}" if name in own or name == "item" else name: _cell(verdict.get(name)) for name in members}
    return {"item": item.title, **said, **own}


def verdict_members(items: Iterable[ItemReport]) -> list[str]:
    """Return the members of the verdicts, in the order of their first appearance."""
    verdicts = (item.verdict for item in items)
    return list(dict.fromkeys(name for verdict in verdicts if isinstance(verdict, dict) for name in verdict))[:12]


def _headline(report: TriageReport) -> str:
    counts = [f"{number} {status}" for status, number in report.counts.items()]
    others = {
        "left out by the filter": report.left_out,
        "could not be read": report.unreadable,
        "handled before": report.handled_before,
        "at work elsewhere": report.elsewhere,
        "waiting for the next run": report.waiting,
        "set aside": len(report.set_aside),
    }
    counts += [f"{number} {what}" for what, number in others.items() if number]
    what = ", ".join(counts) if counts else "nothing came in"
    # a filter that reads a member which no item has leaves out everything, or nothing
    what += "".join(f"; {_plain(note)}" for note in report.notes if ": no item has `" in note)
    seconds = (report.finished_at - report.started_at).total_seconds()
    return f"{report.listed} listed: {what}. Cost {_dollars(report.cost_usd)}, {seconds:.0f} s."


def _table(items: list[ItemReport]) -> str:
    members = verdict_members(items)
    columns = ["item", *members, "status", "cost", "run"] if members else ["item", "answer", "status", "cost", "run"]
    lines = [" | ".join(_plain(column) for column in columns), " | ".join("---" for _ in columns)]
    for item in items:
        verdict = item.verdict if isinstance(item.verdict, dict) else {}
        said = [_plain(_cell(verdict.get(name))) for name in members] if members else [_plain(item.answer or "")]
        lines.append(" | ".join([_name(item), *said, item.status, _dollars(item.cost_usd), _run(item)]))
    return "\n".join(f"| {line} |" for line in lines)


def _section(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    more = [f"and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
    return [f"## {title}", "\n".join(f"- {line}" for line in [*lines[:_LINES], *more])]


def _line(item: ItemReport, error: str | None) -> str:
    run = _run(item)
    return f"{_name(item)}: {_plain(error or 'no reason was given')}{f' ({run})' if run else ''}"


def _name(item: ItemReport) -> str:
    if item.url is None:
        return _plain(item.title)
    # an address in angle brackets ends at the first of these
    address = item.url.replace("<", "%3C").replace(">", "%3E").replace("|", "%7C").replace("\\", "%5C")
    return f"[{_plain(item.title)}](<{address}>)"


def _run(item: ItemReport) -> str:
    return f"[run]({item.run_url})" if item.run_url else ""


def _cell(value: JsonValue) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case list():
            return ", ".join(_cell(one) for one in value)
        case bool():
            return "yes" if value else "no"
    return str(value)


def _dollars(cost_usd: float | None) -> str:
    return "" if cost_usd is None else f"${cost_usd:.4f}"


def _plain(text: str) -> str:
    return escaped(text, _CELL_CHARACTERS)
