"""Many processes on one database, which nobody has opened before."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from uuid import uuid4

from store.store import open_store

MEMBER = """
import asyncio, json, sys, uuid
from store.store import open_store

async def main(url, name, run_id):
    run_id, own = uuid.UUID(run_id), uuid.uuid4()
    print("ready", flush=True)
    sys.stdin.readline()
    async with open_store(url) as store:
        claims = [await store.idempotency.claim("crowd", str(key), "hash", own) for key in range(10)]
        for number in range(12):
            for _ in range(10):
                store.journal.append(run_id, name, str(number))
            input_id = await store.inputs.save(name * 1000)
            await store.outcomes.save(own, str(number) * 1000, name)
            assert await store.inputs.load(input_id) == name * 1000
        await store.journal.flush()
    print(json.dumps({"own": str(own), "won": [key for key, claim in enumerate(claims) if claim.fresh]}))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_four_processes_at_once_never_meet_a_locked_database(
    empty_database_url: str, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    run_id = uuid4()
    crowd = [spawn(MEMBER, empty_database_url, name, str(run_id)) for name in "abcd"]
    for member in crowd:
        assert member.stdout is not None
        assert await asyncio.to_thread(member.stdout.readline) == "ready\n"
    outputs = await asyncio.gather(*(asyncio.to_thread(member.communicate, "go\n", 60) for member in crowd))
    assert [member.returncode for member in crowd] == [0] * 4
    reports = [json.loads(output) for output, _ in outputs]
    assert sorted(key for report in reports for key in report["won"]) == list(range(10))
    async with open_store(empty_database_url) as store:
        entries = await store.journal.read(run_id, limit=2000)
    assert [entry.seq for entry in entries] == list(range(1, 481))
    for name in "abcd":
        own = [int(entry.body) for entry in entries if entry.type == name]
        assert own == [number for number in range(12) for _ in range(10)]
