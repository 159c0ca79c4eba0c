"""Plots of what was found, each as PNG and as SVG."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from benchmarks.report.figures import Comparison, Curve, Part

OURS, RIVAL = "#1f6fb4", "#d1622b"
COLOURS = (OURS, RIVAL, "#4a8f3c", "#7b4fa3")
WIDTH = 8.0
LEAST = 0.01
"""What is drawn of a value that the floor took to nothing or below: the axis is logarithmic."""
# the same figures are the same file
matplotlib.rcParams["svg.hashsalt"] = "benchmarks"
matplotlib.rcParams["svg.fonttype"] = "none"


def draw(part: Part, images: Path) -> None:
    """All plots of a part."""
    images.mkdir(parents=True, exist_ok=True)
    if part.comparisons:
        _save(_compared(part), images / part.plot)
    for curve in part.curves:
        _save(_curve(curve), images / curve.plot)


def _compared(part: Part) -> Canvas:
    """Each comparison a row, each value a dot, each median a line; in units of the rival's median."""
    rows = part.comparisons
    canvas = Canvas(figsize=(WIDTH, 1.2 + 0.55 * len(rows)), layout="constrained")
    axes = canvas.subplots()
    for position, one in enumerate(rows):
        _row(axes, position, one)
    axes.set_yticks(range(len(rows)), [f"{one.name}\nover {one.rival_name}" for one in rows], fontsize=7)
    axes.invert_yaxis()
    axes.axvline(1, color="#999999", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("a dot is one measurement, less the floor; 1 is the rival's median; | is a bound", fontsize=8)
    for name, colour in (("ours", OURS), ("the rival's", RIVAL)):
        axes.plot([], [], "o", color=colour, label=name, markersize=4)
    canvas.legend(loc="outside upper right", ncols=2, fontsize=8)
    return canvas


def _row(axes: Any, position: int, one: Comparison) -> None:
    scale = statistics.median(one.less_floor(one.rival))
    for values, colour, offset in ((one.ours, OURS, -0.13), (one.rival, RIVAL, 0.13)):
        relative = [max(value / scale, LEAST) for value in one.less_floor(values)]
        axes.plot(relative, [position + offset] * len(relative), "o", color=colour, alpha=0.35, markersize=4)
        middle = statistics.median(relative)
        axes.plot([middle, middle], [position + offset - 0.12, position + offset + 0.12], color=colour, linewidth=2)
    for bound in (one.at_most, one.at_least):
        if bound is not None:
            axes.plot([bound], [position - 0.13], "|", color="black", markersize=12)


def _curve(curve: Curve) -> Canvas:
    """Lines through the medians, the values as dots."""
    canvas = Canvas(figsize=(WIDTH, 4.2), layout="constrained")
    axes = canvas.subplots()
    for line, colour in zip(curve.lines, COLOURS, strict=False):
        medians = [statistics.median(point.values) for point in line.points]
        axes.plot([point.x for point in line.points], medians, "-", color=colour, label=line.name)
        for point in line.points:
            axes.plot([point.x] * len(point.values), point.values, "o", color=colour, alpha=0.35, markersize=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(curve.x_label)
    axes.set_ylabel(curve.y_label)
    axes.set_title(curve.title, fontsize=10)
    axes.grid(True, which="major", color="#e5e5e5")
    axes.legend(fontsize=8)
    return canvas


def _save(canvas: Canvas, path: Path) -> None:
    canvas.savefig(path.with_suffix(".png"), dpi=110)
    canvas.savefig(path.with_suffix(".svg"), metadata={"Date": None})
