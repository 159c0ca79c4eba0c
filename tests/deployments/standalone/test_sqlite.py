"""Writers of SQLite take turns: none fails, none waits for itself, none is left with the lock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from deployments.standalone.sqlite import TurnTakingSqliteConfiguration

Transaction = Callable[[], AbstractAsyncContextManager[AsyncSession]]

COUNTER = sa.Table("counter", sa.MetaData(), sa.Column("number", sa.Integer))
WRITERS = 24


@asynccontextmanager
async def database(configuration: AioSqliteConfiguration) -> AsyncIterator[AioSqliteConfiguration]:
    engine = await configuration.engine()
    try:
        async with engine.begin() as connection:
            await connection.run_sync(COUNTER.metadata.create_all)
            await connection.execute(COUNTER.insert().values(number=0))
        yield configuration
    finally:
        await engine.dispose()


@pytest.fixture
async def configuration(tmp_path: Path) -> AsyncIterator[AioSqliteConfiguration]:
    async with database(TurnTakingSqliteConfiguration(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")) as configuration:
        yield configuration


@pytest.fixture
def transaction(configuration: AioSqliteConfiguration) -> Transaction:
    return lambda: begun(configuration)


@asynccontextmanager
async def begun(configuration: AioSqliteConfiguration) -> AsyncIterator[AsyncSession]:
    async with await session(configuration) as opened, configuration.begin_transaction(opened):
        yield opened


async def session(configuration: AioSqliteConfiguration) -> AsyncSession:
    return await configuration.session(await configuration.engine())


async def read(opened: AsyncSession) -> int:
    return int((await opened.execute(sa.select(COUNTER.c.number))).scalar_one())


async def write(opened: AsyncSession, number: int) -> None:
    await opened.execute(COUNTER.update().values(number=number))


async def committed(configuration: AioSqliteConfiguration) -> int:
    async with await session(configuration) as opened:
        return await read(opened)


async def nothing() -> None:
    await asyncio.sleep(0)


async def add_one(transaction: Transaction, meanwhile: Callable[[], Coroutine[Any, Any, None]] = nothing) -> None:
    async with transaction() as opened:
        number = await read(opened)
        await asyncio.create_task(meanwhile())
        await write(opened, number + 1)


async def test_writers_that_read_first_all_succeed_at_once(
    transaction: Transaction, configuration: AioSqliteConfiguration
) -> None:
    await asyncio.gather(*(add_one(transaction) for _ in range(WRITERS)))
    assert await committed(configuration) == WRITERS


async def test_sessions_that_begin_no_transaction_do_not_fail_either(
    transaction: Transaction, configuration: AioSqliteConfiguration
) -> None:
    """Prefect's recorders write so: each statement is a transaction of its own, with no lock to upgrade."""

    async def add_one_alone() -> None:
        async with await session(configuration) as opened:
            await read(opened)
            await opened.execute(COUNTER.update().values(number=COUNTER.c.number + 1))
            await opened.commit()

    await asyncio.gather(*(write() for _ in range(WRITERS) for write in (lambda: add_one(transaction), add_one_alone)))
    assert await committed(configuration) == 2 * WRITERS


async def test_prefects_own_configuration_fails_one_of_two(tmp_path: Path) -> None:
    """The reason for ours: when this fails, Prefect has mended it, and ours can go."""
    async with database(AioSqliteConfiguration(f"sqlite+aiosqlite:///{tmp_path / 'stock.db'}")) as stock:
        late = add_one(lambda: begun(stock), meanwhile=lambda: add_one(lambda: begun(stock)))
        with pytest.raises(OperationalError, match="database is locked"):
            await late


async def test_readers_do_not_wait_for_a_writer(
    transaction: Transaction, configuration: AioSqliteConfiguration
) -> None:
    async with transaction() as opened:
        await write(opened, 1)
        async with asyncio.timeout(10):
            assert await asyncio.create_task(committed(configuration)) == 0
            assert await committed(configuration) == 0  # nor does what the writer itself reads elsewhere


async def test_a_transaction_inside_another_of_the_same_task_is_a_part_of_it(
    transaction: Transaction, configuration: AioSqliteConfiguration
) -> None:
    async with asyncio.timeout(10), transaction() as outer:
        await write(outer, 1)
        async with transaction() as inner:
            assert await read(inner) == 1
            await write(inner, 2)
        assert await read(outer) == 2
    assert await committed(configuration) == 2


async def test_a_transaction_inside_another_can_be_rolled_back_alone(
    transaction: Transaction, configuration: AioSqliteConfiguration
) -> None:
    async with transaction() as outer:
        await write(outer, 1)
        async with transaction() as inner:
            await write(inner, 2)
            await inner.rollback()
        assert await read(outer) == 1
    assert await committed(configuration) == 1


async def test_a_task_started_during_a_turn_waits_for_its_own(
    transaction: Transaction, configuration: AioSqliteConfiguration
) -> None:
    async with transaction() as opened:
        later = asyncio.create_task(add_one(transaction))
        await write(opened, 10)
        assert await read(opened) == 10
        assert not later.done()
    await later
    assert await committed(configuration) == 11


async def test_turns_are_taken_in_the_order_they_were_asked_for(transaction: Transaction) -> None:
    order: list[int] = []

    async def note(number: int) -> None:
        async with transaction():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(note(number) for number in range(WRITERS)))
    assert order == list(range(WRITERS))


async def test_a_turn_that_fails_is_over_and_leaves_nothing(
    transaction: Transaction, configuration: AioSqliteConfiguration
) -> None:
    async def fail() -> None:
        async with transaction() as opened:
            await write(opened, 5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await add_one(transaction)
    assert await committed(configuration) == 1


async def test_a_cancelled_turn_is_over_and_so_is_a_cancelled_wait(
    transaction: Transaction, configuration: AioSqliteConfiguration
) -> None:
    has_written = asyncio.Event()

    async def linger() -> None:
        async with transaction() as opened:
            await write(opened, 5)
            has_written.set()
            await asyncio.sleep(60)

    holding = asyncio.create_task(linger())
    await has_written.wait()
    waiting = asyncio.create_task(linger())
    await asyncio.sleep(0)
    for task in (waiting, holding):
        task.cancel()
    await asyncio.gather(holding, waiting, return_exceptions=True)
    async with asyncio.timeout(10):
        await add_one(transaction)
    assert await committed(configuration) == 1
