"""BENCHMARKS.md: everything that the last run of each benchmark found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.registry import TITLES
from benchmarks.report.figures import Part
from benchmarks.report.tables import comparison_rows, figure_rows, markdown

HEAD = """\
# Benchmarks

`make bench` measures all of this and writes this page: about {minutes:.0f} minutes. `make bench ONLY=latency`
measures one part, and writes the page anew with it; it exits with 1 when something is past its bound.

How to read it: each figure of ours stands beside its rival's, both measured in turn in the same run, one pair a
round. A *ratio* is the median of the pairs' ratios, ours over the rival's. Where there is a *floor*, the model's
own time as a plain HTTP client meets it, that has been taken off both. *Spreads* are minimum / median / p95.
Everything is on: Prefect, git, the cell, the provider's proxy, settings at their defaults; the model is the
offline one, so nothing waits for the network. The plots show each value; the raw ones are in
[`benchmarks/results`](benchmarks/results).
"""


def render(parts: Sequence[Part], images: Path) -> str:
    """The page; parts come in the order in which they are run."""
    names = list(TITLES)
    ordered = sorted(parts, key=lambda part: names.index(part.name) if part.name in names else len(names))
    minutes = max(1.0, sum(part.seconds for part in ordered) / 60)
    sections = [HEAD.format(minutes=minutes), _bounds(ordered), *("\n".join(_section(one, images)) for one in ordered)]
    return "\n".join(filter(None, sections))


def _bounds(parts: Sequence[Part]) -> str:
    rows = [
        (f"[{part.title}](#{_anchor(part.title)})", one.name, f"{one.ratio:.2f}", one.bound, row[-1])
        for part in parts
        for one, row in zip(part.comparisons, comparison_rows(part.comparisons)[1:], strict=True)
        if one.bound
    ]
    return f"## Bounds\n\n{markdown([('part', 'what', 'ratio', 'bound', ''), *rows])}" if rows else ""


def _section(part: Part, images: Path) -> Iterator[str]:
    yield f"## {part.title}\n"
    when = f"{part.measured_at:%Y-%m-%d %H:%M} UTC"
    yield f"`make bench ONLY={part.name}`, {part.seconds / 60:.1f} min, {when}, on {part.machine}.\n"
    yield from (f"{text}\n" for text in (part.text,) if text)
    yield markdown(comparison_rows(part.comparisons))
    yield markdown(figure_rows(part.figures))
    if part.comparisons:
        yield _image(part.plot, part.title, images)
    for curve in part.curves:
        yield f"### {curve.title}\n\n{curve.explanation}\n"
        yield _image(curve.plot, curve.title, images)
    if part.printed:
        yield f"```\n{part.printed.rstrip()}\n```\n"


def _image(name: str, title: str, images: Path) -> str:
    return f"![{title}]({images}/{name}.png)\n\n([SVG]({images}/{name}.svg))\n"


def _anchor(title: str) -> str:
    return "".join(sign for sign in title.lower().replace(" ", "-") if sign.isalnum() or sign == "-")
