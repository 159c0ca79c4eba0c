from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from store.database import migration
from store.database.database import Database
from store.database.schema import REVISION, VERSION_TABLE, metadata
from store.errors import StoreUnavailable
from store.store import open_store


def differences(connection: Connection) -> list[object]:
    options = {"version_table": VERSION_TABLE, "compare_type": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


async def test_the_migrations_lead_to_the_tables_of_the_schema(empty_database_url: str) -> None:
    async with open_store(empty_database_url):
        database = Database(empty_database_url)
        assert await database.read(lambda connection: connection.run_sync(differences)) == []
        await database.close()


def test_the_schema_names_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parents[1] / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


async def test_a_store_that_is_up_to_date_keeps_what_it_holds(empty_database_url: str) -> None:
    async with open_store(empty_database_url) as store:
        input_id = await store.inputs.save("kept")
    async with open_store(empty_database_url) as store:
        assert await store.inputs.load(input_id) == "kept"


async def test_a_store_of_a_newer_version_is_refused(empty_database_url: str) -> None:
    async with open_store(empty_database_url):
        database = Database(empty_database_url)
        newer = text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        await database.write(lambda connection: connection.execute(newer))
        await database.close()
    with pytest.raises(StoreUnavailable, match=r"newer version.*9999") as caught:
        async with open_store(empty_database_url):
            pass
    assert not caught.value.retryable


OPEN = """
import asyncio, sys
from store.store import open_store

async def main(url):
    async with open_store(url):
        print(*sorted({"alembic", "asyncpg", "fastapi", "prefect"} & set(sys.modules)))

asyncio.run(main(sys.argv[1]))
"""


def test_opening_a_store_that_is_up_to_date_imports_little(migrated_file: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", OPEN, f"sqlite:///{migrated_file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "\n"
