"""Reads a YAML file into plain values and keeps the line of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

_MAX_VALUES = 100_000  # aliases of aliases make a small file expand to any size


class YamlError(Exception):
    """The file cannot be read as YAML; `line` is where, if it is known."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line


class YamlDocument:
    """One file's values; `read_yaml` makes it."""

    def __init__(self, value: Any, root: yaml.Node | None) -> None:
        self.value = value
        self._root = root

    def line(self, location: Sequence[str | int]) -> int | None:
        """Return the line of the value at `location`, or of the nearest one around it; parts not found are skipped."""
        node, line = self._root, None
        for part in location:
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(part):
                        node, line = value, key.start_mark.line + 1
                        break
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


def read_yaml(path: Path) -> YamlDocument:
    """Read the file. Raises YamlError for what is no YAML, a member named twice, and values without end."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise YamlError(error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise YamlError("it is not UTF-8", line) from None
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return YamlDocument(None, None)
        _check(root)
        return YamlDocument(loader.construct_document(root), root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(error.problem or str(error), mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # a ValueError: a date that does not exist
        raise YamlError(" ".join(str(error).split())) from None
    finally:
        loader.dispose()


def _check(root: yaml.Node) -> None:
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in open_nodes:
            raise YamlError("it contains itself", node.start_mark.line + 1)
        open_nodes.add(id(node))
        children = _children(node)
        total = 1 + sum(size(child) for child in children)
        if total > _MAX_VALUES:
            raise YamlError(f"its aliases expand to more than {_MAX_VALUES} values", node.start_mark.line + 1)
        open_nodes.remove(id(node))
        sizes[id(node)] = total
        return total

    size(root)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise YamlError("a member's name must be a text", key.start_mark.line + 1)
        if key.value in seen and key.value != "<<":
            raise YamlError(f"{key.value} is there twice", key.start_mark.line + 1)
        seen.add(key.value)
    return [value for _, value in node.value]
