"""Every kind of request is served, and soon, while others write."""

import asyncio

import prefect_stories
from prefect_rest import PrefectRest

WRITERS = 3


async def test_all_that_is_asked_of_the_api_at_once_is_granted(rest: PrefectRest) -> None:
    flow_id = await prefect_stories.make_flow(rest)
    told = asyncio.Event()

    async def write_on() -> None:
        while not told.is_set():
            await prefect_stories.one_run(rest, flow_id)

    async def tell() -> None:
        try:
            await asyncio.gather(*(story(rest) for story in prefect_stories.ALL))
        finally:
            told.set()

    await asyncio.gather(tell(), *(write_on() for _ in range(WRITERS)))
    assert rest.refused == []
    # a request that waits for the lock that it holds itself fails after a minute
    assert rest.slowest_seconds < 30
