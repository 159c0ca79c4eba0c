"""Reads agent definitions (.claude/agents/*.md) from a commit or a checkout, without running anything."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import Field

from agent.domain.values import Frozen
from agent.git.git import Git

FOLDER = Path(".claude/agents")
MAX_DEFINITIONS = 500
MAX_FILE_BYTES = 262_144
MAX_DESCRIPTION_CHARACTERS = 2_000
PLAIN_FILES = ("100644", "100755")
FRONT_MATTER = re.compile(r"---\s*\n(.*?)---", re.DOTALL)
# A line that the CLI reads again with its value in quotes, when the front matter is not YAML as it stands.
PLAIN_LINE = re.compile(r"([a-zA-Z_-]+):\s+(\S.*)")
NEEDS_QUOTES = re.compile(r"[{}\[\]*&#!|>%@`]|: ")


class AgentDefinition(Frozen):
    """One agent, as the front matter of its file describes it."""

    name: str
    description: str = ""
    model: str | None = Field(default=None, description="The model that its file names.")
    path: str = Field(description="The file, from the top of the repository.")


async def list_agents(git: Git, commit: str) -> list[AgentDefinition]:
    """List the definitions under `.claude/agents` in that commit, by name. Raises GitError.

    Files that are no definitions, too large, or not plain are skipped.
    """
    listing = await git.run("ls-tree", "-r", "-z", "-l", commit, "--", f"{FOLDER}/")
    found = [(path, oid) for path, oid in map(_plain_file, listing.decode(errors="replace").split("\0")) if path]
    files = found[:MAX_DEFINITIONS]
    if not files:
        return []
    output = await git.run("cat-file", "--batch", stdin="".join(f"{oid}\n" for _, oid in files).encode())
    agents = [read_definition(path, text) for (path, _), text in zip(files, _contents(output), strict=True)]
    return sorted((agent for agent in agents if agent is not None), key=lambda agent: agent.name)


def read_definition(path: str, text: str) -> AgentDefinition | None:
    """Return the definition in a file; None if the CLI would not take it for one."""
    matter = _front_matter(text)
    name, description, model = matter.get("name"), matter.get("description"), matter.get("model")
    # the CLI takes no name with a colon, which separates a plugin from its agent
    if not isinstance(name, str) or not name.strip() or name.startswith("-") or ":" in name:
        return None
    return AgentDefinition(
        name=name.strip(),
        description=description.strip()[:MAX_DESCRIPTION_CHARACTERS] if isinstance(description, str) else "",
        model=model if isinstance(model, str) else None,
        path=path,
    )


def list_agents_in(folder: Path) -> list[AgentDefinition]:
    """List the definitions below a directory that the operator owns."""
    files = sorted(folder.rglob("*.md"))[:MAX_DEFINITIONS]
    found = [_definition_file(path) for path in files]
    return [agent for agent in found if agent is not None]


def agent_name(asked: str, checkout: Path) -> str:
    """Return the name that the CLI knows an agent by, for a caller that gave its name or its path."""
    if "/" not in asked and not asked.endswith(".md"):
        return asked
    path = Path(asked if asked.endswith(".md") else f"{asked}.md")
    found = _definition_file(checkout / path)
    return found.name if found else path.stem


def short_name(asked: str) -> str:
    """Return an agent's name without folder and suffix, for tags, labels and metrics."""
    return PurePosixPath(asked).name.removesuffix(".md") or asked


def _definition_file(path: Path) -> AgentDefinition | None:
    if path.is_symlink() or not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        return read_definition(str(path), file.read(MAX_FILE_BYTES))


def _front_matter(text: str) -> dict[str, Any]:
    """Return the front matter as the pinned CLI reads it; empty if there is none."""
    found = FRONT_MATTER.match(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    if found is None:
        return {}
    for attempt in (found[1], _quoted(found[1])):
        try:
            matter = yaml.load(attempt, _CoreLoader)
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
        return matter if isinstance(matter, dict) else {}
    return {}


def _quoted(matter: str) -> str:
    """Return the front matter with plain values in quotes where YAML would read a sign in them, e.g. `: `."""
    lines = []
    for line in matter.split("\n"):
        found = PLAIN_LINE.fullmatch(line)
        value = found[2] if found else ""
        is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        if found and NEEDS_QUOTES.search(value) and not is_quoted and not _is_list(value):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            line = f'{found[1]}: "{escaped}"'
        lines.append(re.sub(r"^\t+", lambda tabs: "  " * len(tabs[0]), line))
    return "\n".join(lines)


def _is_list(value: str) -> bool:
    try:
        return isinstance(yaml.load(value, _CoreLoader), list)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False


class _CoreLoader(yaml.SafeLoader):
    """YAML 1.2, as the CLI reads it: `name: on`, `name: 2024-01-31` and `name: 1:30` are text."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
    list("-+.0123456789"),
)


def _plain_file(line: str) -> tuple[str, str]:
    """Return path and object of a Markdown file; empty strings for anything else."""
    head, _, path = line.partition("\t")
    mode, _, oid, size = (head.split() + [""] * 4)[:4]
    is_one = mode in PLAIN_FILES and path.endswith(".md") and int(size) <= MAX_FILE_BYTES
    return (path, oid) if is_one else ("", "")


def _contents(output: bytes) -> list[str]:
    """Return the objects that `git cat-file --batch` prints, each behind a line with its size."""
    contents, at = [], 0
    while at < len(output):
        end = output.index(b"\n", at)
        size = int(output[at:end].split()[2])
        contents.append(output[end + 1 : end + 1 + size].decode(errors="replace"))
        at = end + 1 + size + 1
    return contents
