"""What the judging rows say beyond the score: gaps, spreads, optimism, training length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.view import metric_of
from toolkit.evaluation.scores import METRICS, score

__all__ = [
    "check_epochs",
    "check_fold_spread",
    "check_learning_curve",
    "check_restarts",
    "check_seed_spread",
    "check_train_test_gap",
]


def _as_loss(metric: str, values: np.ndarray) -> np.ndarray:
    """Scores as losses: 1 - R2 and 1 - AUC, the others as they are."""
    return 1 - values if metric_of(metric).greater_is_better else values


def fold_scores(table: pd.DataFrame, metric: str) -> pd.Series:
    """Score per (repeat, fold), the plain average over targets."""
    return pd.Series(
        {
            key: float(
                np.mean([score(metric_of(metric), t["observed"], t["predicted"]) for _, t in part.groupby("target")])
            )
            for key, part in table.groupby(["repeat", "fold"], sort=True)
        }
    )


def check_train_test_gap(arm: str, table: pd.DataFrame, metric: str, train_scores: pd.DataFrame) -> Check:
    """`table`: the arm's part of the predictions; `train_scores`: arm, repeat, fold, metric, value."""
    entry = CATALOGUE["train_test_gap"]
    if train_scores.empty or not {"arm", "metric", "value"} <= set(train_scores.columns):
        return entry.not_applicable(arm, "no scores on training rows were kept")
    mine = train_scores[(train_scores["arm"] == arm) & (train_scores["metric"] == metric)]
    if mine.empty:
        return entry.not_applicable(arm, "no scores on training rows were kept")
    train = pd.Series(mine["value"].to_numpy(dtype=float), index=pd.MultiIndex.from_frame(mine[["repeat", "fold"]]))
    judged = fold_scores(table, metric)
    both = judged.index.intersection(train.index)
    a, b = _as_loss(metric, train[both].to_numpy()), _as_loss(metric, judged[both].to_numpy())
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    if len(a) == 0:
        return entry.not_applicable(arm, "no fold has a finite score on both parts")
    gap = float((b.mean() - a.mean()) / max(abs(a.mean()), 1e-6 * abs(b.mean()), 1e-300))
    difference = b - a
    p_value = None
    if len(a) >= 3 and difference.std(ddof=1) > 0:
        t = difference.mean() / (difference.std(ddof=1) / np.sqrt(len(a)))
        p_value = float(stats.t.sf(t, len(a) - 1))
    elif len(a) >= 3:
        p_value = 1.0 if gap <= 0 else 0.0
    said = f"{metric_of(metric).label} {a.mean():.4g} on training rows, {b.mean():.4g} on judging rows ({gap:+.1%})"
    return entry.answer(
        arm, said, effect=max(0.0, gap), p_value=p_value, details={"train": a.tolist(), "judge": b.tolist()}
    )


def check_fold_spread(arm: str, table: pd.DataFrame, metric: str) -> Check:
    entry = CATALOGUE["fold_spread"]
    values = fold_scores(table, metric)
    losses = _as_loss(metric, values.to_numpy())
    if len(losses) < 3:
        return entry.not_applicable(arm, f"needs three folds, there are {len(losses)}")
    if not np.isfinite(losses).all() or losses.mean() <= 0:
        return entry.not_applicable(arm, "scores are zero or not finite")
    first = table[table["repeat"] == table["repeat"].min()]
    row_loss = metric_of(metric).row_loss or METRICS["rmse"].row_loss
    parts = [row_loss(p["observed"].to_numpy(float), p["predicted"].to_numpy(float)) for _, p in first.groupby("fold")]
    parts = [part for part in parts if len(part) >= 2]
    statistic, p_value = None, None
    if len(parts) >= 2 and any(part.std() > 0 for part in parts):
        test = stats.kruskal(*parts) if min(map(len, parts)) < 200 else stats.f_oneway(*parts)
        statistic, p_value = float(test.statistic), float(test.pvalue)
    spread = float(losses.std(ddof=1) / losses.mean())
    worst = values.index[int(np.argmax(losses))]
    said = f"fold scores vary by {spread:.1%} of their mean (sd); worst: repeat {worst[0]}, fold {worst[1]}"
    return entry.answer(
        arm, said, effect=spread, statistic=statistic, p_value=p_value, details={"scores": values.tolist()}
    )


def check_seed_spread(arm: str, members: pd.DataFrame | None, metric: str) -> Check:
    """`members`: arm, repeat, fold, row, target, member, observed, predicted."""
    entry = CATALOGUE["seed_spread"]
    if members is None or members.empty or "observed" not in members:
        return entry.not_applicable(arm, "one fit without a seed, or its members were not kept")
    mine = members[(members["arm"] == arm) & np.isfinite(members["predicted"])]
    if mine.empty or mine["member"].nunique() < 2:
        return entry.not_applicable(arm, "one fit without a seed, or its members were not kept")
    by_member = [float(fold_scores(part, metric).mean()) for _, part in mine.groupby("member")]
    losses = _as_loss(metric, np.array(by_member))
    if not np.isfinite(losses).all() or losses.mean() <= 0:
        return entry.not_applicable(arm, "scores of the members are zero or not finite")
    spread = float(losses.std(ddof=1) / losses.mean())
    said = f"scores of {len(losses)} members have a standard deviation of {spread:.1%} of their mean"
    return entry.answer(arm, said, effect=spread, details={"scores": by_member})


def check_learning_curve(arm: str, curve: pd.DataFrame | None, metric: str) -> Check:
    """`curve`: arm, n (training rows), value (score); the slope of log loss on log n."""
    entry = CATALOGUE["learning_curve"]
    if curve is None or len(curve) == 0:
        return entry.not_applicable(arm, "no learning curve was measured")
    mine = pd.DataFrame(curve).query("arm == @arm")
    loss = _as_loss(metric, mine["value"].to_numpy(dtype=float)) if len(mine) else np.array([])
    if len(mine) < 3 or mine["n"].nunique() < 3 or np.any(loss <= 0) or not np.isfinite(loss).all():
        return entry.not_applicable(arm, "needs positive scores at three training sizes")
    line = stats.linregress(np.log(mine["n"].to_numpy(dtype=float)), np.log(loss), alternative="less")
    fall = 1 - 2 ** float(line.slope)
    said = f"twice the rows would move the score by {-fall:+.1%}"
    return entry.answer(
        arm, said, effect=max(0.0, fall), statistic=float(line.slope), p_value=float(line.pvalue), at_most="notice",
        details={"n": mine["n"].tolist(), "loss": loss.tolist()},
    )  # fmt: skip


def check_epochs(arm: str, kind: str, facts: Sequence[Mapping[str, Any]]) -> Check:
    """From `best_epochs` and `curves` of the fits: did members stop by themselves?"""
    entry = CATALOGUE["epochs"]
    runs = _runs(facts)
    if not runs:
        why = "no epochs: not trained by gradient steps" if kind != "neural" else "the fits kept no training curves"
        return entry.not_applicable(arm, why)
    best = np.array([run[0] for run in runs])
    last = np.array([run[1] for run in runs])
    # a best epoch at the very end means that the budget, not the early stop, ended the training
    at_end, at_start, kept = best >= last, best == 0, best < 0
    share = float(np.mean((at_end | at_start) & (last > 0)))
    said = (
        f"best epoch {np.median(best) + 1:.0f} of {np.median(last) + 1:.0f} (medians of {len(runs)} members); "
        f"{int(at_end.sum())} were best at the last epoch, {int(at_start.sum())} at the first"
    )
    if kept.any():  # a net that starts at a solved regression may stay there: that is an answer, not a fault
        said += f"; {int(kept.sum())} stayed at the closed form that they start from"
    return entry.answer(arm, said, effect=share, details={"best": best.tolist(), "last": last.tolist()})


def _runs(facts: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """(epoch with the smallest validation loss, last epoch trained) of every member of every fold, from 0.

    -1 for a member that no epoch has bettered: its `best_epochs` entry is 0.
    """
    runs = []
    for fact in facts:
        curves = pd.DataFrame(fact.get("curves") or [])
        if curves.empty or not {"epoch", "val_loss"} <= set(curves.columns):
            continue
        if "member" not in curves:
            curves["member"] = 0
        bettered = fact.get("best_epochs") or []
        for member, curve in curves.groupby("member"):
            curve = curve[np.isfinite(curve["val_loss"].to_numpy(dtype=float))]
            if len(curve):
                epochs = curve["epoch"].to_numpy(dtype=int) - int(curve["epoch"].min())
                best = int(epochs[int(np.argmin(curve["val_loss"].to_numpy()))])
                kept = int(member) < len(bettered) and bettered[int(member)] == 0
                runs.append((-1 if kept else best, int(epochs.max())))
    return runs


def check_restarts(arm: str, kind: str, facts: Sequence[Mapping[str, Any]]) -> Check:
    """From `restarts` (per fit: one record per new start, with its `member`) and `members` (their number)."""
    entry = CATALOGUE["restarts"]
    counted = [(fact["restarts"], fact.get("members")) for fact in facts if fact.get("restarts") is not None]
    if not counted:
        why = "no members to restart" if kind != "neural" else "the fits kept no count of restarts"
        return entry.not_applicable(arm, why)
    restarted = sum(len({record.get("member") for record in records}) for records, _ in counted)
    members = sum(int(known or 1) for _, known in counted)
    said = f"{restarted} of {members} members were started again"
    return entry.answer(arm, said, effect=min(1.0, restarted / max(members, 1)))
