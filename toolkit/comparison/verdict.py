"""Two arms in, tests and a verdict out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.bayes import correlated_t_test, decide
from toolkit.comparison.cost import cost_table
from toolkit.comparison.design import Design, make_design
from toolkit.comparison.encompassing import encompassing
from toolkit.comparison.estimate import Estimate, interval, p_value, probabilities, to_test, tost_p_value, with_seeds
from toolkit.comparison.forecast_tests import (
    clark_west,
    diebold_mariano_by_horizon,
    mincer_zarnowitz,
    pooled_diebold_mariano,
)
from toolkit.comparison.margin import absolute_margin, reference_arm
from toolkit.comparison.power import minimal_detectable_gain, units_needed
from toolkit.comparison.record import Test, Verdict
from toolkit.comparison.rows import PairedRows, pair_rows
from toolkit.comparison.seeds import seed_variance, variance_shares
from toolkit.comparison.sentence import verdict_reasons, verdict_sentence
from toolkit.comparison.slices import slices
from toolkit.comparison.tests import clustered_clt, corrected_t, judge_to_train, paired_bootstrap, row_test
from toolkit.errors import InputError
from toolkit.evaluation.scores import Metric

__all__ = ["DEFAULT_FOLD_TEST", "compare_arms"]

# Which of the tests over folds decides: the calibration benchmark (reports/benchmarks/calibration.md).
DEFAULT_FOLD_TEST = "corrected_row_test"
FEW_UNITS = 10  # a verdict on fewer independent units says so


def compare_arms(
    predictions: pd.DataFrame,
    metric: str | Metric,
    arms: tuple[str, str],
    margin: Mapping[str, Any] | None = None,
    scheme: str = "kfold",
    members: pd.DataFrame | None = None,
    n_train: int | dict[object, int] | None = None,
    groups: np.ndarray | None = None,
    features: pd.DataFrame | None = None,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    *,
    reference: str | None = None,
    nested: bool = False,
    quick: bool = False,
    provisional: str | None = None,
) -> tuple[tuple[Test, ...], Verdict]:
    """Is the gain of the second arm real, and large enough to matter?

    Parameters
    ----------
    predictions : DataFrame
        The predictions table; other arms than the two are ignored.
    metric : str or Metric
    arms : pair of str
        The first plays the regression, the second the net. Gains are those of the second.
    margin : mapping, optional
        {"value": 1.0, "unit": "percent" | "absolute"}; per cent of the score of `reference`. 1 per cent when left out.
    scheme : str
        Of the splits: kfold, group, table, official, holdout, time, rolling_origin.
    members : DataFrame, optional
        Predictions of the members of a net, for the luck of seeds.
    n_train : int or dict, optional
        Training rows per fold, when the table has no column `n_train`.
    groups : array, optional
        Group of each row of the data set, by position: rows of one group are not independent.
    features : DataFrame, optional
        Features of each row of the data set, by position, for the slices; time makes slices without them.
    costs : mapping, optional
        Arm -> {fit_seconds, predict_seconds, predicted_rows, parameters, explainability}.
    seed : int
    reference : str, optional
        Arm whose score per cents are of: the arm called `regression` when it takes part, else the one that scores
        worse, so that the order of the arms changes no number.
    nested : bool
        The second arm contains the first (a net with the regression's inputs): Clark-West is shown beside the rest.
    quick, provisional : bool, str
        Words that the sentence has to carry.

    Returns
    -------
    tests : tuple of Test
        The one that decides has `details["default"]`.
    verdict : Verdict

    Raises
    ------
    InputError
        For unknown arms, unpaired or non-finite predictions, or a margin that is not understood.
    """
    if len(arms) != 2 or arms[0] == arms[1]:
        raise InputError(f"compare: expected two different arms, got {', '.join(map(str, arms))}")
    paired = pair_rows(predictions, metric, tuple(arms), n_train)
    reference = reference or reference_arm(paired)
    margin = dict(margin or {"value": 1.0, "unit": "percent"})
    width = absolute_margin(paired, margin, reference)
    design = make_design(paired, scheme, groups)
    seeds, seed_df, seed_errors = seed_variance(paired, members)
    estimates = [
        with_seeds(one, seeds, seed_df) if one.name != "corrected_t" else one
        for one in _estimates(paired, design, seed)
    ]
    default = _default(estimates)
    claims = probabilities(default, width)
    decision, reason = decide(claims, p_value(default), default, width)
    if paired.identical:
        claims, decision = {"neural": 0.0, "equivalent": 1.0, "regression": 0.0}, "equivalent"
        reason = "both arms make the same predictions up to rounding"
    records = [*_records(paired, design, estimates, default, width, claims), *_calibration(paired, design, nested)]
    combined, more = ({}, []) if paired.identical else encompassing(paired, design)
    where, sliced = ([], []) if paired.identical else slices(paired, design, features, seed)
    details = _details(paired, design, default, margin, width, reference, reason)
    clark_west_p = next((test.p_value for test in records if test.name == "clark_west"), None)
    details |= {"encompassing": combined, "slices": where, "nested": nested, "clark_west_p": clark_west_p}
    details["uncertainty"] = variance_shares(paired, design, default, seeds)
    details["uncertainty"]["seed_se_by_arm"] = seed_errors
    if costs:
        details["costs"] = cost_table(costs, tuple(arms)).to_dict("records")
    verdict = _verdict(paired, default, claims, decision, details, quick, provisional)
    return (*records, *more, *sliced), verdict


def _estimates(paired: PairedRows, design: Design, seed: int) -> list[Estimate]:
    """Every estimate of the gain that this design allows."""
    if design.kind == "holdout":
        if not paired.row_level:
            raise InputError(f"metric '{paired.metric_name}' has no row losses: one holdout cannot be tested with it")
        return [paired_bootstrap(paired, design, seed)]
    if design.kind in ("time", "panel"):
        return [row_test(paired, design)]
    found = [corrected_t(paired.fold_gain, judge_to_train(paired))]
    if paired.row_level:
        found += [clustered_clt(paired, design), row_test(paired, design)]
    return found


def _default(estimates: list[Estimate]) -> Estimate:
    named = [one for one in estimates if one.name == DEFAULT_FOLD_TEST]
    return named[0] if named else estimates[0]


def _records(
    paired: PairedRows,
    design: Design,
    estimates: list[Estimate],
    default: Estimate,
    width: float,
    claims: dict[str, float],
) -> list[Test]:
    arms = paired.arms
    records = [to_test(one, arms, default=one is default, probabilities=probabilities(one, width)) for one in estimates]
    folds = next((one for one in estimates if one.name == "corrected_t"), None)
    if folds is not None:
        posterior = correlated_t_test(paired.fold_gain, folds.details["judge_to_train"], width)
        bayes = replace(folds, name="bayesian_correlated_t", null="none: posterior probabilities of the three claims")
        records.append(
            replace(to_test(bayes, arms, probabilities=posterior, margin=width), p_value=None, statistic=None)
        )
    tost = replace(default, name="equivalence_tost", null="the gain is at least the margin away from 0")
    records.append(replace(to_test(tost, arms, margin=width), p_value=tost_p_value(default, width)))
    if design.ordered:
        records.append(pooled_diebold_mariano(paired, design))
        records.extend(diebold_mariano_by_horizon(paired, design))
    return records


def _calibration(paired: PairedRows, design: Design, nested: bool) -> list[Test]:
    if design.n < 3:
        return []
    found = [mincer_zarnowitz(paired, design, side) for side in (0, 1)]
    return [*found, clark_west(paired, design)] if nested else found


def _details(
    paired: PairedRows,
    design: Design,
    default: Estimate,
    margin: Mapping[str, Any],
    width: float,
    reference: str,
    reason: str,
) -> dict[str, Any]:
    scores = paired.scores
    base = abs(scores[paired.arms.index(reference)]) if reference in paired.arms else 0.0
    lower, upper = interval(default)
    return {
        "metric": paired.metric_name,
        "label": paired.metric_name.upper() if paired.metric_name != paired.metric.name else paired.metric.label,
        "greater_is_better": paired.metric.greater_is_better,
        "scores": dict(zip(paired.arms, scores, strict=True)),
        "gain_percent": 100 * paired.estimate / base if base > 0 else None,
        "lower_percent": 100 * lower / base if base > 0 else None,
        "upper_percent": 100 * upper / base if base > 0 else None,
        "reference": reference,
        "margin": dict(margin),
        "margin_absolute": width,
        "test": default.name,
        "n": default.n,
        "unit": str(default.details.get("unit", design.unit)),
        "se": default.se,
        "reason": reason,
        "identical": paired.identical,
        "rows": paired.rows,
        "left_out": paired.left_out,
        "detectable_gain": minimal_detectable_gain(default, width),
        "units_needed": units_needed(default, width, paired.rows) if default.se > 0 else None,
        "targets": _by_target(paired, reference),
        "notes": list(design.notes),
    }


def _by_target(paired: PairedRows, reference: str) -> dict[str, float | None]:
    """Gain in per cent of the reference arm's score, per target."""
    found: dict[str, float | None] = {}
    side = paired.arms.index(reference) if reference in paired.arms else 0
    for target in pd.unique(paired.target_of_cell):
        scores = paired.cell_scores[paired.target_of_cell == target].mean(axis=0)
        gain = scores[1] - scores[0] if paired.metric.greater_is_better else scores[0] - scores[1]
        found[str(target)] = float(100 * gain / abs(scores[side])) if scores[side] != 0 else None
    return found


def _verdict(
    paired: PairedRows,
    default: Estimate,
    claims: dict[str, float],
    decision: str,
    details: dict[str, Any],
    quick: bool,
    provisional: str | None,
) -> Verdict:
    arms = paired.arms
    lower, upper = interval(default) if default.se > 0 else (paired.estimate, paired.estimate)
    winner = {"regression": arms[0], "neural": arms[1]}.get(decision)
    facts = {
        **details,
        "decision": decision,
        "arms": arms,
        "scores": paired.scores,
        "gain": paired.estimate,
        "lower": lower,
        "upper": upper,
        "probabilities": claims,
        "margin": details["margin_absolute"],
        "margin_given": details["margin"],
        "detectable": details["detectable_gain"],
        "needed": details["units_needed"],
        "quick": quick,
        "provisional": provisional,
        "cause": details["reason"] if not default.se > 0 else None,
    }
    reasons = [*verdict_reasons(facts), *details["notes"]]
    if default.n < FEW_UNITS:
        reasons.append(f"only {default.n} independent {details['unit']}: intervals are wide and rest on few cases")
    if paired.left_out:
        reasons.append(f"{paired.left_out} predictions were left out because the other arm has none for that row")
    return Verdict(
        decision,
        arms,
        paired.estimate,
        lower,
        upper,
        claims,
        verdict_sentence(facts),
        tuple(reasons),
        winner,
        quick or provisional is not None,
        details,
    )
