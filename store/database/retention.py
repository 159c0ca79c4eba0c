"""Delete what is old, a little at a time, so that nobody else waits long for the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, delete, select

from store.database.database import Database

AT_ONCE = 50


async def delete_older(database: Database, key: Column[Any], moment: Column[datetime], older_than: datetime) -> int:
    """Delete the rows of `key`'s table whose `moment` lies before `older_than`, and count them."""
    some = select(key).where(moment < older_than).limit(AT_ONCE)
    deleted = 0
    while True:
        count = await database.change(delete(key.table).where(key.in_(some)), durable=False)
        deleted += count
        if count < AT_ONCE:
            return deleted
