"""Forecasts by steps ahead: the table of scores, and how error and coverage change along the horizon."""

from __future__ import annotations

from typing import Any

import pandas as pd

from toolkit.comparison.record import Comparison
from toolkit.evaluation.series_intervals import interval_scores_by_horizon
from toolkit.evaluation.series_scores import SERIES_METRICS, score_by_horizon
from toolkit.reporting.content import side_kinds, sides
from toolkit.reporting.figures_scores import short
from toolkit.reporting.style import Figure, Palette, draw_svg
from toolkit.reporting.words import metric_label, number

__all__ = ["horizon_figures", "horizon_table"]

BESIDE = ("mae", "rmse")  # in target units, beside the primary metric


def horizon_table(comparison: Comparison) -> pd.DataFrame:
    """Scores of every arm at every step ahead: arm, horizon, metric, value, n; empty without several steps."""
    table = comparison.predictions
    if "horizon" not in table or table["horizon"].isna().all() or table["horizon"].nunique() < 2:
        return pd.DataFrame(columns=["arm", "horizon", "metric", "value", "n"])
    names = [name for name in dict.fromkeys((comparison.metric, *BESIDE)) if name in SERIES_METRICS]
    parts = [score_by_horizon(table, name).assign(metric=name) for name in names]
    parts.append(interval_scores_by_horizon(table, nominal(comparison)))
    full = [part for part in parts if len(part)]  # an empty part would decide the types of the columns
    return pd.concat(full, ignore_index=True)[["arm", "horizon", "metric", "value", "n"]]


def nominal(comparison: Comparison) -> float:
    """The coverage that intervals were asked to have."""
    return float(comparison.settings.get("coverage", 0.9))


def horizon_figures(comparison: Comparison) -> list[Figure]:
    """The primary metric of every arm by steps ahead, and the coverage of the pair's conformal intervals."""
    table = horizon_table(comparison)
    error = table[table["metric"] == comparison.metric]
    if error.empty:
        return []
    label = metric_label(comparison.metric)
    caption = "How the error grows with the steps ahead. Lines that cross mean that the better arm depends on the step."
    found = [_lines(comparison, error, "score_by_horizon", "scores", f"{label} by steps ahead", label, caption, None)]
    share = table[(table["metric"] == "coverage") & table["arm"].isin(sides(comparison))]
    if len(share):
        caption = (
            f"Good: level at the nominal {nominal(comparison):.0%}. The intervals of both sides come from their errors "
            "at earlier origins, by the same method."
        )
        title, label = "Coverage by steps ahead", "share inside the conformal interval"
        name = "coverage_by_horizon"
        found.append(_lines(comparison, share, name, "calibration", title, label, caption, nominal(comparison)))
    return found


def _lines(
    comparison: Comparison, table: pd.DataFrame, name: str, section: str, title: str, label: str, caption: str,
    level: float | None,
) -> Figure:  # fmt: skip
    kinds, pair = side_kinds(comparison), sides(comparison)
    lines = [(arm, part.sort_values("horizon")) for arm, part in table.groupby("arm", sort=False)]

    def draw(axes: Any, palette: Palette) -> None:
        if level is not None:
            axes.axhline(level, color=palette.muted, linewidth=0.9)
        for arm, part in lines:
            compared = arm in pair
            axes.plot(
                part["horizon"], part["value"], "-" if compared else ":", color=palette.of(kinds[arm]),
                label=short(arm), linewidth=1.6 if compared else 1.0,
            )  # fmt: skip
        axes.set_xlabel("steps ahead")
        axes.set_ylabel(label)
        axes.legend(labelcolor=palette.ink, loc="best")

    alt = f"{title}: " + "; ".join(
        f"{arm} {number(part['value'].iloc[0])} at step {part['horizon'].iloc[0]}, "
        f"{number(part['value'].iloc[-1])} at step {part['horizon'].iloc[-1]}"
        for arm, part in lines
    )
    return Figure(name, section, title, draw_svg(draw, name), alt, caption)
