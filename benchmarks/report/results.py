"""Keeps what a benchmark found, prints it, and writes BENCHMARKS.md anew from the last run of each."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks.report.document import render
from benchmarks.report.figures import Comparison, Curve, Figure, Part
from benchmarks.report.machine import describe_machine
from benchmarks.report.tables import comparison_rows, figure_rows, plain

ROOT = Path(__file__).parents[2]


def describe_all() -> str:
    """The machine, and what of the service is set otherwise than by default."""
    asked = os.environ.get("SETTINGS", "")
    return describe_machine() + (f", with {asked}" if asked else "")


@dataclass(frozen=True)
class ResultsDirectory:
    """Where results, plots and the document lie."""

    results: Path = ROOT / "benchmarks" / "results"
    images: Path = ROOT / "docs" / "images"
    document: Path = ROOT / "BENCHMARKS.md"


@dataclass
class Findings:
    """What a benchmark has found so far."""

    comparisons: list[Comparison] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    machine: str = field(default_factory=describe_all)
    began: float = field(default_factory=time.monotonic)

    def part(self, name: str, title: str, text: str) -> Part:
        """All of it, as of now."""
        part = Part(
            name=name,
            title=title,
            text=text,
            measured_at=datetime.now(UTC),
            seconds=time.monotonic() - self.began,
            machine=self.machine,
            comparisons=self.comparisons,
            figures=self.figures,
            curves=self.curves,
        )
        return part.model_copy(update={"is_held": not part.broken})


def publish(part: Part, place: ResultsDirectory | None = None) -> int:
    """Keep the part, print it, draw its plots, and write the document anew; 1 if something is past its bound."""
    place = place or ResultsDirectory()
    place.results.mkdir(parents=True, exist_ok=True)
    (place.results / f"{part.name}.json").write_text(part.model_dump_json(indent=1, exclude_defaults=True) + "\n")
    import_module("benchmarks.report.plots").draw(part, place.images)  # nothing else needs matplotlib
    rebuild(place)
    if not part.printed:
        print(f"{part.title}\n{part.machine}\n")
        tables = (comparison_rows(part.comparisons), figure_rows(part.figures))
        print("\n\n".join(plain(rows) for rows in tables if rows), flush=True)
    for name in part.broken:
        print(f"NOT HELD: {name}")
    return 0 if part.is_held else 1


def rebuild(place: ResultsDirectory) -> None:
    """Write the document from the results that there are."""
    place.document.write_text(page(place))


def page(place: ResultsDirectory) -> str:
    """What the document is to say."""
    parts = [Part.model_validate_json(path.read_text()) for path in sorted(place.results.glob("*.json"))]
    return render(parts, place.images.relative_to(place.document.parent))
