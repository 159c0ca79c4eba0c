"""SQLite set-up: WAL, busy timeout, one writer.

WAL lets readers continue while one process writes. Each writing transaction begins with BEGIN IMMEDIATE: it waits there
and never fails with "database is locked" halfway, where waiting does not help.

synchronous=FULL: a commit of `write()` survives a power cut. NORMAL, for `write(durable=False)`, saves the fsync of
each commit: killed processes lose nothing, a power cut may undo the last commits, the file stays sound.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_SECONDS = 10  # longer than any write transaction of this service takes
READERS = 4  # connections; each costs a thread


def open_sqlite(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    """Return the engines to read and to write with; a missing file is created for this user alone."""
    assert url.database is not None
    Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # raises here for a path that cannot be opened: in aiosqlite that would leave a thread running
    os.close(os.open(url.database, os.O_RDWR | os.O_CREAT, 0o600))
    # one writer per process: the pool's queue is fair, SQLite's own waiting sleeps and polls
    reader, writer = _engine(url, READERS), _engine(url, 1)
    event.listen(writer.sync_engine, "begin", _begin)
    return reader, writer


def _engine(url: URL, size: int) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        connect_args={"timeout": BUSY_SECONDS},
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _connected)
    return engine


def _connected(connection: DBAPIConnection, record: object) -> None:
    # None: the driver begins no transaction of its own
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_size_limit=67108864")
    cursor.close()


def _begin(connection: Connection) -> None:
    wanted = "FULL" if connection.get_execution_options().get("durable", True) else "NORMAL"
    if connection.info.get("synchronous") != wanted:
        connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
        connection.info["synchronous"] = wanted
    connection.exec_driver_sql("BEGIN IMMEDIATE")
