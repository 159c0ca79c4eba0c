"""The agent that answers chat callers where none is configured."""

from __future__ import annotations

from typing import cast

import pytest
from fake_host import FakeHost, settings

from api.openai.chat_agent import ChatAgent
from deployments.host.host import Host


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (["recruiter-triage", "porter"], "recruiter-triage"),
        (["porter"], "general-purpose"),
        ([], "general-purpose"),
        (None, "general-purpose"),
    ],
)
async def test_it_is_that_of_the_earlier_service_where_the_workspace_has_it(
    host: FakeHost, known: list[str] | None, expected: str
) -> None:
    host.workspaces.known = known
    assert await ChatAgent(cast(Host, host), settings()).name() == expected


async def test_it_is_looked_up_once_a_minute_and_not_at_all_where_it_is_configured(host: FakeHost) -> None:
    host.workspaces.known = []
    agent = ChatAgent(cast(Host, host), settings())
    assert [await agent.name() for _ in range(3)] == ["general-purpose"] * 3
    assert len(host.workspaces.syncs) == 1
    assert await ChatAgent(cast(Host, host), settings(openai_compat_agent="porter")).name() == "porter"
    assert len(host.workspaces.syncs) == 1
