"""Comparisons and figures as rows of words."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.report.figures import Comparison, Figure, p95

Row = tuple[str, ...]

COMPARED: Row = ("what", "ours", "rival", "rival's", "floor", "pairs", "ratio", "p95", "bound", "")
MEASURED: Row = ("what", "min", "median", "p95", "unit", "values", "bound", "")


def comparison_rows(comparisons: Sequence[Comparison]) -> list[Row]:
    """A heading and a row each; none without comparisons."""
    return [COMPARED, *map(_compared, comparisons)] if comparisons else []


def figure_rows(figures: Sequence[Figure]) -> list[Row]:
    """A heading and a row each; none without figures."""
    return [MEASURED, *map(_measured, figures)] if figures else []


def plain(rows: Sequence[Row]) -> str:
    """Rows in columns, for a terminal."""
    width = max((len(row) for row in rows), default=0)
    cells = [row + ("",) * (width - len(row)) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(width)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a table of Markdown, the first its heading; nothing for none."""
    if not rows:
        return ""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|-" * len(rows[0]) + "|")
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float], unit: str) -> str:
    """Minimum, median and p95."""
    words = (number(value) for value in (min(values), statistics.median(values), p95(values)))
    return f"{' / '.join(words)} {unit}"


def number(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _compared(one: Comparison) -> Row:
    return (
        one.name,
        spread(one.less_floor(one.ours), one.unit),
        one.rival_name,
        spread(one.less_floor(one.rival), one.unit),
        number(statistics.median(one.floor)) if one.floor else "–",
        str(len(one.ours)),
        f"{one.ratio:.2f}",
        f"{one.p95_ratio:.2f}",
        one.bound or "–",
        _verdict(one.is_held, bool(one.bound)),
    )


def _measured(one: Figure) -> Row:
    return (
        one.name,
        *(number(value) for value in (min(one.values), statistics.median(one.values), p95(one.values))),
        one.unit,
        str(len(one.values)),
        f"≤ {one.at_most:g}" if one.at_most is not None else "–",
        _verdict(one.is_held, one.at_most is not None),
    )


def _verdict(is_held: bool, is_bound: bool) -> str:
    return ("held" if is_held else "**not held**") if is_bound else ""
