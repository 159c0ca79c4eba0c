"""The recorded schema is that of the installed Prefect, and makes a fresh database alone."""

import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import prefect
from alembic.script import ScriptDirectory

from deployments.standalone.prefect_schema import RECORDED, create_database

MIGRATIONS = Path(prefect.__file__).parent / "server" / "database" / "_migrations"


def test_it_is_that_of_the_installed_prefect(tmp_path: Path) -> None:
    assert create_database(tmp_path / "prefect.db", version("prefect")), f"python -m deployments.{RECORDED.stem}"
    with closing(sqlite3.connect(tmp_path / "prefect.db")) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (
        revision == ScriptDirectory(MIGRATIONS, version_locations=[MIGRATIONS / "versions/sqlite"]).get_current_head()
    )
    assert tables > 30


def test_a_database_that_exists_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "prefect.db"
    database.write_bytes(b"")
    assert not create_database(database, version("prefect"))
    assert database.read_bytes() == b""


def test_another_version_of_prefect_makes_its_own(tmp_path: Path) -> None:
    assert not create_database(tmp_path / "prefect.db", "3.9.0")
    assert list(tmp_path.iterdir()) == []
