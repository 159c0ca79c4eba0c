"""PostgreSQL's own backup of the store, restored elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from store.store import open_store


async def test_a_dump_restored_elsewhere_has_what_runs_came_to(postgres: Any) -> None:
    run_id, url, elsewhere = uuid4(), postgres.new_database(), postgres.new_database()
    dump = Path(postgres.home, "dump")
    async with open_store(url) as store:
        await store.outcomes.save(run_id, "an outcome", "its summary")
        store.journal.append(run_id, "said", '"a word"')
        await store.journal.flush()
        postgres.run("pg_dump", "--format=custom", f"--file={dump}", url)
    postgres.run("pg_restore", "--no-owner", f"--dbname={elsewhere}", dump)
    async with open_store(elsewhere) as store:
        assert await store.outcomes.load(run_id) == "an outcome"
        assert [entry.type for entry in await store.journal.read(run_id)] == ["said"]
