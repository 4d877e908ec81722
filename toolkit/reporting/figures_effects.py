"""Partial effects of both sides on one pair of axes: what each makes of a feature with the others left as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from toolkit.comparison.record import Comparison
from toolkit.reporting.content import side_kinds, sides
from toolkit.reporting.figures_scores import short
from toolkit.reporting.style import Figure, Palette, draw_svg
from toolkit.reporting.words import number

__all__ = ["partial_figures"]


def partial_figures(comparison: Comparison) -> list[Figure]:
    """One picture for every feature in `comparison.effects`, in their order."""
    table = comparison.effects
    if table.empty:
        return []
    table = table[table["arm"].isin(sides(comparison))]
    return [_figure(comparison, feature, part) for feature, part in table.groupby("feature", sort=False)]


def _figure(comparison: Comparison, feature: str, table: pd.DataFrame) -> Figure:
    kinds = side_kinds(comparison)
    lines = [(arm, kinds[arm], table[table["arm"] == arm]) for arm in sides(comparison) if (table["arm"] == arm).any()]
    name, levels = f"effect of {feature}"[:80], bool(table["label"].astype(bool).any())
    alt = f"Partial effect of {short(feature, 60)}: " + "; ".join(
        f"{arm} from {_where(part, 0, levels)} to {_where(part, -1, levels)}, between {number(part['mean'].min(), 3)} "
        f"and {number(part['mean'].max(), 3)}"
        for arm, _, part in lines
    )
    caption = (
        "Mean prediction with this feature set to each value and the others as they are in the data. Lines that lie "
        "together mean that both sides have learned the same; where they part, look at the residuals of both."
    )
    svg = draw_svg(_draw(lines, levels, short(feature, 34)), name)
    return Figure(name, "partial", f"Effect of {short(feature, 60)}", svg, alt, caption)


def _where(part: pd.DataFrame, at: int, levels: bool) -> str:
    row = part.sort_values("place").iloc[at]
    return f"{number(row['mean'], 3)} at {short(row['label'], 16) if levels else number(row['place'], 3)}"


def _draw(lines: list[tuple[str, str, pd.DataFrame]], levels: bool, name: str) -> Callable[[Any, Palette], None]:
    def draw(axes: Any, palette: Palette) -> None:
        for (arm, kind, part), style in zip(lines, ("-", "--"), strict=False):
            part = part.sort_values("place")
            marks = {"marker": "o", "markersize": 5} if levels else {}
            axes.plot(
                part["place"], part["mean"], style, color=palette.of(kind), label=short(arm), linewidth=1.9, **marks
            )
        if levels:
            labels = lines[0][2].sort_values("place")
            texts = [short(label, 10) for label in labels["label"]]
            long = max(map(len, texts)) * len(texts) > 60
            axes.set_xticks(labels["place"], texts, rotation=50 if long else 0, ha="right" if long else "center")
        else:
            # Ticks along the axis: where the grid stands, evenly spread over the rows.
            low, high = axes.get_ylim()
            axes.vlines(lines[0][2]["place"], low, low + 0.03 * (high - low), color=palette.muted, linewidth=0.8)
            axes.set_ylim(low, high)
        axes.set_xlabel(name)
        axes.set_ylabel("mean prediction")
        axes.legend(labelcolor=palette.ink)

    return draw
