"""The table of clients: who can do what, as the tests have found."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

BEGIN, END = "<!-- table: make clients writes it -->", "<!-- end of the table -->"
FEATURES = ["answer", "stream", "structured", "models", "errors", "retries: one run"]
SIGNS = {"passed": "✓", "failed": "✗", "skipped": "not run"}


class Matrix:
    """Collects the outcome of each test that names its client and what it shows, and writes the table at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[str, dict[str, str]] = {}
        self._versions: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        client, feature = properties.get("client"), properties.get("shows")
        if client is None or feature is None or (report.when != "call" and report.outcome == "passed"):
            return
        row = self._outcomes.setdefault(str(client), {})
        if row.get(str(feature)) != "failed":
            row[str(feature)] = report.outcome
        if "version" in properties:
            self._versions[str(client)] = str(properties["version"])

    def pytest_sessionfinish(self) -> None:
        if self._outcomes:
            text = self._path.read_text(encoding="utf-8")
            before, _, rest = text.partition(BEGIN)
            _, _, after = rest.partition(END)
            self._path.write_text(f"{before}{BEGIN}\n{self._table()}\n{END}{after}", encoding="utf-8")

    def _table(self) -> str:
        lines = [f"| client | {' | '.join(FEATURES)} |", f"|-|{'-|' * len(FEATURES)}"]
        for client, row in sorted(self._outcomes.items()):
            signs = [SIGNS[row[feature]] if feature in row else "" for feature in FEATURES]
            lines.append(f"| {client} {self._version(client)} | {' | '.join(signs)} |")
        return "\n".join(lines)

    def _version(self, client: str) -> str:
        if client in self._versions:
            return self._versions[client]
        try:
            return version(client)
        except PackageNotFoundError:
            return ""
