"""The house stands: imports point down, packages import whole, and the runtime is quick to import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "agent": set(),
    "store": set(),
    "tasks": {"agent", "store"},
    "flows": {"tasks", "store", "agent"},
    "deployments": {"flows", "tasks", "store", "agent"},
    "api": {"deployments", "flows", "tasks", "store", "agent"},
    "cli": {"api", "demo", "deployments", "flows", "tasks", "store", "agent"},
    "demo": set(),
    "benchmarks": {"agent", "api", "cli", "demo", "deployments", "flows", "store", "tasks"},
}


def imported_packages(source: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} has a relative import"
            names.add(str(node.module).split(".")[0])
    return names & set(MAY_IMPORT)


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_imports_point_down(floor: str) -> None:
    for source in (ROOT / floor).rglob("*.py"):
        beyond = imported_packages(source) - MAY_IMPORT[floor] - {floor}
        assert not beyond, f"{source.relative_to(ROOT)} imports {beyond}"


@pytest.mark.parametrize("floor", ["agent", "store"])
def test_the_lower_floors_know_neither_prefect_nor_http(floor: str) -> None:
    forbidden = {"prefect", "fastapi", "starlette"}
    for source in (ROOT / floor).rglob("*.py"):
        tree = ast.parse(source.read_text())
        names = {
            alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not names & forbidden, f"{source.relative_to(ROOT)} imports {names & forbidden}"


def test_no_package_of_ours_has_anything_in_its_init_file() -> None:
    full = [path for floor in MAY_IMPORT for path in (ROOT / floor).rglob("__init__.py") if path.read_text().strip()]
    assert full == []


def test_the_runtime_imports_without_prefect_in_a_fraction_of_its_time() -> None:
    """Measured against Prefect's own import, in time of the processor: what else the machine does is not in it."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "agent").rglob("[!_]*.py")]
    ours = min(import_seconds(";".join(f"import {name}" for name in modules)) for _ in range(2))
    assert ours < 0.5 * import_seconds("import prefect, prefect.flow_engine")


def import_seconds(statement: str) -> float:
    code = f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return float(done.stdout)


def test_importing_the_runtime_does_not_import_prefect() -> None:
    code = "import sys, agent.runtime; print([name for name in ('prefect', 'fastapi') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
