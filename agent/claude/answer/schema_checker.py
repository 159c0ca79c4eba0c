"""The program that checks a JSON value against a JSON Schema: both on stdin, the violation on stdout.

Runs by its path, without the rest of the service: `schema_check` starts it.
"""

from __future__ import annotations

import json
import resource
import sys

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry

MEMORY_BYTES = 1024 * 1024 * 1024
"""Far past any answer: a schema that multiplies itself must not take the machine's memory."""

MESSAGE_CHARACTERS = 10_000
"""So much of a violation's end, where the rule stands; before it stands the whole of the answer's part."""


def main() -> None:
    """Print the message of the violation that tells most, or null. Exits with 1 if the schema cannot be applied."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    asked = json.load(sys.stdin)
    # an empty registry: a `$ref` to somewhere else is an error, not a request
    validator = Draft202012Validator(asked["schema"], registry=Registry())
    failure = best_match(validator.iter_errors(asked["value"]))
    json.dump(None if failure is None else failure.message[-MESSAGE_CHARACTERS:], sys.stdout)


if __name__ == "__main__":
    main()
