"""Calibration, interval coverage and the path of predictions along features, both sides on the same axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset
from toolkit.reporting.figures_scores import short
from toolkit.reporting.residual_data import MOST_SHOWN, Side, as_axis, feature_values, features_shown
from toolkit.reporting.smooth import level_codes, limits
from toolkit.reporting.style import Figure, Palette, draw_svg
from toolkit.reporting.words import number

__all__ = ["calibration_figures", "coverage_figure", "effect_figures"]

GROUPS = 20


def _groups(x: np.ndarray, most: int = GROUPS) -> np.ndarray:
    """Quantile group of every row, [n]; groups of equal values stay together."""
    edges = np.unique(np.quantile(x, np.linspace(0, 1, most + 1)[1:-1]))
    return np.searchsorted(edges, x, side="left")


def _means(group: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    count = np.bincount(group)
    kept = count > 0
    return [np.bincount(group, column)[kept] / count[kept] for column in columns]


def calibration_figures(found: list[Side]) -> list[Figure]:
    """Mean observed against mean predicted in twenty groups of equal size, one panel per side."""
    points = []
    for side in found:
        group = _groups(side.predicted)
        predicted, observed, square = _means(group, side.predicted, side.observed, side.observed**2)
        count = np.bincount(group)
        se = np.sqrt(np.maximum(square - observed**2, 0) / count[count > 0])
        points.append((predicted, observed, se))
    box = limits(*(values for one in points for values in one[:2]), cut=0)
    figures = []
    for side, (predicted, observed, se) in zip(found, points, strict=True):
        slope, intercept = _line(side.predicted, side.observed)
        worst = int(np.abs(observed - predicted).argmax())
        alt = (
            f"{side.arm}: calibration in {len(predicted)} groups, slope {number(slope, 3)}, intercept "
            f"{number(intercept, 3)}; furthest off where {number(float(predicted[worst]), 3)} was predicted and "
            f"{number(float(observed[worst]), 3)} observed."
        )
        caption = (
            f"Observed on predicted: slope {number(slope, 3)}, intercept {number(intercept, 3)}. Good: on the diagonal "
            "(1 and 0). A slope below 1 means predictions are too extreme."
        )
        draw = _draw_calibration(side, predicted, observed, se, box)
        name = f"calibration {side.arm}"
        figures.append(Figure(name, "calibration", "Calibration", draw_svg(draw, name), alt, caption, side.arm))
    return figures


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    variance = float(np.var(x))
    if variance == 0:
        return float("nan"), float("nan")
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / variance
    return slope, float(y.mean() - slope * x.mean())


def _draw_calibration(side: Side, predicted: np.ndarray, observed: np.ndarray, se: np.ndarray, box: tuple) -> Callable:
    def draw(axes: Any, palette: Palette) -> None:
        axes.axline((box[0], box[0]), slope=1, color=palette.muted, linewidth=0.9)
        axes.errorbar(
            predicted, observed, yerr=1.96 * se, fmt="o", markersize=4.5, color=palette.of(side.kind), elinewidth=1
        )
        axes.set_xlim(box)
        axes.set_ylim(box)
        axes.set_xlabel("mean predicted")
        axes.set_ylabel("mean observed")

    return draw


def coverage_figure(sides: list[Side]) -> Figure | None:
    """Share of observations inside the prediction intervals, by size of the prediction."""
    found = [side for side in sides if _inside(side) is not None]
    if not found:
        return None
    lines = []
    for side in found:
        usable, inside = _inside(side)
        group = _groups(side.predicted[usable], 10)
        lines.append((side, float(inside.mean()), *_means(group, side.predicted[usable], inside)))

    def draw(axes: Any, palette: Palette) -> None:
        axes.axhline(0.9, color=palette.muted, linewidth=0.9)
        for side, _, x, share in lines:
            axes.plot(x, share, "o-", color=palette.of(side.kind), markersize=4.5, label=short(side.arm))
        axes.set_ylim(min(0.5, *(float(share.min()) for *_, share in lines)), 1.01)
        axes.set_xlabel("predicted")
        axes.set_ylabel("share inside the interval")
        axes.legend(labelcolor=palette.ink, loc="lower right")

    alt = "Coverage of the prediction intervals: " + "; ".join(
        f"{side.arm} {mean:.1%} overall, {share.min():.0%} to {share.max():.0%} by size of the prediction"
        for side, mean, _, share in lines
    )
    caption = "Good: level at the nominal 90 %. Below it, intervals are too narrow there."
    return Figure("coverage", "calibration", "Interval coverage", draw_svg(draw, "coverage"), alt, caption)


def _inside(side: Side) -> tuple[np.ndarray, np.ndarray] | None:
    if "lower" not in side.table or "upper" not in side.table:
        return None
    lower, upper = side.table["lower"].to_numpy(float), side.table["upper"].to_numpy(float)
    usable = np.isfinite(lower) & np.isfinite(upper)
    if not usable.any():
        return None
    observed = side.observed[usable]
    return usable, ((observed >= lower[usable]) & (observed <= upper[usable])).astype(float)


def effect_figures(found: list[Side], dataset: Dataset | None = None) -> list[Figure]:
    """Average observation and prediction of both sides along the features that tell most about the residuals."""
    return [_effect(found, dataset, feature) for feature in features_shown(found, dataset, MOST_SHOWN)]


def _effect(found: list[Side], dataset: Dataset, feature: str) -> Figure:
    lines, levels = [], None
    for side in found:
        values = feature_values(side, dataset, feature)
        axis = as_axis(values)
        if axis is None or pd.api.types.is_datetime64_any_dtype(values) or values.nunique() <= 24:
            codes, levels = level_codes(values) if axis is None else pd.factorize(values, sort=True)
            usable = codes >= 0
            count = np.bincount(codes[usable])
            common = np.argsort(-count, kind="stable")[: min(24, int((count > 0).sum()))]
            usable &= np.isin(codes, common)
            levels = [str(levels[code]) for code in sorted(common)]
            group = np.searchsorted(np.sort(common), codes[usable])
            x = np.arange(len(levels), dtype=float)
        else:
            usable = np.isfinite(axis)
            group = _groups(axis[usable], 16)
            x = _means(group, axis[usable])[0]
        observed, predicted = _means(group, side.observed[usable], side.predicted[usable])
        lines.append((side, x, observed, predicted))
    draw = _draw_effect(lines, levels, short(feature, 34))
    alt = f"Average along {short(feature, 60)}: " + "; ".join(
        f"{side.arm} runs from {number(float(predicted.min()), 3)} to {number(float(predicted.max()), 3)}, at most "
        f"{number(float(np.abs(predicted - observed).max()), 3)} from the observed average"
        for side, _, observed, predicted in lines
    )
    caption = (
        "Averages over the judging rows, not effects with all else held equal. Where a line leaves the dots, that side "
        "misses a pattern."
    )
    return Figure(
        f"along {feature}"[:80],
        "effects",
        f"Along {short(feature, 60)}",
        draw_svg(draw, f"along {feature}"[:80]),
        alt,
        caption,
    )


def _draw_effect(lines: list[tuple], levels: list[str] | None, name: str) -> Callable:
    def draw(axes: Any, palette: Palette) -> None:
        _, x, observed, _ = lines[0]
        axes.plot(x, observed, "o", color=palette.muted, markersize=5, label="observed")
        for (side, x, _, predicted), style in zip(lines, ("-", "--"), strict=False):
            axes.plot(x, predicted, style, color=palette.of(side.kind), label=short(side.arm), linewidth=1.9)
        if levels is not None:
            step = 1 if len(levels) <= 12 else 3
            long = max(map(len, levels)) * len(levels) > 60
            axes.set_xticks(
                range(0, len(levels), step),
                [short(level, 10) for level in levels[::step]],
                rotation=50 if long else 0,
                ha="right" if long else "center",
            )
        axes.set_xlabel(name)
        axes.set_ylabel("average")
        axes.legend(labelcolor=palette.ink)

    return draw
