"""Remedies carried out: the regression once more with what its checks called for, and what that changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from toolkit import stages
from toolkit.comparison.record import Remedied, Verdict
from toolkit.comparison.verdict import compare_arms
from toolkit.diagnostics.battery import run_checks
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.remedies import COVARIANCE, WEIGHTS, Remedy, propose, treated
from toolkit.evaluation.engine import Cache
from toolkit.evaluation.evaluate import Evaluation
from toolkit.evaluation.scores import METRICS
from toolkit.reporter import Reporter

if TYPE_CHECKING:
    from toolkit.pipeline import Plan

__all__ = ["carry_out_remedies"]

Treated = tuple["Plan", Evaluation, tuple[Check, ...], Remedied | None]
TABLES = ("predictions", "members", "train_scores")
DOUBTS = ("notice", "poor")
SCALE_SETTINGS = ("family", "formula", "transform")  # a change of these puts the coefficients on another scale


def carry_out_remedies(
    todo: Plan, evaluation: Evaluation, checks: tuple[Check, ...], verdict: Verdict, cache: Cache, engine: str,
    reporter: Reporter,
) -> Treated:  # fmt: skip
    """Where the pipeline says `remedy: true`: a further arm, its predictions and checks, and what it changed.

    Returns
    -------
    tuple
        Plan, evaluation and checks with the further arm, and the record of what was changed; everything as it came and
        None where no remedy was asked for.
    """
    if not todo.settings.remedy:
        return todo, evaluation, checks, None
    arm = todo.pair[0]
    remedies = _called_for(todo, evaluation, checks)
    if not remedies:
        why = (
            f"Nothing was changed: no check of '{arm}' calls for a setting that this arm has and does not use already."
        )
        return todo, evaluation, checks, Remedied(arm, "", why)
    reporter.stage("remedies")
    name = next(one for one in (f"{arm}_remedied{'_again' * n}" for n in count()) if one not in todo.arms)
    plan = replace(todo, arms={**todo.arms, name: treated(todo.arms[arm], remedies)})
    if all(one.setting == COVARIANCE for one in remedies):
        more = _same_predictions(plan, evaluation, arm, name)
    else:
        more = stages.fit_arms(plan, {name: plan.arms[name]}, (name,), cache, engine, reporter)
    together = _merge(evaluation, more)
    if not (more.predictions["arm"] == name).any():
        why = f"The changed regression failed: {more.failures[name][0]}"
        return plan, together, checks, Remedied(arm, name, why, _changes(remedies))
    against = replace(plan, pair=(name, todo.pair[1]))
    _, after = compare_arms(**stages.evidence(against, together))
    inputs = stages.check_inputs(against, together, verdict)
    info = {name: {**inputs["arms_info"][name], "kind": "regression"}}
    answers = run_checks(**{**inputs, "arms_info": info})
    record = _record(plan, together, remedies, name, checks, answers, verdict, after)
    return plan, together, (*checks, *answers), record


def _called_for(todo: Plan, evaluation: Evaluation, checks: Sequence[Check]) -> tuple[Remedy, ...]:
    arm, data = todo.pair[0], todo.dataset
    facts = evaluation.facts.get(arm) or ({},)
    whole = getattr(evaluation.models.get(arm), "fit_info_", None) or facts[-1]
    when = data.frame[data.time] if data.time else None
    return propose(
        checks, arm, todo.arms[arm],
        family=str(whole.get("family", "")), target_kind=data.target_kind, grouped=data.groups is not None,
        target=data.targets[0] if len(data.targets) == 1 else "", several=len(data.targets) > 1,
        in_order=when is not None and bool(when.is_monotonic_increasing), found=_chosen(whole.get("frozen")),
    )  # fmt: skip


def _chosen(frozen: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a series regression chose by itself: the settings of the form with the largest weight."""
    if "formula" in (frozen or {}):
        return {}  # settings of another arm
    form = (frozen or {}).get("form")
    return dict(max(form, key=lambda one: one.get("weight", 1.0))) if form else dict(frozen or {})


def _same_predictions(plan: Plan, evaluation: Evaluation, arm: str, name: str) -> Evaluation:
    """A covariance moves no prediction: those of the arm under the new name, and one fit on all rows."""
    data, extra = plan.dataset, {}
    if data.groups is not None and "groups" in signature(plan.arms[name].fit).parameters:
        extra["groups"] = data.frame[data.groups].to_numpy()
    with stages.without_autolog():
        model = clone(plan.arms[name]).fit(data.X, data.y, **extra)
    mine = {
        part: table[table["arm"] == arm].assign(arm=name) for part in TABLES for table in [getattr(evaluation, part)]
    }
    return replace(
        evaluation,
        **mine,
        facts={name: evaluation.facts.get(arm, ())},
        seconds={name: evaluation.seconds[arm]},
        failures={name: evaluation.failures.get(arm, ())},
        models={name: model},
    )


def _merge(one: Evaluation, other: Evaluation) -> Evaluation:
    tables = {}
    for part in TABLES:
        filled = [table for table in (getattr(one, part), getattr(other, part)) if len(table)]
        tables[part] = pd.concat(filled, ignore_index=True) if filled else getattr(one, part)
    maps = {part: {**getattr(one, part), **getattr(other, part)} for part in ("facts", "seconds", "failures", "models")}
    watched = [table for table in (one.innovations, other.innovations) if table is not None]
    return replace(one, **tables, **maps, innovations=pd.concat(watched, ignore_index=True) if watched else None)


def _changes(remedies: Sequence[Remedy]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "setting": one.setting,
            "before": one.before,
            "after": one.value,
            "checks": list(one.checks),
            "reason": one.reason,
        }
        for one in remedies
    )


def _record(
    plan: Plan, evaluation: Evaluation, remedies: Sequence[Remedy], name: str, before: Sequence[Check],
    after: Sequence[Check], old: Verdict, new: Verdict,
) -> Remedied:  # fmt: skip
    arm = plan.pair[0]
    table = stages.score(plan, evaluation)
    table = table[table["metric"] == plan.metric].set_index("arm")
    scores = {
        when: {"mean": float(table.loc[one, "mean"]), "se": float(table.loc[one, "se"])}
        for when, one in (("before", arm), ("after", name))
    }
    changed = tuple(_changed(before, after, arm))
    return Remedied(
        arm,
        name,
        _sentence(remedies, plan.metric, scores, changed, old, new),
        _changes(remedies),
        scores,
        tuple(_estimates(evaluation.models.get(arm), evaluation.models.get(name))),
        not any(one.setting in SCALE_SETTINGS for one in remedies),
        {when: _intervals(evaluation.predictions, one) for when, one in (("before", arm), ("after", name))},
        changed,
        new,
    )


def _estimates(before: Any, after: Any) -> list[dict[str, Any]]:
    """Coefficients of both fits on all rows, by term."""
    tables = []
    for model in (before, after):
        table = getattr(model, "coefficients_", None)
        if table is None or not len(table):
            return []
        table = pd.DataFrame(table).rename(columns={"column": "term"})
        if "target" in table and table["target"].nunique() > 1:
            table["term"] = table["target"].astype(str) + ": " + table["term"].astype(str)
        tables.append(table.set_index("term")[["estimate", "se", "lower", "upper"]])
    terms = dict.fromkeys([*tables[0].index, *tables[1].index])
    parts = [table[~table.index.duplicated()].reindex(list(terms)).to_dict("index") for table in tables]
    return [{"term": str(term), "before": parts[0][term], "after": parts[1][term]} for term in terms]


def _intervals(predictions: pd.DataFrame, arm: str) -> dict[str, float | None]:
    """Share of observations inside the prediction intervals, and their mean width in target units."""
    mine = predictions[predictions["arm"] == arm]
    lower, upper = mine["lower"].to_numpy(dtype=float), mine["upper"].to_numpy(dtype=float)
    known = np.isfinite(lower) & np.isfinite(upper)
    if not known.any():
        return {"coverage": None, "width": None}
    observed = mine["observed"].to_numpy(dtype=float)[known]
    inside = (observed >= lower[known]) & (observed <= upper[known])
    return {"coverage": float(inside.mean()), "width": float((upper - lower)[known].mean())}


def _changed(before: Sequence[Check], after: Sequence[Check], arm: str) -> list[dict[str, Any]]:
    """Checks whose verdict is another one, or that still raise a doubt."""
    old = {check.check: check for check in before if check.arm == arm}
    rows = []
    for check in after:
        was = old.get(check.check)
        if was is None or not {was.verdict, check.verdict} & set(DOUBTS):
            continue
        title = (check.details or {}).get("title", check.check.replace("_", " "))
        rows.append(
            {
                "check": check.check,
                "title": title,
                "before": {"verdict": was.verdict, "effect": was.effect, "reason": was.reason},
                "after": {"verdict": check.verdict, "effect": check.effect, "reason": check.reason},
            }
        )
    return rows


def _sentence(
    remedies: Sequence[Remedy], metric: str, scores: dict[str, Any], changed: Sequence[dict[str, Any]], old: Verdict,
    new: Verdict,
) -> str:  # fmt: skip
    settings = ", ".join(f"{one.setting} {one.value}" for one in remedies)
    label = METRICS[metric].label if metric in METRICS else metric.upper()
    doubts = [sum(row[when]["verdict"] in DOUBTS for row in changed) for when in ("before", "after")]
    if all(one.setting == COVARIANCE for one in remedies):
        effect = f"standard errors change, predictions and the verdict ({old.decision}) do not"
    else:
        effect = (
            f"{label} {scores['before']['mean']:.4g} becomes {scores['after']['mean']:.4g}, {doubts[0]} doubts of the "
            f"checks become {doubts[1]}, and the verdict "
            + (
                f"stays {old.decision}"
                if new.decision == old.decision
                else f"turns from {old.decision} to {new.decision}"
            )
        )
    if any(one.setting == WEIGHTS for one in remedies):
        effect += "; weights sharpen estimates and their standard errors, the unequal spread itself stays"
    return f"With {settings}, as the checks call for: {effect}."
