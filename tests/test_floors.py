"""The layout of the code: imports point down, each package says its promise, names are unique, folders stay small."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
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


PACKAGES = sorted(path.parent for floor in MAY_IMPORT for path in (ROOT / floor).rglob("__init__.py"))
LARGEST_FOLDER = 16
QUESTIONS = {"What", "Whether", "Who", "Whom", "Whose", "How", "Where", "When", "Why", "Which", "Since"}
NOT_YET = {"agent", "api", "cli", "deployments", "flows", "store", "tasks"}
"""Floors whose docstrings are still being written anew."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for floor in MAY_IMPORT:
        for source in sorted((ROOT / floor).rglob("*.py")):
            yield source.relative_to(ROOT), ast.parse(source.read_text())


def test_a_package_says_its_promise_and_does_nothing() -> None:
    for package in PACKAGES:
        tree = ast.parse((package / "__init__.py").read_text())
        says = ast.get_docstring(tree)
        floor = package.relative_to(ROOT).parts[0]
        assert says or floor in NOT_YET, f"{package}: one docstring: promise, front door, imports"
        assert len(tree.body) == (1 if says else 0), f"{package}/__init__.py holds more than its docstring"


def test_no_folder_of_code_or_tests_is_crowded() -> None:
    folders = [*PACKAGES, *(path for path in (ROOT / "tests").rglob("*") if path.is_dir()), ROOT / "tests"]
    for folder in folders:
        entries = [entry for entry in folder.iterdir() if entry.name not in {"__pycache__", "node_modules"}]
        if "node_modules" not in folder.parts:
            assert len(entries) <= LARGEST_FOLDER, f"{folder.relative_to(ROOT)} has {len(entries)} entries"


def test_files_of_tests_have_names_of_their_own() -> None:
    """Pytest imports them without packages: two files of one name are one module."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts]
    assert sorted({name for name in names if names.count(name) > 1}) == ["conftest.py"]
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_a_public_class_name_stands_for_one_thing() -> None:
    places = defaultdict(list)
    for source, tree in modules():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(source))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_module_docstrings_say_what_the_module_is() -> None:
    docstrings = {source: ast.get_docstring(tree) for source, tree in modules() if source.parts[0] not in NOT_YET}
    assert [str(source) for source, text in docstrings.items() if text and text.split()[0] in QUESTIONS] == []


def test_the_runtime_imports_without_prefect_in_a_fraction_of_its_time() -> None:
    """Measured against Prefect's own import, in time of the processor: what else the machine does is not in it."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "agent").rglob("[!_]*.py")]
    ours = min(import_seconds(";".join(f"import {name}" for name in modules)) for _ in range(2))
    assert ours < 0.6 * import_seconds("import prefect, prefect.flow_engine")


def import_seconds(statement: str) -> float:
    code = f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return float(done.stdout)


def test_importing_the_runtime_does_not_import_prefect() -> None:
    code = "import sys, agent.runtime; print([name for name in ('prefect', 'fastapi') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
