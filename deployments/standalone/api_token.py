"""The API's token for an operator who has set none: created at the first start, kept under STATE_DIR."""

from __future__ import annotations

import secrets
from pathlib import Path

from deployments.standalone.prefect_environment import create_once


def token_path(state_dir: Path) -> Path:
    """Return the file of the token."""
    return state_dir / "api-token"


def read_kept_token(state_dir: Path) -> str | None:
    """Return the token of an earlier start, if there is one that this user can read."""
    try:
        return token_path(state_dir).read_text().strip() or None
    except OSError:
        return None


def create_token(state_dir: Path) -> tuple[str, bool]:
    """Return the kept token, and True if it was created now: then it is shown, this once."""
    kept = read_kept_token(state_dir)
    if kept is not None:
        return kept, False
    return create_once(token_path(state_dir), secrets.token_urlsafe(32)), True
