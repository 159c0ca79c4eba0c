"""Takes credentials out of text that people will read."""

from __future__ import annotations

import re

USER_INFO = re.compile(r"(?<=://)[^/\s'\"]+@")
SECRET_PARAMETER = re.compile(r"(?i)([?&][\w.-]*(?:token|key|secret|password|signature|sig)[\w.-]*=)[^&\s'\"]+")


def redact(text: str) -> str:
    """The text with `***` for whatever stands between `://` and `@`, and for secrets in a query."""
    return SECRET_PARAMETER.sub(r"\1***", USER_INFO.sub("***@", text))
