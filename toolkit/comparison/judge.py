"""The tests and the verdict for forecasts that were made anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from toolkit.comparison.confidence_set import confidence_set
from toolkit.comparison.forecast_formats import finding
from toolkit.comparison.forecast_table import predictions_from
from toolkit.comparison.record import Test, Verdict
from toolkit.comparison.verdict import compare_arms

__all__ = ["Judged", "judge"]


class Judged(NamedTuple):
    """What `judge` returns: a plain tuple with names."""

    predictions: pd.DataFrame
    tests: tuple[Test, ...]
    verdict: Verdict
    findings: tuple[dict[str, Any], ...]


def judge(
    forecasts: pd.DataFrame | str | Path,
    target: str,
    models: Sequence[str] = (),
    *,
    time: str | None = None,
    series: str | None = None,
    group: str | None = None,
    fold: str | None = None,
    origin: str | None = None,
    horizon: int | str | None = None,
    metric: str = "mae",
    margin: Mapping[str, Any] | None = None,
    model_column: str | None = None,
    prediction_column: str | None = None,
    name: str | None = None,
    nested: bool = False,
    seed: int = 0,
) -> Judged:
    """Judge forecasts in a table or a file.

    Parameters
    ----------
    forecasts : DataFrame or path
        Wide (a column for each model) or long (`model_column` and `prediction_column`).
    target : str
        Column of what was observed.
    models : sequence of str
        Two or more. The verdict is between the first two: the first plays the regression, the second the net. Wide:
        a column (`lear`), a mean of columns (`lear=lear_56+lear_84`) or of all that match (`lear_*`, which is then
        called `lear`). Long: values of `model_column`; all of them when left out.
    time, series, group, fold, origin : str, optional
        Columns with these roles. With `time` or `origin` forecasts are judged in time order; with `fold` as
        cross-validated predictions; otherwise as one holdout. Rows of a `group` are not independent.
    horizon : int or str, optional
        Steps per origin, when time runs on in blocks of forecasts (24 for hourly forecasts made once a day), or the
        column with the step ahead.
    metric : str
    margin : mapping, optional
        {"value": 1.0, "unit": "percent" | "absolute"}; 1 per cent when left out. Per cents are of the score of the
        model that scores worse (or of the one called `regression`), whatever the order.
    name : str, optional
        Not used here; the name of the report.
    nested : bool
        The second model contains the first.
    seed : int

    Returns
    -------
    Judged
        predictions, tests, verdict, findings.

    Raises
    ------
    InputError
        One line for unknown columns, fewer than two models, repeated keys, no row in common, or nothing left to judge.

    Examples
    --------
    >>> import pandas as pd
    >>> y = [1.0, 2, 3, 4, 5, 6]
    >>> table = pd.DataFrame({"y": y, "ols": [1.1, 2.1, 3.1, 4.2, 4.9, 6.1], "net": [1.5, 1.4, 3.6, 4.4, 5.7, 6.5]})
    >>> judge(table, "y", ["ols", "net"]).verdict.decision
    'regression'
    """
    roles = {"time": time, "series": series, "group": group, "fold": fold, "origin": origin}
    predictions, findings = predictions_from(forecasts, target, models, roles, horizon, model_column, prediction_column)
    arms = list(dict.fromkeys(predictions["arm"]))
    folds = predictions["fold"].nunique()
    if time is not None or origin is not None:
        scheme = "rolling_origin" if predictions["origin"].notna().any() else "time"
        predictions = predictions.assign(fold=0)  # in time order folds are no units of their own
    else:
        scheme = "kfold" if folds > 1 else "holdout"
    if scheme == "kfold" and folds == 2:
        findings.append(
            finding(
                "two folds only",
                fold,
                "two folds leave the corrected t test one degree of freedom; the test on rows decides",
                "five or more folds",
            )
        )
    tests, verdict = compare_arms(
        predictions,
        metric,
        (arms[0], arms[1]),
        margin=margin,
        scheme=scheme,
        seed=seed,
        nested=nested,
    )
    if not verdict.details["se"] > 0 and not verdict.details["identical"]:
        findings.append(
            finding(
                "constant loss difference",
                None,
                f"the loss difference of {arms[0]} and {arms[1]} is the same in every row, so that no test can be made",
                "check that the forecasts are genuine",
            )
        )
    others = [_against_first(predictions, metric, arms[0], arm, margin, scheme, seed) for arm in arms[2:]]
    best = confidence_set(predictions, metric, arms, scheme, seed=seed) if len(arms) > 2 else []
    if best:
        kept = [str(t.details["arm"]) for t in best if t.details["included"]]
        findings.append(
            finding(
                "more than two models",
                None,
                f"the verdict is between {arms[0]} and {arms[1]}; the model "
                f"confidence set of 95 % over all {len(arms)} keeps {', '.join(kept)}",
                "",
                len(arms),
            )
        )
    return Judged(predictions, (*tests, *(t for one in others for t in one), *best), verdict, tuple(findings))


def _against_first(
    predictions: pd.DataFrame,
    metric: str,
    first: str,
    other: str,
    margin: Mapping[str, Any] | None,
    scheme: str,
    seed: int,
) -> tuple[Test, ...]:
    """Tests of a further model against the first one, without those of single horizons."""
    tests, _ = compare_arms(predictions, metric, (first, other), margin=margin, scheme=scheme, seed=seed)
    return tuple(test for test in tests if "horizon" not in test.details)
