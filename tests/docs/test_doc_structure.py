"""The pages about the code: each package has its line, each file that is named is there, each word is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import ROOT

LAYERS = ("agent", "api", "benchmarks", "cli", "demo", "deployments", "flows", "store", "tasks")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
WORDS = re.findall(r"^\| \*\*([^*]+)\*\* \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)


def sources() -> list[Path]:
    return [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]


def test_each_package_has_its_line() -> None:
    packages = {str(path.parent.relative_to(ROOT)) for path in sources() if path.name == "__init__.py"}
    assert set(re.findall(r"^\| `([a-z_/]+)` \|", ARCHITECTURE, re.MULTILINE)) == packages


def test_each_file_that_is_named_is_there() -> None:
    named = re.findall(r"`([a-z_/]+\.(?:py|yaml|toml))`", ARCHITECTURE)
    assert [name for name in named if "/" in name and not (ROOT / name).exists()] == []
    assert len(named) > 15


@pytest.fixture(scope="module")
def prose() -> str:
    """All docstrings, comments, names and pages, as words."""
    pages = [path for path in (ROOT / "docs").glob("*.md") if path.name != "glossary.md"]
    text = "\n".join(path.read_text() for path in (*sources(), *pages))
    return re.sub(r"[\s_-]+", " ", text).lower()


@pytest.mark.parametrize("word", WORDS)
def test_each_word_of_the_glossary_is_used(word: str, prose: str) -> None:
    assert re.search(rf"\b{re.escape(word.replace('-', ' '))}", prose), f"nothing is called {word!r}"


def test_the_glossary_is_in_order_and_has_each_word_once() -> None:
    assert sorted({word.lower() for word in WORDS}) == [word.lower() for word in WORDS]
    assert len(WORDS) > 40
