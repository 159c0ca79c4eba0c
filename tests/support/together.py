"""Which tests run in one worker: those that share what takes seconds to start, such as a whole service.

All others go one by one to whichever worker is free. Whoever shares the most comes first, so that no worker is left
alone with it at the end. xdist's own `loadgroup` does this by a suffix of names that pytest no longer takes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from xdist.scheduler import LoadScopeScheduling

GROUPS = {
    "stage": "service",
    "arena": "victim",
    "prefect_server": "prefect",
    "wheel": "wheel",
    "bare": "wheel",
    "postgres": "databases",
    "database_url": "databases",
    "empty_database_url": "databases",
}
"""By the fixture that is shared; the first that a test has counts."""

TESTS = Path(__file__).parents[1]
CALLERS = ("api", "docs", "fundamentals", "service/clients", "service/test_agent_run.py")
"""Tests of these have a service of their own: one worker would be alone with all of them at the end."""

FOR_CALLERS = "service for callers"
ORDER = [*dict.fromkeys(["service", FOR_CALLERS, *GROUPS.values()])]
TOLD = Path(tempfile.gettempdir()) / f"tests-together-{uuid4().hex}.json"
"""Where the workers, who have the tests, tell the groups to the process that has the workers."""


def pytest_configure_node(node: Any) -> None:
    node.workerinput["tests_together"] = str(TOLD)


@pytest.hookimpl(trylast=True)  # once it is known which tests there are
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    groups = {item: _group(item) for item in items}
    items.sort(key=lambda item: ORDER.index(groups[item]) if groups[item] in ORDER else len(ORDER))
    told = getattr(config, "workerinput", {}).get("tests_together")
    if told is not None:
        draft = Path(f"{told}.{config.workerinput['workerid']}")
        draft.write_text(json.dumps({item.nodeid: group for item, group in groups.items() if group is not None}))
        draft.replace(told)


def _group(item: pytest.Item) -> str | None:
    fixtures = getattr(item, "fixturenames", [])
    if "siege" in fixtures:
        # a module's attacks are one run; some lay it against the service
        module = getattr(item, "module", None)
        return "service" if "stage" in getattr(module, "NEEDS", ()) else f"attacks: {getattr(module, 'CLASS', '')}"
    group = next((group for fixture, group in GROUPS.items() if fixture in fixtures), None)
    return FOR_CALLERS if group == "service" and _is_below(item.path, CALLERS) else group


def _is_below(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(TESTS / place) for place in places)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """End what a group shared with its last test: a service that waits for nobody takes a tenth of a core."""
    yield
    if nextitem is not None and _group(nextitem) != _group(item):
        known: Any = item  # pytest offers this to nobody
        for fixture in GROUPS:
            for definition in known.session._fixturemanager.getfixturedefs(fixture, item) or ():
                definition.finish(known._request)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return Together(config, log) if config.getoption("dist") == "loadgroup" else None


class Together(LoadScopeScheduling):
    """Sends a whole group to one worker, and any other test to any."""

    @cached_property
    def _groups(self) -> dict[str, str]:
        try:
            return dict(json.loads(TOLD.read_text()))
        finally:
            TOLD.unlink(missing_ok=True)

    def _split_scope(self, nodeid: str) -> str:
        return self._groups.get(nodeid, nodeid)
