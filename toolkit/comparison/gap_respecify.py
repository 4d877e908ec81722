"""The formula that the ledger proposes, and its re-test against the net on rows that did not find its terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.gap_ladder import FoldLadder, chosen_form
from toolkit.comparison.gap_search import PAIR_COLUMNS, Candidate
from toolkit.comparison.record import GapEntry
from toolkit.comparison.rows import PairedRows
from toolkit.comparison.sentence import number
from toolkit.comparison.verdict import compare_arms
from toolkit.errors import InputError
from toolkit.evaluation.scores import METRICS
from toolkit.models.formula import FormulaRegression
from toolkit.specification.basis import Marginal
from toolkit.specification.columns import Columns, quoted
from toolkit.specification.formula import spline, written

__all__ = ["extended", "refusal", "respecify"]

ARM = "respecified"
FEW_VALUES = 30  # a bend of a column with so few values is written as its levels


def respecify(
    ladders: list[FoldLadder], order: list[tuple[str, ...]], entries: tuple[GapEntry, ...], paired: PairedRows,
    last: np.ndarray, predictions: pd.DataFrame, arms: tuple[str, str], metric: str, margin: Any, splits: Any,
    X: pd.DataFrame, y: pd.Series, seed: int, members: pd.DataFrame | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Propose, refit and re-test; what does not surely improve the start is not proposed, and its `reason` says so.

    On every fold the formula holds the terms that its own training rows found and that half of the folds found or more,
    so that the re-test and the p-values come from rows that did not discover them; the formula that is proposed holds
    the terms (and the scale of the target) of half of the folds or more whose share is above zero for certain. What one
    fold alone found is in no proposal, and without a penalty a wide one spoils the rest. A regression with shrinkage
    (the specified one) is re-tested with it.
    """
    moved = [ladder.ready.start for ladder in ladders if ladder.ready.start.changed]
    scale = entries[0] if len(moved) * 2 >= len(ladders) and moved and entries[0].lower > 0 else None
    start = moved[0] if scale else ladders[0].ready.start
    by_key = {tuple(e.details["variables"]): e for e in entries if "variables" in e.details}
    often = [k for k in order if by_key[k].details["chosen"] * 2 >= len(ladders)]
    kept = [k for k in often if by_key[k].lower > 0]
    if not kept and scale is None:
        return {}
    agreed = [chosen_form(ladders, key)[0] for key in kept]
    formula = extended(start.formula, agreed, ladders[0]) if start.formula else ""
    predicted, how = None, "refitted with its shrinkage"
    if formula and not start.penalised:
        predicted, how = (
            _by_formula(ladders, often, paired, splits, metric, X, y),
            "least squares or maximum likelihood",
        )
    if predicted is None:
        predicted, how = last, "refitted with its shrinkage"
    mine = predictions[predictions["arm"] == arms[0]].set_index(["repeat", "fold", "row"])
    mine = mine.loc[list(zip(paired.repeat, paired.fold_label, paired.row, strict=True))].reset_index()
    mine = mine.assign(arm=ARM, predicted=predicted)
    table = pd.concat([mine, predictions], ignore_index=True)
    refused = refusal(table, metric, (arms[0], ARM), margin, splits.scheme, seed)
    _, verdict = compare_arms(table, metric, (ARM, arms[1]), margin, splits.scheme, members, seed=seed, reference=ARM)
    terms = [
        {"term": by_key[k].term, "kind": by_key[k].kind, "p_value": by_key[k].details["p_value"],
         "chosen": by_key[k].details["chosen"], "folds": len(ladders)} for k in kept
    ]  # fmt: skip
    if scale is not None:
        terms.insert(0, {"term": scale.term, "kind": scale.kind, "p_value": scale.details["p_value"],
                         "chosen": len(moved), "folds": len(ladders)})  # fmt: skip
    if refused:
        return {"formula": "", "score": verdict.details["scores"][ARM], "terms": terms, "fit": how, **refused}
    family = {"logistic": "binomial"}.get(start.scale, start.scale)
    return {
        "formula": formula, "score": verdict.details["scores"][ARM], "decision": verdict.decision,
        "gain": verdict.estimate, "lower": verdict.lower, "upper": verdict.upper, "terms": terms,
        "sentence": verdict.sentence, "fit": how, "family": None if start.family.is_normal else family,
    }  # fmt: skip


def refusal(
    table: pd.DataFrame, metric: Any, pair: tuple[str, str], margin: Any, scheme: str, seed: int
) -> dict[str, Any]:
    """What is said instead of a proposal that does not surely improve the start on rows that did not find it.

    Each term was admitted for itself; all of them together, fitted as one regression, may still cost more than they
    bring. `pair` is (start, repaired); {} where the 95 % interval of the improvement lies above zero.
    """
    _, better = compare_arms(table, metric, pair, margin, scheme, seed=seed, reference=pair[0])
    if better.lower is not None and better.lower > 0:
        return {}
    before, after = (better.details["scores"][arm] for arm in pair)
    sentence = (
        f"The terms found do not improve {pair[0]} on fresh rows: {better.details['label']} {number(after)} with them, "
        f"{number(before)} without (improvement {number(better.estimate)}, 95 % interval {number(better.lower)} to "
        f"{number(better.upper)}). None is proposed."
    )
    return {"reason": f"the terms found do not improve {pair[0]} on fresh rows; none is proposed", "sentence": sentence}


def extended(formula: str, candidates: list[Candidate], ladder: FoldLadder) -> str:
    """The formula with terms added, never one taken away; lower-order parts come with every interaction."""
    left, _, right = formula.partition("~")
    have = [piece.strip() for piece in right.split(" + ")]
    for candidate in candidates:
        for piece in _pieces(candidate, ladder.ready.columns, ladder.ready.marginals):
            if piece not in have:
                have.append(piece)
    return f"{left.strip()} ~ {' + '.join(have)}"


def _pieces(candidate: Candidate, columns: Columns, marginals: dict[str, Marginal]) -> list[str]:
    """What one candidate adds to a formula."""
    form = candidate.form
    if form is not None:
        by = "" if form.by is None else _whole(columns, form.by, 3)
        return form.pieces(by)
    variables = [marginals[name].variable for name in candidate.key]
    if len(variables) == 1:
        return [_whole(columns, variables[0], min(marginals[candidate.key[0]].width, 8))]
    if all(v.kind == "number" and v.distinct > FEW_VALUES for v in variables):
        parts = [_whole(columns, v, 4) for v in variables]
    else:  # a spline for each of many levels has more columns than a fit without a penalty can carry
        fewest = min(v.distinct if _by_level(v) else FEW_VALUES for v in variables)
        parts = [_whole(columns, v, min(6, PAIR_COLUMNS // max(fewest, 1))) for v in variables]
    return [*parts, ":".join(parts)]


def _whole(columns: Columns, variable: Any, df: int) -> str:
    """One variable with all its bends: levels where it has few values, else a spline (below two df a straight line)."""
    if _by_level(variable) and variable.kind != "factor" and variable.distinct > 2:
        return f"C({quoted(variable.source)})"
    if variable.kind == "factor" or variable.distinct <= 2:
        return written(columns, variable)
    return spline(columns, variable, df)


def _by_level(variable: Any) -> bool:
    """Whether a formula writes one column per value."""
    return variable.kind == "factor" or (not variable.part and variable.distinct <= FEW_VALUES)


def _by_formula(
    ladders: list[FoldLadder], order: list[tuple[str, ...]], paired: PairedRows, splits: Any, metric: str,
    X: pd.DataFrame, y: pd.Series,
) -> np.ndarray | None:  # fmt: skip
    """Out-of-fold predictions of each fold's own formula, [n]; None where formulaic cannot fit one."""
    out = paired.predicted[:, 0].copy()
    by_fold = {(f.repeat, f.fold): f for f in splits.folds}
    labels = list(dict.fromkeys(zip(paired.repeat, paired.fold_label, strict=True)))
    for (repeat, fold), ladder in zip(labels, ladders, strict=True):
        mine = {one.candidate.key: one.candidate for one in ladder.found}
        start = ladder.ready.start
        formula = extended(start.formula, [mine[key] for key in order if key in mine], ladder)
        family = "gaussian" if start.family.is_normal else {"logistic": "binomial"}.get(start.scale, start.scale)
        train = by_fold[(repeat, fold)].train
        here = np.flatnonzero((paired.repeat == repeat) & (paired.fold_label == fold))
        try:
            model = FormulaRegression(formula, family, cov="classical", metric=metric if metric in METRICS else "rmse")
            out[here] = model.fit(X.iloc[train], y.iloc[train]).predict(X.iloc[paired.row[here]])
        except InputError:
            return None
    return out if np.isfinite(out).all() else None
