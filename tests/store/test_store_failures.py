from __future__ import annotations

import asyncio
import gc
import logging
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from store.database import sqlite
from store.database.database import Database
from store.errors import StoreUnavailable
from store.inputs import Inputs
from store.journal.entry import GAP
from store.journal.journal import Journal
from store.store import Store, open_store


async def refusal(database_url: str) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        async with open_store(database_url):
            pass
    assert "\n" not in str(caught.value)
    return caught.value


async def test_a_directory_that_cannot_be_made_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = await refusal(f"sqlite:///{tmp_path}/file/below/store.sqlite3")
    assert "Not a directory" in str(error)
    assert "DATABASE_URL" in str(error)
    assert not error.retryable


async def test_a_directory_in_place_of_the_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    error = await refusal(f"sqlite:///{tmp_path}")
    assert "Is a directory" in str(error)
    assert "DATABASE_URL" in str(error)
    assert not error.retryable


async def test_a_file_that_is_no_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite3").write_text("a diary, not a database\n" * 100)
    error = await refusal(f"sqlite:///{tmp_path}/store.sqlite3")
    assert "not a database; name another file in DATABASE_URL" in str(error)
    assert not error.retryable


async def test_a_file_that_may_only_be_read_is_refused_with_what_to_do(small_disk: Path) -> None:
    async with open_store(f"sqlite:///{small_disk}/store.sqlite3"):
        pass
    remount(small_disk, "ro")
    error = await refusal(f"sqlite:///{small_disk}/store.sqlite3")
    assert "writable for this user" in str(error)
    assert not error.retryable


@pytest.mark.parametrize(
    ("database_url", "said"),
    [
        ("mysql://agents:hunter2@host/agents", "cannot be mysql"),
        ("hunter2", "not a URL"),
        ("postgresql://agents:hunter2@host:port/agents", "not a URL"),
        ("sqlite://", "no SQLite file"),
        ("sqlite:///:memory:", "no SQLite file"),
    ],
)
async def test_an_address_we_cannot_speak_to_is_refused(database_url: str, said: str) -> None:
    error = await refusal(database_url)
    assert said in str(error)
    assert "hunter2" not in str(error)
    assert not error.retryable


async def test_a_server_that_is_away_may_come_back_and_its_password_stays_ours() -> None:
    error = await refusal("postgresql://agents:hunter2@127.0.0.1:1/agents?password=hunter3")
    assert "agents:***@127.0.0.1:1/agents" in str(error)
    assert "hunter" not in str(error)
    assert error.retryable


async def test_a_database_that_does_not_exist_is_refused_with_what_to_do(shared_postgres_url: str) -> None:
    error = await refusal(shared_postgres_url + "_not")
    assert "does not exist; create that database" in str(error)
    assert "secret" not in str(error)
    assert not error.retryable


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/store.sqlite3") as store:
        pass
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.inputs.save("x")
    store.journal.append(uuid4(), "said", "nobody hears it")


async def test_a_locked_database_costs_a_bounded_wait_and_no_event(
    migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.sqlite3"
    path.write_bytes(migrated_file.read_bytes())
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    caplog.set_level(logging.WARNING)
    run_id, database = uuid4(), Database(f"sqlite:///{path}")
    journal = Journal(database, buffer_bytes=10_000)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="database is locked; end the process") as caught:
            await Inputs(database).save("x")
        assert caught.value.retryable
        for number in range(100):
            journal.append(run_id, "said", str(number))
        with pytest.raises(StoreUnavailable, match=r"still unwritten after 0\.3 s.*locked"):
            await journal.flush(run_id, seconds=0.3)
        other.execute("COMMIT")
    await journal.flush(run_id)
    journal.append(run_id, "said", "afterwards")
    await journal.flush(run_id)
    *kept, gap, last = await journal.read(run_id)
    assert [entry.body for entry in kept] == [str(number) for number in range(len(kept))]
    assert (gap.type, gap.body) == (GAP, f'{{"dropped": {100 - len(kept)}}}')
    assert last.body == "afterwards"
    assert f"{100 - len(kept)} events dropped" in caplog.text
    await journal.close()
    await database.close()


async def test_a_cancelled_write_leaves_nothing_and_blocks_nobody(store: Store) -> None:
    for turns in range(24):
        with anyio.CancelScope() as scope:
            scope.deadline = anyio.current_time() + turns / 4000
            await store.outcomes.save(uuid4(), "x")
    run_id = uuid4()
    async with asyncio.timeout(5):
        await store.outcomes.save(run_id, "y")
    assert await store.outcomes.load(run_id) == "y"


async def test_a_full_disk_refuses_what_does_not_fit_and_recovers(small_disk: Path) -> None:
    run_id = uuid4()
    async with open_store(f"sqlite:///{small_disk}/store.sqlite3") as store:
        with pytest.raises(StoreUnavailable, match=r"free some space|space and the health") as caught:
            await store.outcomes.save(run_id, "x" * 6_000_000)
        assert caught.value.retryable
        del caught
        assert await store.outcomes.load(run_id) is None
        for _ in range(60):
            store.journal.append(run_id, "said", "x" * 100_000)
        with pytest.raises(StoreUnavailable):
            await store.journal.flush(seconds=0.5)
        remount(small_disk, "size=40m")
        await store.journal.flush()
        assert [entry.seq for entry in await store.journal.read(run_id)] == list(range(1, 61))
        await store.outcomes.save(run_id, "x" * 6_000_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small filesystem")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a small filesystem: {mounted.stderr.strip()}")
    yield place
    gc.collect()  # a traceback holds a statement, and that the file
    subprocess.run(["umount", place], check=True)


def remount(place: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", place], check=True)
