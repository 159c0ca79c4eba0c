"""What people install: the built wheel, in an environment that has nothing else."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory / "venv", with_pip=True, symlinks=True)
    python = directory / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    run([*pip, "-c", str(ROOT / "constraints.txt"), str(wheel)], directory)
    return python


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
    assert "deployments/prefect_schema.sql" in names
    assert "demo/workspace/.claude/agents/recruiter-triage.md" in names
    assert any(name.startswith("store/migrations/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
