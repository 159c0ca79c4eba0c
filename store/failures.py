"""A driver's errors, told as one `StoreUnavailable` that a tired person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc
from sqlalchemy.engine import URL

from store.address import shown
from store.errors import StoreUnavailable

# SQLite's error names and PostgreSQL's SQLSTATEs, by prefix: what to try, and if waiting may be enough.
ADVICE = {
    "SQLITE_BUSY": ("another process holds it for long; is one of them stopped?", True),
    "SQLITE_FULL": ("free some space on its filesystem", True),
    "SQLITE_IOERR": ("look at the space and the health of its filesystem", True),
    "SQLITE_READONLY": ("make the file and its directory writable for this user", False),
    "SQLITE_CANTOPEN": ("make its directory writable for this user, or name another in DATABASE_URL", False),
    "SQLITE_NOTADB": ("name another file in DATABASE_URL", False),
    "SQLITE_CORRUPT": ("move the file away, or put a backup in its place", False),
    "28": ("correct the user and password in DATABASE_URL", False),
    "3D": ("create that database, or correct DATABASE_URL", False),
    "42501": ("grant this user the right to create tables there", False),
    "53100": ("free some space on its filesystem", True),
}
# These say that a statement was wrong, not that the database was away: they are ours to fix.
OUR_MISTAKES = (exc.IntegrityError, exc.ProgrammingError, exc.DataError)


@contextmanager
def reported(url: URL) -> Iterator[None]:
    """What the drivers raise for want of a database leaves here as `StoreUnavailable`."""
    try:
        yield
    except exc.DBAPIError as error:
        if isinstance(error, OUR_MISTAKES) and not _code(error.orig).startswith("42501"):
            raise
        raise _unavailable(url, error.orig or error) from error
    except exc.TimeoutError as error:
        raise _unavailable(url, TimeoutError("no connection came free in time")) from error
    except OSError as error:
        raise _unavailable(url, error) from error


def _unavailable(url: URL, error: BaseException) -> StoreUnavailable:
    code = _code(error)
    advice, retryable = next((ADVICE[known] for known in ADVICE if code.startswith(known)), (None, True))
    reason = f"store at {shown(url)}: {_one_line(url, error)}"
    return StoreUnavailable(f"{reason}; {advice}" if advice else reason, retryable=retryable)


def _code(error: object) -> str:
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
