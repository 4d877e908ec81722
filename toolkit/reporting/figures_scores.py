"""Pictures of scores: arms with intervals, the paired folds, training curves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toolkit.comparison.record import Comparison
from toolkit.reporting.content import fact, score_rows, side_kinds, sides
from toolkit.reporting.style import Figure, Palette, draw_svg
from toolkit.reporting.words import metric_label, number

__all__ = ["curve_figures", "fold_figure", "score_figure"]

LONGEST = 22  # letters of a name on an axis


def short(text: Any, most: int = LONGEST) -> str:
    text = " ".join(str(text).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def score_figure(comparison: Comparison) -> Figure | None:
    """Mean and 95 % interval of every arm by the primary metric, best on top."""
    rows = [row for row in score_rows(comparison) if math.isfinite(row.mean)]
    if not rows:
        return None
    kinds, label = side_kinds(comparison), metric_label(comparison.metric)

    def draw(axes: Any, palette: Palette) -> None:
        for place, row in enumerate(reversed(rows)):
            colour = palette.of(kinds[row.arm])
            if math.isfinite(row.lower):
                axes.plot([row.lower, row.upper], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot(
                row.per_fold, np.full(len(row.per_fold), place - 0.22), "|", color=colour, markersize=5, alpha=0.6
            )
            axes.plot(row.mean, place, "o", color=colour, markersize=6 if row.compared else 5)
        axes.set_yticks(range(len(rows)), [short(row.arm) for row in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(label)
        axes.grid(False, axis="y")

    alt = f"{label} by arm: " + "; ".join(
        f"{row.arm} {number(row.mean)}"
        + (f" ({number(row.lower)} to {number(row.upper)})" if math.isfinite(row.lower) else "")
        for row in rows
    )
    caption = "Dots are means over folds, bars their 95 % intervals, ticks the single folds."
    height = 70 + 30 * len(rows)
    return Figure("scores", "scores", f"{label} of every arm", draw_svg(draw, "scores", height=height), alt, caption)


def fold_figure(comparison: Comparison) -> Figure | None:
    """One line per fold from the score of the first arm to the score of the second."""
    pair = sides(comparison)
    by_arm = {row.arm: np.array(row.per_fold, dtype=float) for row in score_rows(comparison)}
    if len(pair) < 2 or len(by_arm[pair[0]]) != len(by_arm[pair[1]]):
        return None
    first, second = by_arm[pair[0]], by_arm[pair[1]]
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    if len(first) == 0:
        return None
    label = metric_label(comparison.metric)

    def draw(axes: Any, palette: Palette) -> None:
        for a, b in zip(first, second, strict=True):
            axes.plot([0, 1], [a, b], color=palette.muted, linewidth=0.8, alpha=0.7)
        axes.plot(np.zeros(len(first)), first, "o", color=palette.regression, markersize=5)
        axes.plot(np.ones(len(second)), second, "o", color=palette.neural, markersize=5)
        axes.plot([0, 1], [first.mean(), second.mean()], color=palette.ink, linewidth=2.4)
        axes.set_xticks([0, 1], [short(arm) for arm in pair])
        axes.set_xlim(-0.35, 1.35)
        axes.set_ylabel(label)
        axes.grid(False, axis="x")

    lower = int(np.sum(second < first))
    alt = (
        f"{label} in {len(first)} folds: {pair[0]} from {number(first.min())} to {number(first.max())}, mean "
        f"{number(first.mean())}; {pair[1]} from {number(second.min())} to {number(second.max())}, mean "
        f"{number(second.mean())}; {pair[1]} is lower in {lower} of {len(first)} folds."
    )
    caption = f"Each thin line is one fold, with the same rows for both. {pair[1]} is lower in {lower} of {len(first)}."
    return Figure("folds", "scores", "The same folds, side by side", draw_svg(draw, "folds"), alt, caption)


def curve_figures(comparison: Comparison) -> list[Figure]:
    """Training and validation loss by epoch for each arm that has curves: all members of all folds, and the median."""
    figures = []
    for arm in comparison.arms.values():
        runs = _curves(arm.facts)
        if not runs:
            continue
        best = [epoch for facts in arm.facts for epoch in np.ravel(facts.get("best_epochs") or [])]
        draw = _draw_curves(runs, best)
        last = [run["val_loss"][-1] for run in runs]
        alt = (
            f"Loss by epoch of {arm.name}: {len(runs)} trainings of up to "
            f"{max(len(run['epoch']) for run in runs)} epochs"
            + (f", best validation epoch {int(min(best))} to {int(max(best))}" if best else "")
            + f"; last validation loss {number(float(np.nanmedian(last)), 3)} (median)."
        )
        caption = (
            "Validation loss (solid) should level out and not climb before training stops; training loss is dashed. "
            "A wide gap between the two is overfitting: more regularisation or fewer epochs."
        )
        name = f"curves {arm.name}"
        figures.append(Figure(name, "curves", f"Training of {arm.name}", draw_svg(draw, name), alt, caption, arm.name))
    return figures


def _curves(facts: tuple[dict[str, Any], ...]) -> list[dict[str, np.ndarray]]:
    """One record per fold and member: epoch, train_loss, val_loss, each [epochs]."""
    import pandas as pd

    runs = []
    for one in facts:
        table = pd.DataFrame(one.get("curves") or [])
        if table.empty or "epoch" not in table:
            continue
        for _, part in table.groupby("member") if "member" in table else [(0, table)]:
            part = part.sort_values("epoch")
            runs.append(
                {
                    name: part[name].to_numpy(float) if name in part else np.full(len(part), np.nan)
                    for name in ("epoch", "train_loss", "val_loss")
                }
            )
    return runs


def _draw_curves(runs: list[dict[str, np.ndarray]], best: list[float]) -> Any:
    def draw(axes: Any, palette: Palette) -> None:
        longest = max(runs, key=lambda run: len(run["epoch"]))["epoch"]
        for name, style, colour in (("train_loss", "--", palette.muted), ("val_loss", "-", palette.neural)):
            for run in runs[:60]:
                axes.plot(run["epoch"], run[name], style, color=colour, linewidth=0.6, alpha=0.3)
            stack = np.full((len(runs), len(longest)), np.nan)
            for row, run in zip(stack, runs, strict=True):
                row[: len(run[name])] = run[name]
            enough = np.isfinite(stack).sum(axis=0) >= max(len(runs) // 2, 1)
            if enough.any():
                label = "training" if name == "train_loss" else "validation"
                axes.plot(longest[enough], np.nanmedian(stack[:, enough], axis=0), style, color=colour, label=label)
        if best:
            axes.axvline(float(np.median(best)), color=palette.ink, linewidth=0.8, linestyle=":")
        values = np.concatenate([run[name] for run in runs for name in ("train_loss", "val_loss")])
        values = values[np.isfinite(values)]
        if values.size and values.min() > 0 and values.max() / values.min() > 20:
            axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.legend(labelcolor=palette.ink)

    return draw


def formula_of(comparison: Comparison, arm: str) -> str | None:
    found = comparison.arms[arm]
    return found.formula or fact(found, "formula")
