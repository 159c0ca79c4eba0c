"""A driver's errors, told as one `StoreUnavailable` that a tired person can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc
from sqlalchemy.engine import URL

from store.database.address import shown
from store.errors import StoreUnavailable

NOT_ALLOWED = "42501"

# The system's and SQLite's error names, PostgreSQL's SQLSTATEs, by prefix: what to try, and if waiting may be enough.
ELSEWHERE = "make it writable for this user, or name another place in DATABASE_URL"
ADVICE = {
    "EACCES": (ELSEWHERE, False),
    "ENOTDIR": (ELSEWHERE, False),
    "EISDIR": (ELSEWHERE, False),
    "EROFS": (ELSEWHERE, False),
    "ENOSPC": ("free some space on its filesystem", True),
    "SQLITE_BUSY": ("another process holds it for long; is one of them stopped?", True),
    "SQLITE_FULL": ("free some space on its filesystem", True),
    "SQLITE_IOERR": ("look at the space and the health of its filesystem", True),
    "SQLITE_READONLY": (ELSEWHERE, False),
    "SQLITE_CANTOPEN": (ELSEWHERE, False),
    "SQLITE_NOTADB": ("name another file in DATABASE_URL", False),
    "SQLITE_CORRUPT": ("move the file away, or put a backup in its place", False),
    "28": ("correct the user and password in DATABASE_URL", False),
    "3D": ("create that database, or correct DATABASE_URL", False),
    NOT_ALLOWED: ("grant this user the right to create tables there", False),
    "53100": ("free some space on its filesystem", True),
}


@contextmanager
def reported(url: URL) -> Iterator[None]:
    """What the drivers raise for want of a database leaves here as `StoreUnavailable`."""
    try:
        yield
    except Exception as error:
        trouble = _trouble(error)
        if trouble is None:
            raise
        raise _unavailable(url, trouble) from error


def _trouble(error: Exception) -> BaseException | None:
    """What the database said; None if the mistake is ours."""
    match error:
        case exc.IntegrityError() | exc.ProgrammingError() | exc.DataError():
            return error.orig if _code(error.orig) == NOT_ALLOWED else None
        case exc.DBAPIError():
            return error.orig
        case exc.TimeoutError():
            return TimeoutError("no connection came free in time")
        case OSError():
            return error
        case RuntimeError() if "new thread" in str(error):
            return error  # aiosqlite gives each connection a thread
        case _:
            # while it connects, asyncpg's errors come as they are; who uses SQLite need not import it
            return error if type(error).__module__.startswith("asyncpg.") else None


def _unavailable(url: URL, error: BaseException) -> StoreUnavailable:
    code = _code(error)
    advice, retryable = next((ADVICE[known] for known in ADVICE if code.startswith(known)), (None, True))
    reason = f"store at {shown(url)}: {_one_line(url, error)}"
    return StoreUnavailable(f"{reason}; {advice}" if advice else reason, retryable=retryable)


def _code(error: object) -> str:
    if isinstance(error, OSError) and error.errno:
        return errno.errorcode.get(error.errno, "")
    for name in ("sqlite_errorname", "sqlstate"):
        if isinstance(code := getattr(error, name, None), str):
            return code
    return ""


def _one_line(url: URL, error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    line = lines[0] if lines else "no answer in time" if isinstance(error, TimeoutError) else repr(error)
    secrets = [str(url.password or ""), *map(str, url.query.values())]
    for secret in filter(None, secrets):
        line = line.replace(secret, "***")
    return line[:300]
