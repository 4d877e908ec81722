"""Forecasts made anywhere, judged like the arms of a comparison: tests, verdict, report, MLflow."""

from __future__ import annotations

import hashlib
import time as clock
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit import stages
from toolkit.analysis import Analysis
from toolkit.assembly import versions
from toolkit.comparison import judge as judged
from toolkit.comparison.record import ArmResult
from toolkit.data.dataset import Dataset
from toolkit.diagnostics.battery import run_checks
from toolkit.evaluation.scores import BY_KIND, get_metric, score_table
from toolkit.reporter import Reporter, Silent
from toolkit.reporting.outputs import write_outputs
from toolkit.settings import margin_record

__all__ = ["judge"]


def judge(
    forecasts: pd.DataFrame | str | Path,
    target: str,
    models: Sequence[str] = (),
    *,
    metric: str = "mae",
    margin: str | float = "1%",
    name: str | None = None,
    out: str | Path | None = None,
    tracking_uri: str | None = "none",
    reporter: Reporter | None = None,
    **roles: Any,
) -> Analysis:
    """Judge forecasts of two or more models, wherever they were made.

    Parameters
    ----------
    forecasts : DataFrame or path
        Wide (a column for each model) or long.
    target : str
        Column with what was observed.
    models : sequence of str
        The verdict is between the first two; the first plays the regression, the second the net. `lear_*` is the mean
        of all columns that match, `lear=a+b` the mean of the named ones.
    metric, margin
        As in a pipeline file.
    out : path, optional
        Folder for the report and the tables; nothing is written without it.
    tracking_uri : str
        `none` by default; `Analysis.log()` logs later.
    **roles
        time, series, group, fold, origin, horizon, model_column, prediction_column, nested: as in
        `toolkit.comparison.judge.judge`.

    Returns
    -------
    Analysis

    Raises
    ------
    InputError
        One line for everything that cannot be judged.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"y": [1.0, 2, 3, 4], "ols": [1.1, 2.1, 3.1, 4.2], "net": [1.5, 1.4, 3.6, 4.4]})
    >>> judge(table, "y", ["ols", "net"]).verdict.winner
    'ols'
    """
    reporter, begin = reporter or Silent(), clock.perf_counter()
    width = margin_record(margin)
    label = name or ("forecasts" if isinstance(forecasts, pd.DataFrame) else Path(forecasts).name.split(".")[0])
    if out is not None:
        stages.make_sure_writable(Path(out))
    tracking = stages.open_tracking_at(tracking_uri, label)
    found = judged.judge(forecasts, target, list(models), metric=metric, margin=width, name=label, **roles)
    for finding in found.findings:
        reporter.warn(finding["message"])
    analysis = _assemble(found, target, label, get_metric(metric).name, width, clock.perf_counter() - begin)
    if out is not None:
        reporter.stage("report")
        write_outputs(analysis, Path(out))
    if tracking is not None:
        logged = stages.log(analysis, tracking, None if out is None else Path(out), reporter)
        analysis = replace(analysis, mlflow=logged)
        if out is not None:
            write_outputs(analysis, Path(out), only_contract=True)
    reporter.finished(analysis, None if out is None else Path(out))
    return analysis


def _assemble(found: Any, target: str, label: str, metric: str, margin: dict[str, Any], seconds: float) -> Analysis:
    """What was judged as the record of a comparison."""
    predictions, verdict = found.predictions, found.verdict
    arms = list(dict.fromkeys(predictions["arm"]))
    observed = predictions.drop_duplicates("row")[["row", "observed"]].sort_values("row")
    dataset = Dataset(observed.rename(columns={"observed": target}), (target,), (), {}, "real", label)
    scores = score_table(predictions, tuple(dict.fromkeys((metric, *BY_KIND["real"]))))
    asked = {arm: {"kind": "regression" if arm == arms[0] else "neural", "facts": ()} for arm in arms[:2]}
    checks = run_checks(predictions, asked, dataset=dataset, metric=metric)
    folds = predictions[["repeat", "fold"]].drop_duplicates()
    keys = predictions.loc[predictions["arm"] == arms[0], ["repeat", "fold", "row", "target", "observed"]]
    return Analysis(
        name=label,
        question=f"Which of {', '.join(arms)} forecasts {target} better?",
        metric=metric,
        margin=margin,
        dataset={"name": label, "rows": len(observed), "features": [], "target": target, "sha256": dataset.sha256},
        splits={
            "scheme": "given",
            "folds": int(folds["fold"].nunique()),
            "repeats": int(folds["repeat"].nunique()),
            "sha256": hashlib.sha256(pd.util.hash_pandas_object(keys, index=False).to_numpy().tobytes()).hexdigest(),
            "reason": "forecasts made elsewhere",
        },
        arms={arm: _arm(scores, arm, arms) for arm in arms},
        predictions=predictions,
        members=pd.DataFrame(columns=["arm", "repeat", "fold", "row", "target", "member", "predicted"]),
        checks_found=checks,
        tests=found.tests,
        verdict=verdict,
        findings=tuple(found.findings),
        settings={"judge": {"target": target, "models": arms, "metric": metric, "margin": margin}},
        seconds=seconds,
        versions=versions(),
        data=dataset,
    )


def _arm(scores: pd.DataFrame, arm: str, arms: list[str]) -> ArmResult:
    mine = scores[scores["arm"] == arm]
    kind = {0: "regression", 1: "neural"}.get(arms.index(arm), "reference")
    return ArmResult(
        name=arm,
        kind=kind,
        scores={
            row["metric"]: {key: row[key] for key in ("mean", "se", "lower", "upper", "per_fold")}
            for row in mine.to_dict("records")
        },
        fit_seconds=0.0,
        predict_seconds=0.0,
    )
