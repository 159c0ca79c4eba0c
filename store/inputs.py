"""Requests of runs, of any size."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import delete, insert, select

from store.database.database import Database
from store.database.retention import delete_older
from store.database.schema import inputs
from store.errors import InputMissing


class Inputs:
    """The requests of runs in the database; one per Store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, body: str) -> str:
        """Save `body` and return its id; it is on disk when this returns."""
        input_id = uuid4().hex
        statement = insert(inputs).values(id=input_id, saved_at=datetime.now(UTC), body=body)
        await self._database.change(statement)
        return input_id

    async def load(self, input_id: str) -> str:
        """Return the text saved under this id. Raises InputMissing."""
        query = select(inputs.c.body).where(inputs.c.id == input_id)
        rows = await self._database.rows(query)
        if not rows:
            raise InputMissing(input_id)
        return str(rows[0].body)

    async def delete(self, input_id: str) -> None:
        """Delete the text of this id, if there is one."""
        statement = delete(inputs).where(inputs.c.id == input_id)
        await self._database.change(statement)

    async def trim(self, older_than: datetime) -> int:
        """Delete the inputs saved before `older_than` and return their number."""
        return await delete_older(self._database, inputs.c.id, inputs.c.saved_at, older_than)
