"""Finds the line of a YAML document where a member is written, also through anchors and merges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml


def find_line(text: str, path: Sequence[str | int]) -> int | None:
    """Return the line, from 1, of the member at `path`, or of the nearest one above it that is written.

    Steps that the document does not have are left out, e.g. the name of a union's alternative.
    """
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    line = None
    for step in path:
        found = _step(node, step)
        if found is not None:
            line, node = found
    return line


def _step(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line + 1, value) for key, value in _pairs(node) if key.value == str(step)), None)
    return None


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield a mapping's own pairs, then those that it merges (`<<: *other`)."""
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if key.value == "<<":
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
        else:
            yield key, value
    for other in merged:
        if isinstance(other, yaml.MappingNode):
            yield from _pairs(other)
