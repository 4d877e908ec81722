"""Published UCI splits: the regression and other arms on the train/test splits of the MC-dropout experiments."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.benchmarks._kept import Kept
from toolkit.comparison.verdict import compare_arms
from toolkit.errors import InputError, unknown
from toolkit.evaluation.engine import available_cores

__all__ = ["ARMS", "CASES", "predictions", "run", "verdict_row"]

CASES = ("concrete", "energy", "wine_red", "kin8nm", "protein")
BARS = {  # arm -> case -> largest mean test RMSE that counts as reached
    "regression": {"concrete": 5.3, "energy": 0.52, "wine_red": 0.640, "kin8nm": 0.170, "protein": 4.7},
}
NET_WINS = ("kin8nm", "concrete", "protein")  # cases in which a good net beats a good regression
ARMS = ("linear", "regression", "boosting", "neural")
SOURCE = "yaringal/DropoutUncertaintyExps, one hidden layer, 100x epochs"


def build(arm: str) -> Any:
    """The estimator of one arm with its defaults."""
    if arm == "regression":
        from toolkit.models.regression import SpecifiedRegression

        return SpecifiedRegression(target_kind="real", metric="rmse")
    if arm == "neural":
        from toolkit.models.neural.regression import NeuralRegression

        return NeuralRegression(preset="standard")
    from toolkit.models.table import Boosting, Linear

    return {"linear": Linear, "boosting": Boosting}[arm](target_kind="real")


def folder(data: Path | None) -> Path:
    """Where `NAME.csv.gz` and `NAME.splits.csv.gz` are."""
    named = os.environ.get("TOOLKIT_DATA")
    candidates = [data] if data else []
    candidates += [Path(named).parent / "benchmarks" / "uci_splits"] if named else []
    candidates.append(Path(__file__).resolve().parents[3] / "shared" / "benchmarks" / "uci_splits")
    for one in candidates:
        if one.is_dir():
            return one
    raise InputError("the UCI splits are not here: give their folder with --data, or set TOOLKIT_DATA")


def load(case: str, place: Path) -> tuple[pd.DataFrame, pd.Series, list[np.ndarray]]:
    """Features, target and the test rows of every split."""
    frame = pd.read_csv(place / f"{case}.csv.gz")
    table = pd.read_csv(place / f"{case}.splits.csv.gz")
    tests = [part["test_row"].to_numpy() for _, part in table.groupby("split")]
    return frame.drop(columns="y"), frame["y"], tests


def predictions(case: str, arm: str, data: Path | None = None, jobs: int = 1, kept: Kept | None = None) -> pd.DataFrame:
    """Test predictions of every split.

    Returns
    -------
    DataFrame
        arm, fold, row, observed, predicted, seconds (processor time of the fit); of an ensemble also member_0, ...
    """
    X, y, tests = load(case, folder(data))
    calls = [(X, y, test, arm, fold) for fold, test in enumerate(tests)]
    parts = (kept or Kept("uci")).parts(one_split, calls, jobs)
    return pd.concat(parts, ignore_index=True)


def one_split(X: pd.DataFrame, y: pd.Series, test: np.ndarray, arm: str, fold: int) -> pd.DataFrame:
    train = np.setdiff1d(np.arange(len(y)), test)
    begin = time.process_time()
    model = build(arm).fit(X.iloc[train], y.iloc[train])
    seconds = time.process_time() - begin
    predicted = np.asarray(model.predict(X.iloc[test]), dtype=float).ravel()
    members = model.predict_members(X.iloc[test]) if hasattr(model, "predict_members") else []  # [K, n]
    return pd.DataFrame(
        {
            "arm": arm, "fold": fold, "row": test, "observed": y.iloc[test].to_numpy(), "predicted": predicted,
            "seconds": seconds, **{f"member_{k}": one for k, one in enumerate(members)},
        }
    )  # fmt: skip


def split_scores(table: pd.DataFrame) -> np.ndarray:
    """RMSE of every split."""
    squared = (table["observed"] - table["predicted"]) ** 2
    return np.sqrt(squared.groupby(table["fold"]).mean().to_numpy())


def verdict_row(case: str, rows: int, first: pd.DataFrame, second: pd.DataFrame) -> dict[str, Any]:
    """The verdict between two arms over the published splits, by the test that decides in every comparison.

    Parameters
    ----------
    case : str
    rows : int
        Of the data set; what is not in the test part of a split trains.
    first, second : DataFrame
        As `predictions` gives them; columns member_0, member_1, ... bring the luck of the seeds into the interval.

    Notes
    -----
    The splits are random 90/10 draws of the same rows, so they are no independent samples: a row judges in two splits
    on average and trains in the others. Rows are averaged over the splits in which they judge, and the variance has
    the factor of Nadeau and Bengio (2003), who treat just this design; the corrected resampled t stands in the note.
    """
    tables = [one.assign(repeat=0, target="y", horizon=0) for one in (first, second)]
    pair = (str(first["arm"].iloc[0]), str(second["arm"].iloc[0]))
    counts = first.groupby("fold").size()
    tests, verdict = compare_arms(
        pd.concat(tables, ignore_index=True),
        "rmse",
        pair,
        members=_members(tables),
        n_train={fold: rows - int(count) for fold, count in counts.items()},
    )
    resampled = next(test for test in tests if test.name == "corrected_t")
    row: dict[str, Any] = {
        "case": case,
        "arm": f"{pair[0]} against {pair[1]}",
        "metric": "gain in rmse",
        "value": verdict.estimate,
        "se": verdict.details["se"],
        "verdict": verdict.decision,
        "note": f"{verdict.decision}: 95 % interval {verdict.lower:.4g} to {verdict.upper:.4g} "
        f"({verdict.details['test']}, {verdict.details['n']} rows, {len(counts)} splits); corrected resampled t "
        f"p = {resampled.p_value:.2g}",
    }
    if pair == ("regression", "neural"):
        row["bar"] = "neural" if case in NET_WINS else "not regression"
        row["holds"] = verdict.decision == "neural" if case in NET_WINS else verdict.decision != "regression"
    return row


def _members(tables: list[pd.DataFrame]) -> pd.DataFrame | None:
    """Members in the long form of a comparison; None where no arm has any."""
    parts = [
        table.drop(columns="predicted").rename(columns={column: "predicted"}).assign(member=k)
        for table in tables
        for k, column in enumerate(c for c in table if c.startswith("member_"))
    ]
    return pd.concat(parts, ignore_index=True) if parts else None


def run(
    cases: list[str] | None = None,
    arms: list[str] | None = None,
    data: Path | None = None,
    progress: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """One row per case and arm: mean test RMSE over the splits and its standard error; and the verdict of each case.

    Without `arms` the linear fit, the specified regression and boosting are run; `neural` on request. Where both the
    regression and the net are run, a row gives the verdict between them. Every split is kept until all are done.
    """
    place, kept = folder(data), Kept("uci")
    published = place / "published.json"
    reference = json.loads(published.read_text()) if published.is_file() else {}
    rows = []
    for case in cases or CASES:
        if not (place / f"{case}.csv.gz").is_file():
            raise unknown("case", case, [p.name.split(".")[0] for p in place.glob("*.splits.csv.gz")])
        tables: dict[str, pd.DataFrame] = {}
        for arm in arms or ("linear", "regression", "boosting"):
            if arm not in ARMS:
                raise unknown("arm", arm, ARMS)
            tables[arm] = predictions(case, arm, data, available_cores(), kept)
            rows.append(_score_row(case, arm, tables[arm], reference))
            progress(f"{case}, {arm}: RMSE {rows[-1]['value']:.4f} (standard error {rows[-1]['se']:.4f})")
        if {"regression", "neural"} <= set(tables):
            rows.append(verdict_row(case, len(load(case, place)[1]), tables["regression"], tables["neural"]))
            progress(f"{case}: {rows[-1]['note']}")
    kept.forget()
    return rows


def _score_row(case: str, arm: str, table: pd.DataFrame, reference: dict[str, Any]) -> dict[str, Any]:
    scores = split_scores(table)
    row: dict[str, Any] = {
        "case": case, "arm": arm, "metric": "rmse", "value": float(scores.mean()),
        "se": float(scores.std(ddof=1) / np.sqrt(len(scores))),
        "seconds": float(table.groupby("fold")["seconds"].first().sum()),
    }  # fmt: skip
    if case in reference:
        row["reference"] = {"source": SOURCE, "value": reference[case]["mean"]}
    if case in BARS.get(arm, {}):
        row["bar"] = BARS[arm][case]
        row["holds"] = bool(row["value"] <= row["bar"])
    return row
