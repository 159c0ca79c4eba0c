"""The versions that `agent-service --version` prints."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PARTS = {"prefect": "prefect", "claude-agent-sdk": "claude-agent-sdk"}


def version_line() -> str:
    """Return the versions of the service and of the two programs that it is pinned to."""
    parts = ", ".join(f"{name} {_version(package)}" for name, package in PARTS.items())
    return f"agent-service {_version('claude-agent-service')} ({parts})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
