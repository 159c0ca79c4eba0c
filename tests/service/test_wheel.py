"""What people install: the built wheel, in an environment that has nothing else."""

import importlib.metadata
import subprocess
import sys
import venv
import zipfile
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = ["agent", "api", "cli", "demo", "deployments", "flows", "store", "tasks"]

IMPORT_ALL = f"""
import importlib, pkgutil
count = 0
for package in {PACKAGES}:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if "versions" not in module.name and not module.name.endswith(("__main__", ".env")):
            importlib.import_module(module.name)
            count += 1
print(count)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)], ROOT)
    [built] = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel says it requires, linked from the environment of the tests, and the wheel, installed."""
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory / "venv", with_pip=False, symlinks=True)
    python = directory / "venv" / "bin" / "python"
    [packages] = (directory / "venv").glob("lib/*/site-packages")
    for distribution in required(wheel):
        link(distribution, packages)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], directory)
    run([*pip, "check"], directory)
    return python


def required(wheel: Path) -> list[importlib.metadata.Distribution]:
    """All distributions that the wheel needs, and those that they need; none of an extra that nobody asked for."""
    [metadata] = importlib.metadata.distributions(path=[str(wheel)])
    found: dict[str, importlib.metadata.Distribution] = {}
    todo = [(metadata, "")]
    seen = set()
    while todo:
        distribution, extra = todo.pop()
        for requirement in map(Requirement, distribution.requires or []):
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
                continue
            for wanted in ("", *requirement.extras):
                if (requirement.name, wanted) not in seen:
                    seen.add((requirement.name, wanted))
                    needed = importlib.metadata.distribution(requirement.name)
                    found[needed.name] = needed
                    todo.append((needed, wanted))
    return list(found.values())


def link(distribution: importlib.metadata.Distribution, packages: Path) -> None:
    for file in distribution.files or []:
        if ".." not in file.parts:
            source = Path(str(distribution.locate_file(file)))
            symlink(source, packages / file)
            if source.suffix == ".py":  # to compile it all again takes longer than the rest of this test
                symlink(Path(cache_from_source(source)), Path(cache_from_source(packages / file)))


def symlink(source: Path, target: Path) -> None:
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)


def run(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_module_of_the_wheel_imports_in_a_bare_environment(bare: Path, tmp_path: Path) -> None:
    assert int(run([str(bare), "-c", IMPORT_ALL], tmp_path).split()[-1]) > 60


def test_the_command_is_installed(bare: Path, tmp_path: Path) -> None:
    assert "up" in run([str(bare.with_name("agent-service")), "--help"], tmp_path)


def test_the_wheel_carries_the_register_the_demo_and_the_migrations(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "deployments/prefect.yaml" in names
    assert "deployments/standalone/prefect_schema.sql" in names
    assert "demo/workspace/.claude/agents/recruiter-triage.md" in names
    assert any(name.startswith("store/migrations/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_the_pins_have_all_that_is_asked_for() -> None:
    """`make install` installs them one by one, and looks for nothing that they leave out."""
    ours = importlib.metadata.distribution("claude-agent-service")
    extras = ours.metadata.get_all("Provides-Extra") or []
    for requirement in map(Requirement, ours.requires or []):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            assert importlib.metadata.version(requirement.name) in requirement.specifier
    run([sys.executable, "-m", "pip", "--disable-pip-version-check", "check"], ROOT)
