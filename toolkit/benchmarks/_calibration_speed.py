"""A million predictions through every test, as processor seconds."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.confidence_set import confidence_set
from toolkit.comparison.verdict import compare_arms

__all__ = ["SPEED_CASES", "seconds_of_all_tests"]

ROWS, FOLDS, MEMBERS = 1_000_000, 5, 3
SERIES, ORIGINS, STEPS = 100, 417, 24  # 1,000,800 forecasts
ARMS = ("regression", "neural", "boosting")
SPEED_CASES = ("folds", "forecasts")


def seconds_of_all_tests(kind: str) -> dict[str, Any]:
    """Processor seconds for the verdict between two arms and the set of best arms of three, and what was tested."""
    rng = np.random.default_rng(0)
    table = _folds(rng) if kind == "folds" else _forecasts(rng)
    net = table[table["arm"] == "neural"]
    members = [
        net.assign(member=k, predicted=net["predicted"] + 0.05 * rng.normal(size=len(net))) for k in range(MEMBERS)
    ]
    scheme = "kfold" if kind == "folds" else "rolling_origin"
    known = {
        "members": pd.concat(members, ignore_index=True),
        "features": pd.DataFrame(rng.normal(size=(ROWS, 10))).add_prefix("x") if kind == "folds" else None,
    }
    start = time.process_time()
    tests, _ = compare_arms(table, "rmse", ARMS[:2], scheme=scheme, nested=kind != "folds", **known)
    best = confidence_set(table, "rmse", ARMS, scheme)
    return {
        "value": time.process_time() - start,
        "note": f"{len(net):,} predictions of each of {len(ARMS)} arms and {MEMBERS} members; "
        f"{len(tests) + len(best)} tests",
    }


def _folds(rng: np.random.Generator) -> pd.DataFrame:
    y, error, fold = rng.normal(size=ROWS), rng.normal(size=ROWS), rng.permutation(ROWS) % FOLDS
    return _arms(rng, y, error, {"fold": fold, "row": np.arange(ROWS), "n_train": ROWS - ROWS // FOLDS})


def _forecasts(rng: np.random.Generator) -> pd.DataFrame:
    count = SERIES * ORIGINS * STEPS
    origin, step = np.divmod(np.arange(count) % (ORIGINS * STEPS), STEPS)
    start = pd.Timestamp("2020-01-01")
    keys = {
        "fold": 0,
        "row": np.arange(count),
        "series": np.repeat([f"s{k}" for k in range(SERIES)], ORIGINS * STEPS),
        "origin": start + pd.to_timedelta(origin * STEPS - 1, unit="h"),
        "time": start + pd.to_timedelta(origin * STEPS + step, unit="h"),
        "horizon": step + 1,
    }
    return _arms(rng, rng.normal(size=count), rng.normal(size=count), keys)


def _arms(rng: np.random.Generator, y: np.ndarray, error: np.ndarray, keys: dict[str, Any]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {"arm": arm, "repeat": 0, "target": "y", "observed": y, **keys}
            | {"predicted": y - (1 - 0.02 * k) * error - 0.1 * rng.normal(size=len(y))}
        )
        for k, arm in enumerate(ARMS)
    ]
    return pd.concat(parts, ignore_index=True)
