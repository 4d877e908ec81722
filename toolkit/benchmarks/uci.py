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
from joblib import Parallel, delayed

from toolkit.errors import InputError, unknown

__all__ = ["ARMS", "CASES", "predictions", "run"]

CASES = ("concrete", "energy", "wine_red", "kin8nm", "protein")
BARS = {  # arm -> case -> largest mean test RMSE that counts as reached
    "regression": {"concrete": 5.3, "energy": 0.52, "wine_red": 0.640, "kin8nm": 0.170, "protein": 4.7},
}
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


def predictions(case: str, arm: str, data: Path | None = None, jobs: int = 1) -> pd.DataFrame:
    """Test predictions of every split: arm, fold, row, observed, predicted, seconds (processor time of the fit)."""
    X, y, tests = load(case, folder(data))
    parts = Parallel(n_jobs=jobs)(delayed(one_split)(X, y, test, arm, fold) for fold, test in enumerate(tests))
    return pd.concat(parts, ignore_index=True)


def one_split(X: pd.DataFrame, y: pd.Series, test: np.ndarray, arm: str, fold: int) -> pd.DataFrame:
    train = np.setdiff1d(np.arange(len(y)), test)
    begin = time.process_time()
    model = build(arm).fit(X.iloc[train], y.iloc[train])
    seconds = time.process_time() - begin
    predicted = np.asarray(model.predict(X.iloc[test]), dtype=float).ravel()
    return pd.DataFrame(
        {
            "arm": arm, "fold": fold, "row": test, "observed": y.iloc[test].to_numpy(), "predicted": predicted,
            "seconds": seconds,
        }
    )  # fmt: skip


def split_scores(table: pd.DataFrame) -> np.ndarray:
    """RMSE of every split."""
    squared = (table["observed"] - table["predicted"]) ** 2
    return np.sqrt(squared.groupby(table["fold"]).mean().to_numpy())


def run(
    cases: list[str] | None = None,
    arms: list[str] | None = None,
    data: Path | None = None,
    progress: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """One row per case and arm: mean test RMSE over the splits and its standard error.

    Without `arms` the linear fit, the specified regression and boosting are run; `neural` on request.
    """
    place = folder(data)
    published = place / "published.json"
    reference = json.loads(published.read_text()) if published.is_file() else {}
    rows = []
    for case in cases or CASES:
        if not (place / f"{case}.csv.gz").is_file():
            raise unknown("case", case, [p.name.split(".")[0] for p in place.glob("*.splits.csv.gz")])
        for arm in arms or ("linear", "regression", "boosting"):
            if arm not in ARMS:
                raise unknown("arm", arm, ARMS)
            table = predictions(case, arm, data, jobs=-1 if len(load(case, place)[2]) > 1 else 1)
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
            rows.append(row)
            progress(f"{case}, {arm}: RMSE {row['value']:.4f} (standard error {row['se']:.4f})")
    return rows
