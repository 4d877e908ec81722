"""Pictures of the gap ledger: the waterfall, and heat maps of where the two sides disagree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toolkit.comparison.record import Comparison, Gap
from toolkit.reporting.figures_scores import short
from toolkit.reporting.style import Figure, Palette, draw_svg
from toolkit.reporting.words import metric_label, number

__all__ = ["gap_figure", "pair_figures"]

MOST_ENTRIES = 10
MOST_PAIRS = 4  # heat maps
FAINTEST = 0.06  # opacity of the smallest difference that is drawn


def gap_figure(comparison: Comparison) -> Figure | None:
    """Waterfall from the starting regression to the net: what each named cause is worth."""
    gap = comparison.gap_ledger
    if gap is None or not gap.entries:
        return None
    entries = gap.entries[:MOST_ENTRIES]
    label = metric_label(comparison.metric)
    alt = f"Total gap {number(gap.total, 3)} {label}: " + "; ".join(
        f"{entry.term} {number(entry.share, 3)} ({number(entry.lower, 3)} to {number(entry.upper, 3)})"
        for entry in entries
    )
    caption = "Each bar is the part of the gap that one named cause closes; gain above zero means the net is better."
    height = 80 + 26 * (len(entries) + 1)
    svg = draw_svg(lambda axes, palette: _waterfall(axes, palette, gap, entries, label), "gap", height=height)
    return Figure("gap", "gap", "Where the gap comes from", svg, alt, caption)


def _waterfall(axes: Any, palette: Palette, gap: Gap, entries: tuple, label: str) -> None:
    start = 0.0
    for place, entry in enumerate(entries):
        colour = palette.neural if entry.share > 0 else palette.regression
        axes.barh(place, entry.share, left=start, height=0.6, color=colour, alpha=0.85)
        if math.isfinite(entry.lower) and math.isfinite(entry.upper):
            axes.plot([start + entry.lower, start + entry.upper], [place, place], color=palette.ink, linewidth=1)
        start += entry.share
        axes.plot([start, start], [place - 0.3, place + 1.3], color=palette.muted, linewidth=0.7)
    axes.barh(len(entries), gap.total, height=0.6, color=palette.muted)
    axes.set_yticks(range(len(entries) + 1), [*(short(entry.term) for entry in entries), "total"])
    axes.invert_yaxis()
    axes.axvline(0, color=palette.ink, linewidth=0.8)
    axes.locator_params(axis="x", nbins=5)  # small gains have long labels
    axes.set_xlabel(f"gain in {label} (above 0: the net is better)")
    axes.grid(False, axis="y")


def pair_figures(comparison: Comparison) -> list[Figure]:
    """For each named pair, how much higher the net predicts than the start, cell by cell."""
    gap, figures = comparison.gap_ledger, []
    for one in (gap.details.get("disagreement") or []) if gap is not None else []:
        if len(one["variables"]) != 2 or len(figures) == MOST_PAIRS:
            continue
        cells = [(*cell["at"], cell["second"] - cell["first"], cell["n"]) for cell in one["cells"]]
        column, row = one["variables"]
        if len(one["axes"][0]) < len(one["axes"][1]):  # the longer axis lies
            column, row = row, column
            one = {**one, "axes": one["axes"][::-1]}
            cells = [(j, i, value, n) for i, j, value, n in cells]
        most = max(cells, key=lambda cell: cell[2] ** 2 * cell[3])
        where = f"{column} {one['axes'][0][most[0]]}, {row} {one['axes'][1][most[1]]}"
        low, high = (number(end(cell[2] for cell in cells), 3) for end in (min, max))
        alt = (
            f"Difference {gap.net} minus {gap.start} by {column} and {row}: from {low} to {high}; most at {where} "
            f"({number(most[2], 3)}, {most[3]:,} rows)."
        )
        caption = (
            f"Where {gap.net} predicts more (warm) or less (cool) than {gap.start} does, mean over judging rows. They "
            f"differ most at {where}: {number(most[2], 3)} over {most[3]:,} rows."
        )
        name = f"disagreement {one['term']}"
        height = 90 + 19 * max(len(one["axes"][1]), 4)
        svg = draw_svg(_heat(cells, one["axes"], column, row), name, height=height)
        figures.append(Figure(name, "gap", f"{short(column)} and {short(row)}", svg, alt, caption))
    return figures


def _heat(cells: list[tuple], axes_labels: list[list[str]], column: str, row: str) -> Any:
    largest = max(abs(cell[2]) for cell in cells) or 1.0

    def draw(axes: Any, palette: Palette) -> None:
        from matplotlib.patches import Rectangle

        axes.grid(False)
        for i, j, value, _ in cells:
            colour = palette.neural if value > 0 else palette.regression
            alpha = FAINTEST + (1 - FAINTEST) * abs(value) / largest
            axes.add_patch(Rectangle((i - 0.5, j - 0.5), 1, 1, facecolor=colour, alpha=alpha, linewidth=0))
        for set_ticks, set_limits, labels in (
            (axes.set_xticks, axes.set_xlim, axes_labels[0]), (axes.set_yticks, axes.set_ylim, axes_labels[1]),
        ):  # fmt: skip
            step = max(1, math.ceil(len(labels) / 12))
            turned = set_ticks == axes.set_xticks and max(map(len, labels)) * len(labels) / step > 40
            shown = [short(label, 12) for label in labels[::step]]
            at = np.arange(0, len(labels), step)
            set_ticks(at, shown, rotation=50 if turned else 0, ha="right") if turned else set_ticks(at, shown)
            set_limits(-0.5, len(labels) - 0.5)
        axes.set_xlabel(short(column))
        axes.set_ylabel(short(row))

    return draw
