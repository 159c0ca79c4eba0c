"""One siege a class and world; `--worlds=both` adds the one without sandboxes, and a table of what came of it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from board import Board
from siege import Arena, Siege, World, besiege

from agent.sandbox.probe import probe_sandbox

BOARD = Board()
CLASSES = {
    *("secrets", "writes", "privileges", "survival", "limits", "network", "control plane"),
    *("git", "disclosure", "injection"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--worlds", choices=["sandbox", "both"], default="sandbox", help="both: also without, and a table")
    parser.addoption("--table", type=Path, help="write the table to this file too, when every class was tried")


def both_worlds(config: pytest.Config) -> bool:
    # defined only where this directory is named on the command line
    return bool(config.getoption("--worlds", default="sandbox") == "both")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only some classes are tried without `make attack`."""
    if both_worlds(config):
        return
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    slow = [item for item in here if not getattr(getattr(item, "module", None), "QUICK", False)]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "siege" in metafunc.fixturenames:
        worlds = ["sandbox", "open"] if both_worlds(metafunc.config) else ["sandbox"]
        metafunc.parametrize("siege", worlds, indirect=True, scope="module")
    if "attack" in metafunc.fixturenames:
        attacks = metafunc.module.ATTACKS
        metafunc.parametrize("attack", attacks, ids=[str(attack) for attack in attacks])


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    if not both_worlds(config):
        return
    sandbox = probe_sandbox("auto")
    terminalreporter.section("attacks")
    for line in [*BOARD.table(), *BOARD.sums(sandbox)]:
        terminalreporter.write_line(line)
    place = config.getoption("--table")
    if place is not None and exitstatus == 0 and {row.group for row in BOARD.rows} == CLASSES:
        place.write_text(BOARD.page(sandbox))
        terminalreporter.write_line(f"written to {place}")


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("arena")) as arena:
        yield arena


@pytest.fixture(scope="module")
def siege(request: pytest.FixtureRequest, arena: Arena) -> Siege:
    """The module's own siege where it has one, else a run that tries each of its attacks."""
    world: World = request.param
    if world == "sandbox" and (found := probe_sandbox("auto")).bubblewrap is None:
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
    """What the verdict has to be: without a sandbox an attack has to work, or it shows nothing within one."""
    if attack.accepted:
        return verdict
    if siege.world == "sandbox":
        return False
    if attack.without == "either" or (attack.without == "not held" and os.geteuid() != 0):
        return verdict
    return bool(attack.without == "not held")
