"""PostgreSQL set-up: time limits."""

from __future__ import annotations

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_SECONDS = 5  # a host that does not answer by then is reported as unavailable
SERVER_SETTINGS = {
    "application_name": "claude-agent-store",
    "lock_timeout": "10s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
}


def open_postgresql(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    """Return the engines to read and to write with; they share one pool."""
    writer = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            # asyncpg reads the URL itself, as libpq would: sslmode, several hosts, a password file
            "dsn": url.render_as_string(hide_password=False),
            "timeout": CONNECT_SECONDS,
            "server_settings": SERVER_SETTINGS,
        },
        pool_size=5,
        max_overflow=5,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    return writer.execution_options(isolation_level="AUTOCOMMIT"), writer
