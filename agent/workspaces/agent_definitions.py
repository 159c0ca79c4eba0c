"""The agents of a workspace, read from git, without a checkout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from agent.domain.values import Frozen
from agent.git.git import Git

MOST = 500
LARGEST_BYTES = 262_144
TOLD_CHARACTERS = 2_000
PLAIN_FILES = ("100644", "100755")


class AgentDefinition(Frozen):
    """One agent, as its file's front matter says."""

    name: str
    description: str = ""
    model: str | None = Field(default=None, description="The model that its file names.")
    path: str = Field(description="The file, from the top of the repository.")


async def list_agents(git: Git, commit: str) -> list[AgentDefinition]:
    """The definitions under `.claude/agents` in that commit, by name; raises GitError.

    Files that are no definitions, too large, or not plain are passed by.
    """
    listing = await git.run("ls-tree", "-r", "-z", "-l", commit, "--", f"{FOLDER}/")
    files = [(path, oid) for path, oid in map(_plain_file, listing.decode(errors="replace").split("\0")) if path][:MOST]
    if not files:
        return []
    output = await git.run("cat-file", "--batch", stdin="".join(f"{oid}\n" for _, oid in files).encode())
    found = [_read(path, text) for (path, _), text in zip(files, _contents(output), strict=True)]
    return sorted((agent for agent in found if agent is not None), key=lambda agent: agent.name)


def _plain_file(line: str) -> tuple[str, str]:
    """The path and the object of a Markdown file; nothing for anything else."""
    head, _, path = line.partition("\t")
    mode, _, oid, size = (head.split() + [""] * 4)[:4]
    is_one = mode in PLAIN_FILES and path.endswith(".md") and int(size) <= LARGEST_BYTES
    return (path, oid) if is_one else ("", "")


def _contents(output: bytes) -> list[str]:
    """The objects that `git cat-file --batch` prints, each behind a line with its size."""
    contents, at = [], 0
    while at < len(output):
        end = output.index(b"\n", at)
        size = int(output[at:end].split()[2])
        contents.append(output[end + 1 : end + 1 + size].decode(errors="replace"))
        at = end + 1 + size + 1
    return contents


def _read(path: str, text: str) -> AgentDefinition | None:
    """The definition in a file; None if it has no front matter with a name."""
    if not text.startswith("---"):
        return None
    try:
        matter: Any = yaml.safe_load(text[3:].split("\n---", 1)[0])
    except (yaml.YAMLError, ValueError):
        return None
    if not isinstance(matter, dict) or not isinstance(matter.get("name"), str):
        return None
    description, model = matter.get("description"), matter.get("model")
    return AgentDefinition(
        name=matter["name"].strip(),
        description=description.strip()[:TOLD_CHARACTERS] if isinstance(description, str) else "",
        model=model if isinstance(model, str) else None,
        path=path,
    )


FOLDER = Path(".claude/agents")
_NAME = re.compile(r"^name:\s*[\"']?([^\"'\n#]+?)[\"']?\s*(?:#.*)?$", re.MULTILINE)
_HEAD_BYTES = 16_384


def agent_name(asked: str, checkout: Path) -> str:
    """The name that the CLI knows the agent by, for a caller who said its name or its path."""
    if "/" not in asked and not asked.endswith(".md"):
        return asked
    path = Path(asked if asked.endswith(".md") else f"{asked}.md")
    return _declared_name(checkout / path) or path.stem


def _declared_name(path: Path) -> str | None:
    """The `name:` of a definition's front matter, if the file is there and has one."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.read(_HEAD_BYTES)
    if not head.startswith("---"):
        return None
    match = _NAME.search(head.split("\n---", 1)[0])
    return match.group(1).strip() if match else None
