"""Autocorrelation of the one-step innovations of both sides."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.comparison.record import Comparison
from toolkit.reporting.content import side_kinds, sides
from toolkit.reporting.style import Figure, Palette, draw_svg
from toolkit.reporting.words import number

__all__ = ["innovation_figures"]


def innovation_figures(comparison: Comparison) -> list[Figure]:
    """One panel for each side whose innovations were tested; none for a panel of series, which has no single path."""
    kinds, found = side_kinds(comparison), []
    for check in comparison.checks_found:
        details = check.details or {}
        if check.check != "innovation_ljung_box" or check.arm not in sides(comparison):
            continue
        if "autocorrelation" in details:
            r = np.array(details["autocorrelation"], dtype=float)
            found.append(_panel(check.arm, kinds[check.arm], r, float(details["band"]), details))
    return found


def _panel(arm: str, kind: str, r: np.ndarray, band: float, details: dict[str, Any]) -> Figure:
    lags = np.arange(1, len(r) + 1)

    def draw(axes: Any, palette: Palette) -> None:
        axes.axhspan(-band, band, color=palette.grid, alpha=0.6, linewidth=0)
        axes.axhline(0, color=palette.muted, linewidth=0.9)
        axes.vlines(lags, 0, r, color=palette.of(kind), linewidth=2.2)
        axes.set_ylim(min(-0.35, 1.1 * float(r.min())), max(0.35, 1.1 * float(r.max())))
        axes.set_xlabel("lag in steps")
        axes.set_ylabel("autocorrelation")

    outside, name = int(np.sum(np.abs(r) > band)), f"innovations {arm}"
    alt = (
        f"Autocorrelations of the one-step innovations of {arm}, {details['rows']}: {outside} of {len(r)} lags outside "
        f"the band of {number(band, 2)}; the largest is {number(float(r[np.argmax(np.abs(r))]), 2)} at lag "
        f"{int(np.argmax(np.abs(r))) + 1}"
    )
    caption = (
        "Good: within the band, in which 95 % of the lags of unpredictable innovations lie. A spike says which lag or "
        "season would predict the next value better."
    )
    return Figure(name, "residuals", "Autocorrelation of innovations", draw_svg(draw, name), alt, caption, arm)
