"""Prints rows: a table on a terminal, tab-separated lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from agent.system.text import printable


class Cell(NamedTuple):
    """A value of a table: the text for people, its style, and the text for programs, if that differs."""

    text: str
    style: str = ""
    raw: str | None = None


Row = Sequence[Cell | str]


def show_table(columns: Sequence[str], rows: Sequence[Row], *, empty: str) -> None:
    """Print the rows on stdout. On a terminal there are headings, and the last column is cut to the width.

    Without rows, a terminal shows `empty`, and a program gets nothing.
    """
    cells = [[_safe(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(cell.text if cell.raw is None else cell.raw for cell in row))
        return
    if not cells:
        print(empty)
        return
    _show_on_terminal(columns, cells)


def _safe(cell: Cell | str) -> Cell:
    text, style, raw = cell if isinstance(cell, Cell) else Cell(cell)
    return Cell(printable(text, one_line=True), style, None if raw is None else printable(raw, one_line=True))


def _show_on_terminal(columns: Sequence[str], rows: list[list[Cell]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    texts = [[Text(cell.text, style=cell.style) for cell in row] for row in rows]
    for number, column in enumerate(columns):
        if number == len(columns) - 1:
            table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1)
        else:
            table.add_column(column, no_wrap=True, min_width=max(row[number].cell_len for row in texts))
    for row in texts:
        table.add_row(*row)
    Console().print(table)
