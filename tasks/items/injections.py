"""Text of strangers that speaks to the agent: the CLI's own tags are made inert, and attempts are recognised."""

from __future__ import annotations

import json
import re
from typing import Any

_TAGS = (
    *("system-reminder", "important-instructions", "command-name", "command-message", "command-args"),
    *("command-contents", "local-command-stdout", "local-command-stderr", "local-command-caveat"),
    *("user-prompt-submit-hook", "session-start-hook", "hook-output", "bash-input", "bash-stdout", "bash-stderr"),
    *("user-memory-input", "task-notification", "teammate-message", "persisted-output", "function_calls"),
    *("function_results", "tool_use", "tool_use_error", "tool_result", "invoke", "human", "assistant", "system"),
)
"""Names of tags with which the CLI and the model's own formats mark text that is no item's."""

# invisible characters and blanks in a tag do not keep a model from reading it
_GAP = r"[\s\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]*"


def _spelled(name: str) -> str:
    letters = (f"[-_ \u2010-\u2015]{_GAP}" if one in "-_" else re.escape(one) + _GAP for one in name)
    return "".join(letters)


_NAMES = "|".join(_spelled(tag) for tag in _TAGS)
_TAG = re.compile(
    rf"[<\uff1c\u2039\u2329\u3008]({_GAP}/?{_GAP}(?:antml{_GAP}:|(?:{_NAMES})(?![\w-])))",
    re.IGNORECASE,
)

_ATTEMPTS = re.compile(
    r"""
      \b(?:ignore|disregard|forget|override)\s+(?:\w+\s+){0,3}(?:instructions?|prompts?|rules?|guidelines)
    | \byou\s+(?:are|must)\s+now\b | \bnew\s+(?:system\s+)?instructions?\s*: | \bsystem\s+prompt\b
    | \b(?:as|to)\s+(?:an?|the)\s+(?:ai|llm|language\s+model|assistant|agent)\b.{0,40}\b(?:must|should|please|now)\b
    | \b(?:cat|curl|wget|print|send|post|reveal|exfiltrate)\b.{0,60}
      (?:\.ssh|id_rsa|id_ed25519|api[_\s-]?key|token|password|\.env\b)
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)

_LOOKED_AT = 200_000


def defused(text: str) -> str:
    """Return the text with the first character of each such tag replaced, so that it is a tag no more."""
    return _TAG.sub(lambda found: f"&lt;{found[1]}", text)


def tries_to_instruct(value: Any) -> bool:
    """True if the item has one of these tags, or a sentence that commands the reader to drop its instructions."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text[:_LOOKED_AT]
    return _TAG.search(text) is not None or _ATTEMPTS.search(text) is not None
