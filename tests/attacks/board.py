"""The table of outcomes: each attack, in a sandbox and without."""

from __future__ import annotations

import os
from dataclasses import dataclass

from siege import Attack, World

from agent.sandbox.probe import ProbeResult

HEAD = ("class", "attack", "in a sandbox", "without", "held by, or why not")
PREFACE = """\
Written by `make attack`: the real CLI really does each of these, in a bubblewrap sandbox and with `AGENT_SANDBOX=off`.
What is not held in a sandbox is not promised either, and the last column says why. What is promised, and by which
mechanism, is in [security.md](security.md). Without a sandbox some outcomes depend on the machine."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    group: str
    attack: Attack
    world: World
    breached: bool


class Board:
    """Collects outcomes, and prints them side by side."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def record(self, group: str, attack: Attack, world: World, breached: bool) -> None:
        """Remember one outcome."""
        self.rows.append(Row(group, attack, world, breached))

    def table(self) -> list[str]:
        """A line for each attack."""
        rows = self._rows()
        widths = [max(len(row[at]) for row in [HEAD, *rows]) for at in range(len(HEAD))]
        return [" ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)) for row in [HEAD, *rows]]

    def page(self, sandbox: ProbeResult) -> str:
        """The same in Markdown."""
        lines = [f"| {' | '.join(word.replace('|', chr(92) + '|') for word in row)} |" for row in [HEAD, *self._rows()]]
        lines.insert(1, "|" + "-|" * len(HEAD))
        return "\n".join(["# What a hostile agent tried", "", PREFACE, "", *self.sums(sandbox), "", *lines, ""])

    def sums(self, sandbox: ProbeResult) -> list[str]:
        """How many were held, and where."""
        outcomes = self._outcomes()
        user = "root" if os.geteuid() == 0 else "an ordinary user"
        lines = [f"{len(outcomes)} attacks, the service being {user}'s."]
        for world, words in (("sandbox", f"In a sandbox (bubblewrap {sandbox.version})"), ("open", "Without one")):
            found = [by_world[world] for by_world in outcomes.values() if world in by_world]
            if found:
                lines.append(f"{words}: {found.count(False)} held, {found.count(True)} not held.")
        if sandbox.bubblewrap is None:
            lines.append(f"None was tried in a sandbox: {sandbox.reason}.")
        return lines

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (group, attack.name, _word(by_world.get("sandbox")), _word(by_world.get("open")), _by(attack, by_world))
            for (group, attack), by_world in self._outcomes().items()
        ]

    def _outcomes(self) -> dict[tuple[str, Attack], dict[World, bool]]:
        outcomes: dict[tuple[str, Attack], dict[World, bool]] = {}
        for row in sorted(self.rows, key=lambda row: row.group):  # tests are run in the order that suits them
            outcomes.setdefault((row.group, row.attack), {})[row.world] = row.breached
        return outcomes


def _by(attack: Attack, by_world: dict[World, bool]) -> str:
    return attack.accepted if attack.accepted and by_world.get("sandbox") is not False else attack.held_by


def _word(breached: bool | None) -> str:
    return {None: "-", True: "NOT HELD", False: "held"}[breached]
