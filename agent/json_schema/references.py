"""Resolves `$ref` inside of one JSON Schema document."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from agent.json_schema.errors import SchemaRefused
from agent.json_schema.keywords import Schema, descendants


class References:
    """The schemas of one document that a `$ref` can mean; made for each translation."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        base = document.get("$id", document.get("id"))
        self._base = base.removesuffix("#") if isinstance(base, str) else ""
        self._anchors = dict(_anchors(document))

    def resolve(self, reference: object, path: str) -> tuple[str, Any]:
        """Return the JSON Pointer and the schema of a reference. Raises SchemaRefused if there is none."""
        if not isinstance(reference, str):
            raise SchemaRefused("$ref", "must be a string", path)
        fragment = reference
        if self._base and reference.startswith(self._base):
            fragment = reference.removeprefix(self._base) or "#"
        if not fragment.startswith("#"):
            raise SchemaRefused("$ref", f"must begin with '#': {reference}", path)
        pointer = unquote(fragment)
        if pointer in ("#", "#/"):
            return "#", self._document
        if pointer.startswith("#/"):
            return pointer, self._follow(pointer, path)
        if pointer in self._anchors:
            return self._anchors[pointer]
        raise SchemaRefused("$ref", f"there is nothing at {reference!r}", path)

    def _follow(self, pointer: str, path: str) -> Any:
        found: Any = self._document
        for step in pointer.removeprefix("#/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            match found:
                case dict() if name in found:
                    found = found[name]
                case list() if name.isascii() and name.isdigit() and int(name[:6]) < len(found):
                    found = found[int(name)]
                case _:
                    raise SchemaRefused("$ref", f"there is nothing at {pointer!r}", path)
        if not isinstance(found, dict | bool):
            raise SchemaRefused("$ref", f"there is no schema at {pointer!r}", path)
        return found


def _anchors(document: Schema) -> list[tuple[str, tuple[str, Schema]]]:
    """Return the named places. Raises SchemaRefused for a schema inside with a base of its own and references."""
    anchors = []
    for path, schema in descendants(document):
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(keyword), str):
                anchors.append((f"#{schema[keyword]}", (path, schema)))
        for keyword in ("$id", "id"):
            own = schema.get(keyword)
            if not isinstance(own, str) or path == "#":
                continue
            if own.startswith("#"):  # draft 7 names places so
                anchors.append((own, (path, schema)))
            elif keyword == "$id" and any("$ref" in one for _, one in descendants(schema)):
                raise SchemaRefused("$id", "references inside of a schema with an own $id are not resolved", path)
    return anchors
