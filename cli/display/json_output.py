"""Prints JSON on stdout, for programs."""

from __future__ import annotations

import json
import sys


def print_json(value: object) -> None:
    """Print one JSON value, and nothing else."""
    sys.stdout.write(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n")
