"""Pictures behind the verdict: both arms at growing training sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.comparison.record import Comparison
from toolkit.reporting.style import Figure, Palette, draw_svg
from toolkit.reporting.words import greater_is_better, metric_label, number

__all__ = ["learning_figure"]


def learning_figure(comparison: Comparison) -> Figure | None:
    """Score of both arms by training rows; where the curves cross, a line."""
    found = comparison.verdict.details.get("learning_curve") or {}
    if not found.get("gains"):
        return None
    first, second = comparison.verdict.arms
    sizes = np.array([row["n"] for row in found["gains"]], dtype=float)
    of = {arm: _scores(found["scores"], arm) for arm in (first, second)}
    limits = np.array([(row["lower"], row["upper"]) for row in found["gains"]], dtype=float)  # [sizes, 2], of the gain
    # The interval of the gain, drawn around the second arm: where it leaves the first one alone, the gain is real.
    turn = 1 if greater_is_better(comparison.metric) else -1
    low, high = np.sort(of[first][:, None] + turn * limits, axis=1).T
    label, crossing = metric_label(comparison.metric), found.get("crossing")

    def draw(axes: Any, palette: Palette) -> None:
        axes.fill_between(sizes, low, high, color=palette.neural, alpha=0.18, linewidth=0)
        for arm, colour in ((first, palette.regression), (second, palette.neural)):
            axes.plot(sizes, of[arm], "o-", color=colour, linewidth=1.8, markersize=4, label=arm)
        if crossing is not None:
            axes.axvline(crossing, color=palette.ink, linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], rotation=30)
        axes.minorticks_off()
        axes.set_xlabel("training rows")
        axes.set_ylabel(label)
        axes.legend(labelcolor=palette.ink)

    steps = "; ".join(
        f"{size:,.0f} rows: {first} {number(a)}, {second} {number(b)}"
        for size, a, b in zip(sizes, of[first], of[second], strict=True)
    )
    caption = f"The band is the 95 % interval of the gain, drawn around {second}. {found.get('sentence', '')}"
    svg = draw_svg(draw, "learning curve")
    return Figure("learning curve", "evidence", "Learning curve", svg, f"{label} by {steps}.", caption.strip())


def _scores(rows: Sequence[Mapping[str, Any]], arm: str) -> np.ndarray:
    return np.array([row["value"] for row in rows if row["arm"] == arm], dtype=float)
