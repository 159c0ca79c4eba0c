"""One siege a class and world; `--worlds=both` adds the one without cells, and prints the table."""

import os
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from siege import Arena, Board, Siege, World, besiege

from agent.sandbox import probe_sandbox

BOARD = Board()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--worlds", choices=["cell", "both"], default="cell", help="both: without cells too, and a table")


def both_worlds(config: pytest.Config) -> bool:
    # defined only where this directory is named on the command line
    return bool(config.getoption("--worlds", default="cell") == "both")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slower classes are for `make attack`."""
    if both_worlds(config):
        return
    slow = [item for item in items if not getattr(getattr(item, "module", None), "QUICK", True)]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "siege" in metafunc.fixturenames:
        worlds = ["cell", "open"] if both_worlds(metafunc.config) else ["cell"]
        metafunc.parametrize("siege", worlds, indirect=True, scope="module")
    if "attack" in metafunc.fixturenames:
        attacks = metafunc.module.ATTACKS
        metafunc.parametrize("attack", attacks, ids=[str(attack) for attack in attacks])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if both_worlds(config):
        terminalreporter.section("attacks")
        for line in BOARD.table():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("arena")) as arena:
        yield arena


@pytest.fixture(scope="module")
def siege(request: pytest.FixtureRequest, arena: Arena) -> Siege:
    """The module's own siege where it has one, else a run that tries each of its attacks."""
    world: World = request.param
    if world == "cell" and (found := probe_sandbox("auto")).bubblewrap is None:
        pytest.skip(f"needs bubblewrap: {found.reason}")
    own = getattr(request.module, "lay_siege", None)
    if own is not None:
        more = [request.getfixturevalue(name) for name in getattr(request.module, "NEEDS", ())]
        laid: Siege = anyio.run(own, arena, world, *more)
        return laid
    return anyio.run(besiege, arena, world, request.module.ATTACKS)


@pytest.fixture
def verdict(request: pytest.FixtureRequest, siege: Siege, attack: Any) -> bool:
    """Whether the attack went through, noted for the table."""
    breached = siege.verdict(attack)
    BOARD.record(request.module.CLASS, attack, siege.world, breached)
    return breached


@pytest.fixture
def expected(siege: Siege, attack: Any, verdict: bool) -> bool:
    """What the verdict has to be: without a cell an attack has to work, or it shows nothing within one."""
    if attack.accepted:
        return verdict
    if siege.world == "cell":
        return False
    if attack.without == "either" or (attack.without == "not held" and os.geteuid() != 0):
        return verdict
    return bool(attack.without == "not held")
