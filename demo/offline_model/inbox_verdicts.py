"""Judges an item of the inbox by a few words in it, as far as a script without a model can."""

import json
import re
import textwrap
from typing import Any, Literal

from pydantic import BaseModel

LINE_NUMBER = re.compile(r"^\s*\d+[\t→]", re.MULTILINE)
HEADER = re.compile(r"^(from|subject): *(.+)$", re.MULTILINE | re.IGNORECASE)
DEADLINE = re.compile(
    r"\b(urgent|deadline|expires?|by (mon|tues|wednes|thurs|fri)day|overdue|tonight)\b", re.IGNORECASE
)
PAY = re.compile(r"[€$£]\s?\d|\beur \d|\d ?k\b|\d eur\b", re.IGNORECASE)
GREETING_LENGTH = 24
# The first kind with a word in the text is taken, so the suspicious come first.
KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "prompt-injection",
        "quarantine",
        ("ignore your instructions", "ignore all previous", "ignore previous", "system prompt"),
    ),
    ("spam", "archive", ("winner", "backlinks", "guaranteed returns", "act now", "lottery", "first page of google")),
    ("issue", "open-task", ("traceback", "error", "fails", "failed", "broken", "exit code", "outage")),
    ("invoice", "forward", ("invoice", "amount due", "rechnung")),
    ("recruiting", "reply", ("role", "position", "hiring", "recruit", "opportunity", "salary", "interview", "stelle")),
)


class Verdict(BaseModel, frozen=True):
    """What is thought of one item, and what should come of it."""

    kind: str
    priority: Literal["high", "medium", "low"]
    labels: tuple[str, ...]
    summary: str
    action: str
    sender: str
    subject: str

    def as_markdown(self, source: str) -> str:
        """Return the verdict as the file that the agent leaves behind."""
        lines = [f"# {self.subject}", "", f"- item: {source}", f"- from: {self.sender}"]
        lines += [f"- priority: {self.priority}", f"- labels: {', '.join(self.labels)}"]
        return "\n".join([*lines, f"- action: {self.action}", "", self.summary, ""])

    def hints(self) -> dict[str, Any]:
        """Return this verdict under every name that a caller's schema may have for its parts."""
        labels = list(self.labels)
        return {
            **dict.fromkeys(("priority", "severity", "urgency"), self.priority),
            **dict.fromkeys(("labels", "tags"), labels),
            **dict.fromkeys(("summary", "reason", "reasoning", "description", "text", "answer"), self.summary),
            **dict.fromkeys(("action", "next_action", "next_step", "recommendation", "decision"), self.action),
            **dict.fromkeys(("kind", "category", "type", "label", "classification"), self.kind),
            **dict.fromkeys(("sender", "from", "author"), self.sender),
            **dict.fromkeys(("subject", "title", "name"), self.subject),
            **dict.fromkeys(("confidence", "score"), 0.5),
            **dict.fromkeys(("is_spam", "spam"), self.kind == "spam"),
            **dict.fromkeys(("suspicious", "is_suspicious"), self.kind == "prompt-injection"),
        }


def judge(text: str) -> Verdict:
    """Return a verdict on an item's text; the numbers that the Read tool puts before lines do not matter."""
    text = plain_text(LINE_NUMBER.sub("", text))
    lowered = text.lower()
    kind, action = next(
        ((kind, action) for kind, action, words in KINDS if any(word in lowered for word in words)),
        ("other", "archive"),
    )
    headers = {name.lower(): value.strip() for name, value in HEADER.findall(text)}
    subject = headers.get("subject") or first_line(text)
    return Verdict(
        kind=kind,
        priority=priority_of(kind, text),
        labels=labels_of(kind, lowered),
        summary=first_line(body_of(text), longer_than=GREETING_LENGTH),
        action=action,
        sender=headers.get("from", "unknown"),
        subject=subject,
    )


def plain_text(text: str) -> str:
    """Return an item that came as JSON as the mail it means, any other as it is."""
    try:
        item = json.loads(text)
    except ValueError:
        return text
    if not isinstance(item, dict):
        return text
    body = item.pop("text", item.pop("body", ""))
    return "\n".join([*(f"{name}: {value}" for name, value in item.items()), "", str(body)])


def priority_of(kind: str, text: str) -> Literal["high", "medium", "low"]:
    """Return how soon a person should look at it."""
    match kind:
        case "spam" | "other":
            return "low"
        case "recruiting" if not (PAY.search(text) or DEADLINE.search(text)):
            return "low"
        case "prompt-injection":
            return "high"
        case _:
            return "high" if DEADLINE.search(text) else "medium"


def labels_of(kind: str, lowered: str) -> tuple[str, ...]:
    """Return the kind, and whatever else stands out."""
    signs = {
        "remote": "remote" in lowered,
        "pay-stated": bool(PAY.search(lowered)),
        "deadline": bool(DEADLINE.search(lowered)),
    }
    return (kind, *(label for label, present in signs.items() if present))


def body_of(text: str) -> str:
    """Return what follows the header lines."""
    head, blank, body = text.partition("\n\n")
    return body if blank and HEADER.search(head) else text


def first_line(text: str, longer_than: int = 0) -> str:
    """Return the first line that says something, without Markdown's marks."""
    lines = [stripped for line in text.splitlines() if (stripped := line.strip("#>*- \t"))]
    telling = (line for line in lines if len(line) > longer_than)
    return textwrap.shorten(next(telling, lines[0] if lines else "an empty item"), 120, placeholder=" …")
