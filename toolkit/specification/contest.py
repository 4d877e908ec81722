"""A contest of families: those that are close by their main effects are specified in full and judged on other rows.

Which scale is right can depend on the interactions: what multiplies in dollars adds in logarithms. So where the main
effects alone do not decide, each family gets its own search on a part of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from toolkit.specification.basis import Marginal
from toolkit.specification.evidence import FamilyScore, choose_family, metric_loss
from toolkit.specification.likelihood import Rows
from toolkit.specification.part import Part, specify_part
from toolkit.specification.sample import inner_folds
from toolkit.specification.search import main_effects
from toolkit.specification.terms import Design

__all__ = ["contest", "settle_family"]

CLOSE = 1.5  # times the smallest loss of the main effects up to which a family may enter
MOST = 3  # families that enter
FEW_ROWS = 1_200  # up to here every row is judged once, by three fits; beyond, one fit judges a fifth of the rows
TRAIN_ROWS, JUDGE_ROWS = 4_000, 4_000
SMALL, SURE = 0.01, 0.5  # share of the loss, and standard errors, that take the place from the family of the evidence


def settle_family(
    marginals: dict[str, Marginal],
    data: dict[str, np.ndarray],
    y: np.ndarray,
    target_kind: str,
    metric: str,
    functional: str,
    weight: np.ndarray | None,
    groups: np.ndarray | None,
    interactions: bool,
    seed: int,
) -> tuple[str, list[FamilyScore], str]:
    """The family, the scores of all candidates, and a sentence that says why: by main effects, then by contest."""
    rows = Rows(Design.of(main_effects(marginals)), data, len(y))
    chosen, scores, reason = choose_family(rows, y, target_kind, metric, weight, groups, seed)
    names = close_families(scores, target_kind, metric)
    if len(names) < 2:
        return chosen, scores, reason
    specify = partial(specify_part, marginals, interactions=interactions, seed=seed)
    return decided(contest(names, specify, data, y, weight, groups, metric, functional, seed), scores, reason, metric)


def close_families(scores: Sequence[FamilyScore], target_kind: str, metric: str) -> list[str]:
    """Families that enter, the one chosen by its main effects first; one name where there is no contest."""
    chosen = [score.family for score in scores if score.chosen]
    if target_kind != "positive" or metric == "rmsle" or len(scores) < 2:
        return chosen
    ranked = sorted(scores, key=lambda score: score.loss)
    near = [score.family for score in ranked if score.loss <= CLOSE * ranked[0].loss]
    names = list(dict.fromkeys([*chosen, *near]))
    if "lognormal" in names and names[0] != "gamma":
        names = [name for name in names if name != "gamma"]  # its predictions are nearly those of the log-normal
    return names[:MOST]


def contest(
    names: Sequence[str],
    specify: Callable[..., Part],
    data: dict[str, np.ndarray],
    y: np.ndarray,
    weight: np.ndarray | None,
    groups: np.ndarray | None,
    metric: str,
    functional: str,
    seed: int,
) -> dict[str, np.ndarray]:
    """Loss of every judged row under each family, [m] each.

    Parameters
    ----------
    specify : callable
        (data, y, family, weight, groups) -> Part, as `specify_part` with the rest given.
    functional : str
        What the metric rewards, see `Part.point`.
    """
    folds = inner_folds(len(y), groups, seed)
    few = len(y) <= FEW_ROWS
    folds, rounds = (folds % 3, 3) if few else (folds, 1)
    losses: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for fold in range(rounds):
        train = thinned(np.flatnonzero(folds != fold), TRAIN_ROWS)
        judge = thinned(np.flatnonzero(folds == fold), JUDGE_ROWS)
        some, other = ({name: values[rows] for name, values in data.items()} for rows in (train, judge))
        for name in names:
            part = specify(some, y[train], name, part_of(weight, train), part_of(groups, train), sketch=not few)
            point = part.point(part.eta(other, len(judge)), functional)
            losses[name].append(metric_loss(metric, y[judge], point))
    return {name: np.concatenate(parts) for name, parts in losses.items()}


def decided(
    losses: dict[str, np.ndarray], scores: Sequence[FamilyScore], reason: str, metric: str
) -> tuple[str, list[FamilyScore], str]:
    """The family, the scores with the choice marked, and a sentence that says why."""
    first, chosen = next(iter(losses)), min(losses, key=lambda name: losses[name].mean())
    gain = losses[first] - losses[chosen]
    if gain.mean() < max(SMALL * losses[first].mean(), SURE * gain.std(ddof=1) / np.sqrt(len(gain))):
        chosen = first
    word = "no other family predicts clearly better" if chosen == first else f"{chosen} predicts better"
    told = ", ".join(f"{name} {losses[name].mean():.4g}" for name in losses)
    reason = f"{reason}; {word} by {metric} when each is specified in full (loss on other rows: {told})"
    return chosen, [replace(score, chosen=score.family == chosen) for score in scores], reason


def thinned(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int))]


def part_of(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[rows]
