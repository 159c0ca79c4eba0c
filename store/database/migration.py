"""Bring the tables of a database up to what this code expects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import AsyncFileLock
from sqlalchemy import Connection, inspect, text

from store.database.database import Database
from store.database.failures import reported
from store.database.schema import REVISION, VERSION_TABLE
from store.errors import StoreUnavailable

LOCK_SECONDS = 60
UPGRADE_SECONDS = 600
ADVISORY_LOCK = 0x5354_4F52_45  # any number, as long as it is always this one


async def migrate(database: Database) -> None:
    """Make or upgrade the tables, once, however many processes ask at the same time."""
    async with _alone(database):
        if await find_revision(database) != REVISION:
            await database.write(lambda connection: connection.run_sync(_upgrade), seconds=UPGRADE_SECONDS)


async def find_revision(database: Database) -> str | None:
    """The migration that the tables are at; None: there are none yet."""
    return await database.read(lambda connection: connection.run_sync(_revision))


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[None]:
    """Nobody else opens the file meanwhile; PostgreSQL has a lock of its own for this, taken in `_upgrade`."""
    if not database.is_sqlite:
        yield
        return
    with reported(database.url):
        async with AsyncFileLock(f"{database.url.database}.lock", timeout=LOCK_SECONDS):
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
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailable(
            f"the store was migrated by a newer version of this service ({error}); run that one", retryable=False
        ) from error
