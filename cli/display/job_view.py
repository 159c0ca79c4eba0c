"""Renders a running job: live on a terminal, line by line elsewhere.

All of it goes to stderr; stdout is for the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from agent.claude.event_lines import describe
from agent.domain.events import Event, ModelRetried, Said, Started, Thought, ToolReturned, Warned
from agent.system.text import printable
from cli.display.formatting import duration
from cli.display.run_totals import RunTotals

Job = dict[str, Any]


class View(Protocol):
    """Shows the events of a job; made by `open_view` for one job."""

    def show(self, event: Event) -> None:
        """Show an event of the job."""

    def tell(self, status: str) -> None:
        """Show a status until the next one; empty: the agent works."""

    def note(self, line: str) -> None:
        """Print a line of the terminal itself."""

    def shows_last(self, answer: str) -> bool:
        """True if the answer is on the terminal already."""


@contextmanager
def open_view(job: Job, tally: RunTotals, *, quiet: bool) -> Iterator[View]:
    """Give a view of `job`: live on a terminal, lines elsewhere; with `quiet` it shows notes alone."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield _Nothing(console)
    elif console.is_terminal and not console.is_dumb_terminal:
        live = _LiveView(console, job, tally)
        with Live(console=console, get_renderable=live.status, transient=True, refresh_per_second=5):
            yield live
    else:
        yield _Lines(console)


class _Nothing:
    """Prints the notes of the terminal, and no events."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def show(self, event: Event) -> None:
        return

    def tell(self, status: str) -> None:
        return

    def note(self, line: str) -> None:
        self.console.print(Text(printable(line, one_line=True)), soft_wrap=True)

    def shows_last(self, answer: str) -> bool:
        return False


class _Lines(_Nothing):
    """Prints one line for each event, and texts unchanged; the last text is the answer, which is printed elsewhere."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._words = ""
        self._status = ""

    def show(self, event: Event) -> None:
        line = describe(event)
        if line is None:
            return
        if self._words:
            self.console.print(Text(self._words), soft_wrap=True)
        self._words = printable(event.text) if isinstance(event, Said) else ""
        if not self._words:
            self.note(line)

    def tell(self, status: str) -> None:
        if status and status != self._status:
            self.note(status)
        self._status = status


class _LiveView(_Nothing):
    """Prints texts as Markdown and steps as dim lines, above a status line that stays."""

    def __init__(self, console: Console, job: Job, tally: RunTotals) -> None:
        super().__init__(console)
        self._agent = printable(str(job["agent"]), one_line=True) or "triage"
        self._since = datetime.fromisoformat(job["started_at"])
        self._tally = tally
        self._told = ""
        self._last_said = ""
        self._spinner = Spinner("dots", style="cyan")

    def show(self, event: Event) -> None:
        self._told = ""
        if isinstance(event, Said):
            self._last_said = event.text
            self.console.print(Markdown(printable(event.text), hyperlinks=False))
            return
        line = describe(event)
        if line is not None:
            text = Text(printable(line, one_line=True), style=_style(event), no_wrap=True, overflow="ellipsis")
            self.console.print(text)

    def tell(self, status: str) -> None:
        self._told = status

    def shows_last(self, answer: str) -> bool:
        return Console().is_terminal and answer.strip() == self._last_said.strip()

    def status(self) -> Table:
        """Return the status line: agent, time, totals, and what the job waits for."""
        elapsed = duration((datetime.now(UTC) - self._since).total_seconds())
        told = printable(self._told, one_line=True) or ("" if self._tally.has_started else "starting")
        figures = [elapsed, *filter(None, [str(self._tally), told])]
        line = Text.assemble((self._agent, "bold"), " · ", " · ".join(figures), no_wrap=True, overflow="ellipsis")
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self._spinner, line)
        return grid


def _style(event: Event) -> str:
    match event:
        case ModelRetried() | Warned():
            return "yellow"
        case ToolReturned(is_error=True):
            return "red"
        case Thought():
            return "dim italic"
        case Started():
            return "cyan"
    return "dim"
