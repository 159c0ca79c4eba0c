"""What runs were asked, at any size."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import delete, insert, select

from store.database import Database
from store.errors import InputMissing
from store.retention import delete_older
from store.schema import inputs


class Inputs:
    """What runs were asked, at any size."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, body: str) -> str:
        """Keep `body`, on disk when this returns, and give the id to load it by."""
        input_id = uuid4().hex
        async with self._database.write() as connection:
            await connection.execute(insert(inputs).values(id=input_id, saved_at=datetime.now(UTC), body=body))
        return input_id

    async def load(self, input_id: str) -> str:
        """The text saved under this id, or `InputMissing`."""
        async with self._database.read() as connection:
            body: str | None = await connection.scalar(select(inputs.c.body).where(inputs.c.id == input_id))
        if body is None:
            raise InputMissing(input_id)
        return body

    async def delete(self, input_id: str) -> None:
        """Forget the text of this id, if it is still there."""
        async with self._database.write() as connection:
            await connection.execute(delete(inputs).where(inputs.c.id == input_id))

    async def trim(self, older_than: datetime) -> int:
        """Delete the inputs saved before `older_than`, and count them."""
        return await delete_older(self._database, inputs.c.id, inputs.c.saved_at, older_than)
