"""Runs the Alembic migrations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import AsyncFileLock
from sqlalchemy import Connection, inspect, text

from store.database.database import Database
from store.database.failures import translate_errors
from store.database.schema import REVISION, VERSION_TABLE
from store.errors import StoreUnavailable

LOCK_WAIT_SECONDS = 60  # another process that starts at the same time has created the tables by then
UPGRADE_SECONDS = 600  # a large journal table is rewritten within this on a slow disk
ADVISORY_LOCK = 0x5354_4F52_45  # any number, as long as it is always this one


async def migrate(database: Database) -> None:
    """Create or upgrade the tables, once across processes. Raises StoreUnavailable."""
    async with _exclusive(database):
        if await find_revision(database) != REVISION:
            await database.write(lambda connection: connection.run_sync(_upgrade), seconds=UPGRADE_SECONDS)


async def find_revision(database: Database) -> str | None:
    """Return the migration that the tables are at, or None if there are no tables."""
    return await database.read(lambda connection: connection.run_sync(_revision))


@asynccontextmanager
async def _exclusive(database: Database) -> AsyncIterator[None]:
    """Keep other processes from the SQLite file; PostgreSQL has an advisory lock for this, taken in `_upgrade`."""
    if not database.is_sqlite:
        yield
        return
    with translate_errors(database.url):
        async with AsyncFileLock(f"{database.url.database}.lock", timeout=LOCK_WAIT_SECONDS):
            # needs the file to itself: when two processes meet here, SQLite refuses one without waiting
            await database.read(lambda connection: connection.exec_driver_sql("PRAGMA journal_mode=WAL"))
            yield


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return str(connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")))


def _upgrade(connection: Connection) -> None:
    # alembic takes 0.15 s to import, and almost every start finds nothing to do
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailable(
            f"the store was migrated by a newer version of this service ({error})", "run that version", retryable=False
        ) from error
