"""Creates the Prefect database from a recorded schema instead of running its migrations.

`python -m deployments.standalone.prefect_schema` records it; run it when the pin of Prefect changes.
"""

import importlib.metadata
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

RECORDED = Path(__file__).with_name("prefect_schema.sql")


def create_database(path: Path, prefect_version: str) -> bool:
    """Create the database at `path` if there is none. True if it was created.

    A schema recorded with another version of Prefect is not used: then Prefect's migrations create the tables, as they
    upgrade an existing database.
    """
    script = RECORDED.read_text()
    if path.exists() or script.splitlines()[0] != _title(prefect_version):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        draft = Path(directory) / path.name
        with closing(sqlite3.connect(draft)) as connection:
            connection.executescript(script)
        try:
            os.link(draft, path)  # appears at once and whole, and never replaces another
        except OSError:
            return False
    return True


def migrate(home: Path) -> Path:
    """Create a database under `home` with all of Prefect's migrations and return its path."""
    environment = {"PREFECT_HOME": str(home), "DO_NOT_TRACK": "1", "PATH": os.defpath, "HOME": str(home)}
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    subprocess.run(command, env=environment, cwd=home, check=True, capture_output=True)
    return home / "prefect.db"


def dump(path: Path, prefect_version: str) -> str:
    """Return the SQL script that creates a database like the one at `path`."""
    with closing(sqlite3.connect(path)) as connection:
        lines = [line.rstrip() for statement in connection.iterdump() for line in statement.splitlines()]
    return "\n".join([_title(prefect_version), *lines, ""])


def _title(prefect_version: str) -> str:
    return f"-- SQLite schema of prefect {prefect_version}, recorded by deployments/standalone/prefect_schema.py"


def main() -> None:
    """Record the schema of the installed Prefect."""
    with tempfile.TemporaryDirectory() as directory:
        RECORDED.write_text(dump(migrate(Path(directory)), importlib.metadata.version("prefect")))


if __name__ == "__main__":
    main()
