"""Whatever an agent leaves, it can be taken away again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.system.files import remove

LEVELS = 1200


def dig(root: Path, levels: int, name: str = "deep") -> None:
    """Directories within each other, a file and a link in each."""
    root.mkdir()
    directory = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=directory)
        os.symlink("/etc", "link", dir_fd=directory)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
        inner = os.open(name, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = inner
    os.close(directory)


def test_a_tree_deeper_than_any_path_is_removed_with_little_stack_and_few_open_files(tmp_path: Path) -> None:
    dig(tmp_path / "tree", LEVELS, "a name of twenty lett")
    frugal = (
        "import resource, sys; from pathlib import Path; from agent.system.files import remove;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); sys.setrecursionlimit(150);"
        "remove(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", frugal, str(tmp_path / "tree")], check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_tree_both_wide_and_deep_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(5):
        dig(tmp_path / "tree" / f"branch-{number}", 70)
    remove(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_directories_that_nobody_may_read_are_removed(tmp_path: Path) -> None:
    closed = tmp_path / "tree" / "closed" / "within"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    for directory in (closed, closed.parent, tmp_path / "tree"):
        directory.chmod(0)
    remove(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become an ordinary user")
def test_an_ordinary_user_removes_what_it_closed_to_itself(tmp_path: Path) -> None:
    place = tmp_path / "user"
    place.mkdir()
    os.chown(place, 65534, 65534)
    code = (
        "import os; from pathlib import Path; from agent.system.files import remove;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "tree = Path('tree'); (tree / 'in' / 'within').mkdir(parents=True);"
        "(tree / 'in' / 'file').touch(); (tree / 'in').chmod(0); tree.chmod(0); remove(tree)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=place, check=True)
    assert list(place.iterdir()) == []


def test_a_link_is_removed_and_what_it_points_to_is_not(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    remove(tmp_path / "link")
    remove(tmp_path / "tree")
    remove(tmp_path / "never was")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").exists()
