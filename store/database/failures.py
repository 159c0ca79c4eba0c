"""Maps driver errors to StoreUnavailable."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc
from sqlalchemy.engine import URL

from store.database.address import display_address
from store.errors import StoreUnavailable

INSUFFICIENT_PRIVILEGE = "42501"

# Error names of the system and SQLite, SQLSTATEs of PostgreSQL, by prefix: (remedy, True if a retry may succeed).
CHOOSE_WRITABLE_PATH = "make it writable for this user, or name another place in DATABASE_URL"
REMEDIES = {
    "EACCES": (CHOOSE_WRITABLE_PATH, False),
    "ENOTDIR": (CHOOSE_WRITABLE_PATH, False),
    "EISDIR": (CHOOSE_WRITABLE_PATH, False),
    "EROFS": (CHOOSE_WRITABLE_PATH, False),
    "ENOSPC": ("free some space on its filesystem", True),
    "SQLITE_BUSY": ("end the process that holds the file, if one is stopped", True),
    "SQLITE_FULL": ("free some space on its filesystem", True),
    "SQLITE_IOERR": ("look at the space and the health of its filesystem", True),
    "SQLITE_READONLY": (CHOOSE_WRITABLE_PATH, False),
    "SQLITE_CANTOPEN": (CHOOSE_WRITABLE_PATH, False),
    "SQLITE_NOTADB": ("name another file in DATABASE_URL", False),
    "SQLITE_CORRUPT": ("move the file away, or put a backup in its place", False),
    "28": ("correct the user and password in DATABASE_URL", False),
    "3D": ("create that database, or correct DATABASE_URL", False),
    INSUFFICIENT_PRIVILEGE: ("grant this user the right to create tables there", False),
    "53100": ("free some space on its filesystem", True),
}


@contextmanager
def translate_errors(url: URL) -> Iterator[None]:
    """Raise StoreUnavailable for the errors that drivers raise when the database fails."""
    try:
        yield
    except Exception as error:
        failure = _database_error(error)
        if failure is None:
            raise
        raise _unavailable(url, failure) from error


def _database_error(error: Exception) -> BaseException | None:
    """Return the driver's error, or None if the statement itself is wrong."""
    match error:
        case exc.IntegrityError() | exc.ProgrammingError() | exc.DataError():
            return error.orig if _code(error.orig) == INSUFFICIENT_PRIVILEGE else None
        case exc.DBAPIError():
            return error.orig
        case exc.TimeoutError():
            return TimeoutError("no connection came free in time")
        case OSError():
            return error
        case RuntimeError() if "new thread" in str(error):
            return error  # aiosqlite gives each connection a thread
        case _:
            # errors while asyncpg connects are not wrapped; matched by name so that SQLite needs no asyncpg
            return error if type(error).__module__.startswith("asyncpg.") else None


def _unavailable(url: URL, error: BaseException) -> StoreUnavailable:
    code = _code(error)
    remedy, retryable = next((REMEDIES[known] for known in REMEDIES if code.startswith(known)), (None, True))
    reason = f"store at {display_address(url)}: {_one_line(url, error)}"
    return StoreUnavailable(reason, remedy, retryable=retryable)


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
