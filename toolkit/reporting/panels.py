"""What every residual panel is drawn with: dots, a smooth with its band, and the words for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.reporting.residual_data import Side
from toolkit.reporting.smooth import thin
from toolkit.reporting.style import Palette
from toolkit.reporting.words import number

__all__ = ["DOTS", "SMOOTH_NOTE", "Draw", "Line", "Row", "scatter", "smooth_line", "wave"]

DOTS = 4000  # rows drawn per panel; the smooths use all of them
SMOOTH_NOTE = "The line is a local linear smooth of all rows with its 95 % band."
Draw = Callable[[Any, Palette], None]
Line = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None  # of `smooth`: grid, mean, lower, upper
Row = tuple[str, str, list[Draw], list[str], str]  # name, title, one drawing and one description per side, caption


def scatter(axes: Any, palette: Palette, side: Side, x: np.ndarray, y: np.ndarray, box: tuple) -> None:
    at = thin(len(x), DOTS)
    dense = len(at) > 800
    axes.scatter(
        x[at],
        y[at],
        s=5 if dense else 9,
        alpha=0.34 if dense else 0.55,
        color=palette.dots(side.kind),
        linewidths=0,
        rasterized=True,
    )
    axes.set_xlim(box[0])
    axes.set_ylim(box[1])


def smooth_line(axes: Any, palette: Palette, line: Line) -> None:
    if line is not None:
        axes.fill_between(line[0], line[2], line[3], color=palette.ink, alpha=0.18, linewidth=0)
        axes.plot(line[0], line[1], color=palette.ink, linewidth=1.7)


def wave(line: Line) -> str:
    return (
        "too few distinct values for a smooth"
        if line is None
        else (f"the smooth runs from {number(float(line[1].min()), 3)} to {number(float(line[1].max()), 3)}")
    )
