"""Deletes old rows in small batches."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, delete, select

from store.database.database import Database

ROWS_PER_DELETE = 50  # some milliseconds of the write lock for each


async def delete_older(database: Database, key: Column[Any], moment: Column[datetime], older_than: datetime) -> int:
    """Delete the rows of `key`'s table whose `moment` lies before `older_than` and return their number."""
    some = select(key).where(moment < older_than).limit(ROWS_PER_DELETE)
    deleted = 0
    while True:
        count = await database.change(delete(key.table).where(key.in_(some)), durable=False)
        deleted += count
        if count < ROWS_PER_DELETE:
            return deleted
