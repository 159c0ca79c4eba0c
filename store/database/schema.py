"""Tables.

Their names have a prefix, so that they can share a database with Prefect's own tables.
Text is stored as bytes: PostgreSQL's text takes no NUL, and neither database takes a lone surrogate.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
)

REVISION = "0004"
"""The last migration: the one that gives these tables."""

VERSION_TABLE = "store_version"


class Body(TypeDecorator[str]):
    """Column type of text of any content and size."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.encode("utf-8", "surrogatepass")

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else value.decode("utf-8", "surrogatepass")


class Instant(TypeDecorator[datetime]):
    """Column type of an aware datetime in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)


metadata = MetaData()

inputs = Table(
    "store_inputs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("saved_at", Instant, nullable=False),
    Column("body", Body, nullable=False),
)

# The body comes last: SQLite reads a row from its front, and a summary must not cost the megabytes behind it.
outcomes = Table(
    "store_outcomes",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("saved_at", Instant, nullable=False),
    Column("summary", Body),
    Column("body", Body, nullable=False),
)

journals = Table(
    "store_journals",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("batch_id", Uuid, nullable=False),
)

entries = Table(
    "store_entries",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Body, nullable=False),
)

claims = Table(
    "store_claims",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("run_id", Uuid),
    Column("claimed_at", Instant, nullable=False),
    Column("generation", Uuid),
)

handled = Table(
    "store_handled",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claim_id", Uuid, nullable=False, index=True),
    Column("owner", Uuid, nullable=False, index=True),
    Column("run_id", Uuid),
    Column("renewed_at", Instant, nullable=False),
    Column("error", Body),
    Column("source", Body, nullable=False),
    Column("key", Body, nullable=False),
)

items = Table(
    "store_items",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("source", Body, nullable=False, index=True),
    Column("key", Body, nullable=False),
    Column("title", Body, nullable=False),
    Column("url", Body),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("judged_at", Instant),
    Column("judged_by", Uuid),
    Column("cost_usd", Float),
    Column("verdict", Body),
)
