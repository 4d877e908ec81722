"""Residuals along features and time: one row of panels, the same axes for both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset
from toolkit.reporting.figures_scores import short
from toolkit.reporting.panels import SMOOTH_NOTE, Draw, Line, Row, scatter, smooth_line, wave
from toolkit.reporting.residual_data import Side, as_axis, feature_values
from toolkit.reporting.smooth import by_level, limits, smooth
from toolkit.reporting.style import Palette
from toolkit.reporting.words import number

__all__ = ["against_feature", "autocorrelation"]

LAGS = 48


def against_feature(found: list[Side], dataset: Dataset, feature: str) -> Row:
    values = [feature_values(side, dataset, feature) for side in found]
    along = [as_axis(column) for column in values]
    name = short(feature, 34)
    few = values[0].nunique() <= 12
    if few or any(axis is None for axis in along):
        draws, alts = _levels(found, values, name)
        caption = (
            "Good: every level near zero. Bars are 95 % intervals of the mean; the most frequent levels are shown."
        )
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

    lines = [smooth(axis[kept], s.residual[kept]) for s, axis, kept in zip(found, along, usable, strict=True)]

    def make(side: Side, axis: np.ndarray, kept: np.ndarray, line: Line) -> Draw:
        def draw(axes: Any, palette: Palette) -> None:
            scatter(axes, palette, side, axis[kept], side.residual[kept], box)
            axes.axhline(0, color=palette.muted, linewidth=0.9)
            smooth_line(axes, palette, line)
            if is_time:
                axes.set_xticks(np.linspace(*box[0], 4)[1:-1])
                axes.xaxis.set_major_formatter(lambda value, _: str(pd.Timestamp(value / unit, unit="s").date()))
            axes.set_xlabel(name)
            axes.set_ylabel("observed − predicted")

        return draw

    draws = [make(*one) for one in zip(found, along, usable, lines, strict=True)]
    alts = [f"residuals along {name}; {wave(line)}" for line in lines]
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


def autocorrelation(found: list[Side]) -> Row:
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
    caption = (
        "Good: inside the grey band. Bars outside mean that errors repeat: lags, calendar terms, or a covariance that "
        "allows for it."
    )
    draws = [make(side, values) for side, values in zip(found, series, strict=True)]
    return "autocorrelation", "Errors that repeat in time", draws, alts, caption


def _correlations(values: np.ndarray, lags: int) -> np.ndarray:
    centred = values - values.mean()
    total = float(centred @ centred) or 1.0
    return np.array(
        [centred[lag:] @ centred[:-lag] / total for lag in range(1, min(lags, len(values) // 4, len(values) - 1) + 1)]
        or [0.0]
    )
