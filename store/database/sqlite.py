"""SQLite, set up so that many processes can use one file.

WAL lets readers go on while one writes. Each transaction that writes says so when it begins (BEGIN IMMEDIATE): it waits
for its turn there, and is never told "database is locked" halfway, where waiting does not help.

synchronous=FULL: what `write()` has committed survives a power cut. NORMAL, for `write(durable=False)`, spares each
commit its fsync: killed processes lose nothing, a power cut may take the last commits back, the file stays sound.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_SECONDS = 10
READERS = 4


def open_sqlite(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    """The engine to read with, and the one to write with; the file is made if need be, for this user alone."""
    assert url.database is not None
    Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # also because a path that cannot be opened would leave a thread of aiosqlite's behind
    os.close(os.open(url.database, os.O_RDWR | os.O_CREAT, 0o600))
    # one writer a process: its own queue is fairer than SQLite's, which sleeps and tries again
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
