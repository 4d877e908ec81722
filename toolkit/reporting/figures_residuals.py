"""The residual wall: the same panels for both sides, on the same axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.comparison.record import Comparison
from toolkit.data.dataset import Dataset
from toolkit.reporting.content import number
from toolkit.reporting.figures_scores import short
from toolkit.reporting.residual_data import Side, as_axis, feature_values, features_shown, get_sides
from toolkit.reporting.smooth import by_level, limits, smooth, thin
from toolkit.reporting.style import Figure, Palette, draw_png, draw_svg

__all__ = ["residual_figures", "residual_png"]

DOTS = 4000  # rows drawn per panel; the smooths use all of them
LAGS = 48
FEATURES = 3
SMOOTH_NOTE = "The line is a local linear smooth of all rows with its 95 % band."
Draw = Callable[[Any, Palette], None]


def residual_figures(comparison: Comparison, dataset: Dataset | None = None) -> list[Figure]:
    """All residual panels of both sides, in pairs, and what the two sides have in common."""
    found = get_sides(comparison)
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


def _rows(found: list[Side], dataset: Dataset | None) -> list[tuple[str, str, list[Draw], list[str], str]]:
    """One entry per row of the wall: name, title, one drawing and one description per side, caption."""
    if not found:
        return []
    binary = set(np.unique(found[0].observed)) <= {0.0, 1.0}
    rows = [_against_predicted(found)]
    if not binary:
        rows += [_spread(found), _quantiles(found)]
    rows += [_against_feature(found, dataset, feature) for feature in features_shown(found, dataset, FEATURES)]
    if dataset is not None and dataset.time is not None and dataset.series is None:
        rows += [_against_feature(found, dataset, dataset.time), _autocorrelation(found)]
    return rows


def _thinned(side: Side) -> str:
    n = len(side.table)
    text = f" {DOTS:,} of {n:,} rows are drawn." if n > DOTS else ""
    return text + (f" {side.dropped:,} rows without a finite prediction are left out." if side.dropped else "")


def _scatter(axes: Any, palette: Palette, side: Side, x: np.ndarray, y: np.ndarray, box: tuple) -> None:
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


def _smooth_line(axes: Any, palette: Palette, x: np.ndarray, y: np.ndarray) -> None:
    line = smooth(x, y)
    if line is not None:
        axes.fill_between(line[0], line[2], line[3], color=palette.ink, alpha=0.18, linewidth=0)
        axes.plot(line[0], line[1], color=palette.ink, linewidth=1.7)


def _wave(x: np.ndarray, y: np.ndarray) -> str:
    line = smooth(x, y)
    return (
        "too few distinct values for a smooth"
        if line is None
        else (f"the smooth runs from {number(float(line[1].min()), 3)} to {number(float(line[1].max()), 3)}")
    )


def _against_predicted(found: list[Side]) -> tuple:
    box = (limits(*(side.predicted for side in found)), limits(*(side.residual for side in found)))

    def make(side: Side) -> Draw:
        def draw(axes: Any, palette: Palette) -> None:
            _scatter(axes, palette, side, side.predicted, side.residual, box)
            axes.axhline(0, color=palette.muted, linewidth=0.9)
            _smooth_line(axes, palette, side.predicted, side.residual)
            axes.set_xlabel("predicted")
            axes.set_ylabel("observed − predicted")

        return draw

    alts = [
        f"residuals against predictions, {len(side.table):,} rows, standard deviation {number(float(side.residual.std()), 3)}; "
        + _wave(side.predicted, side.residual)
        for side in found
    ]
    caption = f"Good: a flat cloud around zero. A bend means a missing term or link. {SMOOTH_NOTE}"
    return "residuals predicted", "Residuals against predictions", [make(side) for side in found], alts, caption


def _spread(found: list[Side]) -> tuple:
    sizes = [np.sqrt(np.abs(side.residual)) for side in found]
    box = (limits(*(side.predicted for side in found)), (0.0, limits(*sizes)[1]))

    def make(side: Side, size: np.ndarray) -> Draw:
        def draw(axes: Any, palette: Palette) -> None:
            _scatter(axes, palette, side, side.predicted, size, box)
            _smooth_line(axes, palette, side.predicted, size)
            axes.set_xlabel("predicted")
            axes.set_ylabel("√ |residual|")

        return draw

    alts = [
        f"size of residuals (square root) against predictions; {_wave(side.predicted, size)}"
        for side, size in zip(found, sizes, strict=True)
    ]
    caption = (
        "Good: a level line. A rising line means that errors grow with the prediction: a log scale, another family, "
        "or robust covariance."
    )
    draws = [make(side, size) for side, size in zip(found, sizes, strict=True)]
    return "spread", "Size of residuals", draws, alts, caption


def _quantiles(found: list[Side]) -> tuple:
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


def _against_feature(found: list[Side], dataset: Dataset, feature: str) -> tuple:
    values = [feature_values(side, dataset, feature) for side in found]
    along = [as_axis(column) for column in values]
    name = short(feature, 34)
    few = values[0].nunique() <= 12
    if few or any(axis is None for axis in along):
        draws, alts = _levels(found, values, name)
        caption = "Good: every level near zero. Bars are 95 % intervals of the mean residual; the most frequent levels are shown."
    else:
        draws, alts = _along(found, along, values[0], name)
        caption = (
            f"Good: level at zero. A bend that only one side shows is what the other side has learned. {SMOOTH_NOTE}"
        )
    return f"residuals by {feature}"[:80], f"Residuals by {short(feature, 60)}", draws, alts, caption


def _along(found: list[Side], along: list, values: pd.Series, name: str) -> tuple[list[Draw], list[str]]:
    usable = [
        np.isfinite(axis) & ((axis > -9e18) | (not pd.api.types.is_datetime64_any_dtype(values))) for axis in along
    ]
    box = (
        limits(*(axis[kept] for axis, kept in zip(along, usable, strict=True))),
        limits(*(s.residual for s in found)),
    )
    is_time = pd.api.types.is_datetime64_any_dtype(values)
    unit = 10.0 ** (9 if not is_time else {"s": 0, "ms": 3, "us": 6, "ns": 9}[np.datetime_data(values.dtype)[0]])

    def make(side: Side, axis: np.ndarray, kept: np.ndarray) -> Draw:
        def draw(axes: Any, palette: Palette) -> None:
            _scatter(axes, palette, side, axis[kept], side.residual[kept], box)
            axes.axhline(0, color=palette.muted, linewidth=0.9)
            _smooth_line(axes, palette, axis[kept], side.residual[kept])
            if is_time:
                axes.set_xticks(np.linspace(*box[0], 4)[1:-1])
                axes.xaxis.set_major_formatter(lambda value, _: str(pd.Timestamp(value / unit, unit="s").date()))
            axes.set_xlabel(name)
            axes.set_ylabel("observed − predicted")

        return draw

    draws = [make(*one) for one in zip(found, along, usable, strict=True)]
    alts = [
        f"residuals along {name}; {_wave(axis[kept], side.residual[kept])}"
        for side, axis, kept in zip(found, along, usable, strict=True)
    ]
    return draws, alts


def _levels(found: list[Side], values: list[pd.Series], name: str) -> tuple[list[Draw], list[str]]:
    tables = [by_level(column, side.residual) for side, column in zip(found, values, strict=True)]
    box = limits(*(table["mean"] + sign * 1.96 * table["se"] for table in tables for sign in (-1, 1)), cut=0)

    def make(side: Side, table: pd.DataFrame) -> Draw:
        def draw(axes: Any, palette: Palette) -> None:
            axes.axhline(0, color=palette.muted, linewidth=0.9)
            axes.errorbar(
                range(len(table)),
                table["mean"],
                yerr=1.96 * table["se"],
                fmt="o",
                markersize=5,
                color=palette.of(side.kind),
                elinewidth=1.6,
            )
            long = max(map(len, table["level"])) * len(table) > 40
            axes.set_xticks(
                range(len(table)),
                [short(level, 10) for level in table["level"]],
                rotation=50 if long else 0,
                ha="right" if long else "center",
            )
            axes.set_ylim(box)
            axes.set_xlabel(name)
            axes.set_ylabel("mean of observed − predicted")

        return draw

    alts = [
        f"mean residual by {name}: "
        + ", ".join(f"{short(row.level, 16)} {number(row.mean, 3)}" for row in table.itertuples())
        for table in tables
    ]
    return [make(side, table) for side, table in zip(found, tables, strict=True)], alts


def _autocorrelation(found: list[Side]) -> tuple:
    series = []
    for side in found:
        residual = side.table.assign(residual=side.residual).groupby("row")["residual"].mean().to_numpy()
        series.append(_correlations(residual, LAGS))
    top = max(0.12, *(float(np.abs(values).max()) for values in series)) * 1.1

    def make(side: Side, values: np.ndarray) -> Draw:
        def draw(axes: Any, palette: Palette) -> None:
            band = 1.96 / np.sqrt(len(side.table))
            axes.axhspan(-band, band, color=palette.muted, alpha=0.2, linewidth=0)
            axes.vlines(np.arange(1, len(values) + 1), 0, values, color=palette.of(side.kind), linewidth=2)
            axes.axhline(0, color=palette.muted, linewidth=0.9)
            axes.set_ylim(-top, top)
            axes.set_xlabel("lag in rows")
            axes.set_ylabel("autocorrelation")

        return draw

    alts = [
        f"autocorrelation of residuals: {number(float(values[0]), 2)} at lag 1, largest "
        f"{number(float(np.abs(values).max()), 2)} at lag {int(np.abs(values).argmax()) + 1}"
        for values in series
    ]
    caption = "Good: inside the grey band. Bars outside mean that errors repeat: lags, calendar terms, or a covariance that allows for it."
    draws = [make(side, values) for side, values in zip(found, series, strict=True)]
    return "autocorrelation", "Errors that repeat in time", draws, alts, caption


def _correlations(values: np.ndarray, lags: int) -> np.ndarray:
    centred = values - values.mean()
    total = float(centred @ centred) or 1.0
    return np.array(
        [centred[lag:] @ centred[:-lag] / total for lag in range(1, min(lags, len(values) // 4, len(values) - 1) + 1)]
        or [0.0]
    )


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
