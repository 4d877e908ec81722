"""The residual wall: the same panels for both sides, on the same axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from toolkit.comparison.record import Comparison
from toolkit.data.dataset import Dataset
from toolkit.reporting.figures_features import against_feature, autocorrelation
from toolkit.reporting.figures_scores import short
from toolkit.reporting.panels import DOTS, SMOOTH_NOTE, Draw, Line, Row, scatter, smooth_line, wave
from toolkit.reporting.residual_data import Side, features_shown, get_sides
from toolkit.reporting.smooth import limits, smooth, thin
from toolkit.reporting.style import Figure, Palette, draw_png, draw_svg
from toolkit.reporting.words import number

__all__ = ["residual_figures", "residual_png"]

FEATURES = 3


def residual_figures(found: list[Side], dataset: Dataset | None = None) -> list[Figure]:
    """All residual panels of both sides, in pairs, and what the two sides have in common."""
    figures = [panel for make in _panels(found, dataset) for panel in make]
    together = _together(found)
    return figures + ([together] if together else [])


def residual_png(comparison: Comparison, arm: str, dataset: Dataset | None = None) -> bytes | None:
    """The panels of one arm on one image, on the axes it shares with the other side; None without predictions."""
    found = get_sides(comparison)
    mine = next((i for i, side in enumerate(found) if side.arm == arm), None)
    if mine is None:
        return None
    rows = [(title, draws[mine]) for title, draws in _draws(found, dataset)]
    return draw_png(rows[:4], title=f"Residuals of {arm}")


def _panels(found: list[Side], dataset: Dataset | None) -> list[list[Figure]]:
    return [
        [
            Figure(
                f"{name} {side.arm}",
                "residuals",
                title,
                draw_svg(draws[i], f"{name} {side.arm}"),
                f"{side.arm}: {alt[i]}",
                caption + _thinned(side),
                side.arm,
            )
            for i, side in enumerate(found)
        ]
        for name, title, draws, alt, caption in _rows(found, dataset)
    ]


def _draws(found: list[Side], dataset: Dataset | None) -> list[tuple[str, list[Draw]]]:
    return [(title, draws) for _, title, draws, _, _ in _rows(found, dataset)]


def _rows(found: list[Side], dataset: Dataset | None) -> list[Row]:
    """One entry per row of the wall: name, title, one drawing and one description per side, caption."""
    if not found:
        return []
    binary = set(np.unique(found[0].observed)) <= {0.0, 1.0}
    rows = [_against_predicted(found)]
    if not binary:
        rows += [_spread(found), _quantiles(found)]
    rows += [against_feature(found, dataset, feature) for feature in features_shown(found, dataset, FEATURES)]
    if dataset is not None and dataset.time is not None and dataset.series is None:
        rows += [against_feature(found, dataset, dataset.time), autocorrelation(found)]
    return rows


def _thinned(side: Side) -> str:
    n = len(side.table)
    text = f" {DOTS:,} of {n:,} rows are drawn." if n > DOTS else ""
    return text + (f" {side.dropped:,} rows without a finite prediction are left out." if side.dropped else "")


def _against_predicted(found: list[Side]) -> Row:
    box = (limits(*(side.predicted for side in found)), limits(*(side.residual for side in found)))

    lines = [smooth(side.predicted, side.residual) for side in found]

    def make(side: Side, line: Line) -> Draw:
        def draw(axes: Any, palette: Palette) -> None:
            scatter(axes, palette, side, side.predicted, side.residual, box)
            axes.axhline(0, color=palette.muted, linewidth=0.9)
            smooth_line(axes, palette, line)
            axes.set_xlabel("predicted")
            axes.set_ylabel("observed − predicted")

        return draw

    alts = [
        f"residuals against predictions, {len(side.table):,} rows, standard deviation "
        f"{number(float(side.residual.std()), 3)}; " + wave(line)
        for side, line in zip(found, lines, strict=True)
    ]
    caption = f"Good: a flat cloud around zero. A bend means a missing term or link. {SMOOTH_NOTE}"
    draws = [make(side, line) for side, line in zip(found, lines, strict=True)]
    return "residuals predicted", "Residuals against predictions", draws, alts, caption


def _spread(found: list[Side]) -> Row:
    sizes = [np.sqrt(np.abs(side.residual)) for side in found]
    box = (limits(*(side.predicted for side in found)), (0.0, limits(*sizes)[1]))

    lines = [smooth(side.predicted, size) for side, size in zip(found, sizes, strict=True)]

    def make(side: Side, size: np.ndarray, line: Line) -> Draw:
        def draw(axes: Any, palette: Palette) -> None:
            scatter(axes, palette, side, side.predicted, size, box)
            smooth_line(axes, palette, line)
            axes.set_xlabel("predicted")
            axes.set_ylabel("√ |residual|")

        return draw

    alts = [f"size of residuals (square root) against predictions; {wave(line)}" for line in lines]
    caption = (
        "Good: a level line. A rising line means that errors grow with the prediction: a log scale, another family, "
        "or robust covariance."
    )
    draws = [make(*one) for one in zip(found, sizes, lines, strict=True)]
    return "spread", "Size of residuals", draws, alts, caption


def _quantiles(found: list[Side]) -> Row:
    pairs = [_normal_quantiles(side.residual) for side in found]
    box = (limits(*(pair[0] for pair in pairs), cut=0), limits(*(pair[1] for pair in pairs), cut=0))

    def make(side: Side, pair: tuple[np.ndarray, np.ndarray]) -> Draw:
        def draw(axes: Any, palette: Palette) -> None:
            axes.axline((0, 0), slope=1, color=palette.muted, linewidth=0.9)
            axes.plot(pair[0], pair[1], ".", color=palette.of(side.kind), markersize=4)
            axes.set_xlim(box[0])
            axes.set_ylim(box[1])
            axes.set_xlabel("normal quantile")
            axes.set_ylabel("standardised residual")

        return draw

    alts = [
        f"normal quantiles: the standardised residuals run from {number(float(pair[1][0]), 3)} to "
        f"{number(float(pair[1][-1]), 3)} where a normal sample would run from {number(float(pair[0][0]), 3)} to "
        f"{number(float(pair[0][-1]), 3)}"
        for pair in pairs
    ]
    caption = (
        "Good: on the line. Ends that leave it are heavier or lighter tails than normal; this matters for intervals."
    )
    draws = [make(side, pair) for side, pair in zip(found, pairs, strict=True)]
    return "quantiles", "Shape of residuals", draws, alts, caption


def _normal_quantiles(residual: np.ndarray, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    sd = residual.std()
    ordered = np.sort((residual - residual.mean()) / sd if sd > 0 else residual * 0.0)
    n = len(ordered)
    # The tails in full, the middle at even steps of the normal scale.
    at = np.unique(np.clip((norm.cdf(np.linspace(-4, 4, points)) * n).astype(int), 0, n - 1))
    at = np.unique(np.concatenate([np.arange(min(15, n)), at, np.arange(max(n - 15, 0), n)]))
    return norm.ppf((at + 0.5) / n), ordered[at]


def _together(found: list[Side]) -> Figure | None:
    """Residuals of one side against those of the other: what neither explains."""
    if len(found) < 2 or len(found[0].table) != len(found[1].table):
        return None
    x, y = found[0].residual, found[1].residual
    box = limits(x, y)
    shared = float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else float("nan")

    def draw(axes: Any, palette: Palette) -> None:
        at = thin(len(x), DOTS)
        axes.scatter(x[at], y[at], s=5, alpha=0.3, color="#7d8590", linewidths=0, rasterized=True)
        axes.axline((0, 0), slope=1, color=palette.muted, linewidth=0.9)
        axes.set_xlim(box)
        axes.set_ylim(box)
        axes.set_xlabel(f"residual of {short(found[0].arm)}")
        axes.set_ylabel(f"residual of {short(found[1].arm)}")

    alt = f"residuals of {found[0].arm} and {found[1].arm} on the same rows, correlation {number(shared, 3)}"
    caption = (
        f"Correlation {number(shared, 3)}. Near 1 both sides miss the same thing: better features would help more than "
        "another model. Near 0 an average of the two would beat either."
    )
    return Figure(
        "residuals together", "residuals", "What neither side explains", draw_svg(draw, "together"), alt, caption
    )
