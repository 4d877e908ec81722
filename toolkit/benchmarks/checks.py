"""False alarms and power of the checks: how often each one speaks up about a right model, and about a planted fault.

A right model is fitted by maximum likelihood on its own columns, in five folds, and predicts the rows it was not fitted
on; the data have an order, groups, a category, a place and intervals, so that nearly every check can be asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from toolkit.data.dataset import Dataset
from toolkit.diagnostics.battery import run_checks
from toolkit.diagnostics.least_squares import fit_glm
from toolkit.errors import unknown
from toolkit.evaluation.scores import score

__all__ = ["CASES", "FAULTS", "run", "simulate"]

DRAWS = {200: 1_000, 2_000: 1_000, 20_000: 500}  # of a right model, by rows
FAULT_DRAWS = 500
FOLDS = 5
POOR_AT_MOST, NOTICE_AT_MOST, CALLED_AT_LEAST = 0.01, 0.07, 0.90
SIZES = (200, 2_000, 20_000)
METRIC = {"gaussian": "rmse", "poisson": "poisson_deviance", "binomial": "log_loss"}
KIND = {"gaussian": "real", "poisson": "count", "binomial": "binary"}
# fault -> (family, checks that are made for it); the fault is called when one of them does not say "good"
FAULTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "heteroskedasticity": ("gaussian", ("breusch_pagan", "white", "log_variance")),
    "missing bend": ("gaussian", ("residuals_by_feature", "learnability", "reset")),
    "missing interaction": ("gaussian", ("learnability", "reset")),
    "AR(1) 0.5": ("gaussian", ("durbin_watson", "breusch_godfrey", "ljung_box")),
    "overdispersion 2": ("poisson", ("dispersion", "quantile_dispersion")),
    "leverage 0.5": ("gaussian", ("leverage",)),
}
CASES: dict[str, tuple[str, int, str | None]] = {
    **{f"{family} n={n}": (family, n, None) for family in METRIC for n in SIZES},
    **{f"{fault} n=2000": (family, 2_000, fault) for fault, (family, _) in FAULTS.items()},
}


def simulate(family: str, n: int, seed: int, fault: str | None = None) -> tuple[pd.DataFrame, Dataset, pd.DataFrame]:
    """Predictions table, dataset and training scores of one draw.

    Parameters
    ----------
    family : {"gaussian", "poisson", "binomial"}
    n : int
    seed : int
    fault : str, optional
        One of `FAULTS`: sd exp(x1 / 2); 0.4 (x1^2 - 1); 0.4 x1 x2; errors AR(1) with 0.5; negative binomial counts
        with twice the Poisson variance; one row moved out along x1 until its hat value is 0.5.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    level = rng.integers(3, size=n)
    if fault == "leverage 0.5":
        x[0, 0] = np.sqrt(np.sum((x[1:, 0] - x[1:, 0].mean()) ** 2))
    columns = np.column_stack([np.ones(n), x, level == 1, level == 2])
    eta = columns @ np.array([0.5, 0.5, -0.4, 0.0, 0.0, 0.3, -0.3])
    y = _draw(family, eta, x, rng, fault)
    fold = rng.permutation(n) % FOLDS
    predicted, half, train = np.empty(n), np.full(n, np.nan), []
    for one in range(FOLDS):
        mine = fold != one
        coefficients, mean = fit_glm(columns[mine], y[mine], family)
        linear = columns[~mine] @ coefficients
        predicted[~mine] = {"gaussian": linear, "poisson": np.exp(linear), "binomial": 1 / (1 + np.exp(-linear))}[
            family
        ]
        if family == "gaussian":
            half[~mine] = _half_width(columns[mine], y[mine] - mean, columns[~mine])
        train.append(("linear", 0, one, METRIC[family], score(METRIC[family], y[mine], mean)))
    frame = pd.DataFrame(x, columns=["x1", "x2", "longitude", "latitude"])
    frame["level"] = np.array(["a", "b", "c"])[level]
    frame["when"] = pd.date_range("2024-01-01", periods=n, freq="h")
    frame["group"] = rng.integers(max(10, n // 50), size=n)
    frame["y"] = y
    kinds = {"x1": "number", "x2": "number", "longitude": "number", "latitude": "number", "level": "category"}
    dataset = Dataset(frame, ("y",), tuple(kinds), kinds, KIND[family], time="when", groups="group")
    table = pd.DataFrame(
        {
            "arm": "linear", "repeat": 0, "fold": fold, "row": np.arange(n), "series": None, "time": frame["when"],
            "origin": pd.NaT, "horizon": 0, "target": "y", "observed": y, "predicted": predicted,
            "lower": predicted - half, "upper": predicted + half, "group": frame["group"],
        }
    )  # fmt: skip
    return table, dataset, pd.DataFrame(train, columns=["arm", "repeat", "fold", "metric", "value"])


def _draw(family: str, eta: np.ndarray, x: np.ndarray, rng: np.random.Generator, fault: str | None) -> np.ndarray:
    n = len(eta)
    if family == "poisson":
        mean = np.exp(eta)
        # size mu gives the variance mu + mu^2 / mu = 2 mu
        return (rng.negative_binomial(mean, 0.5) if fault == "overdispersion 2" else rng.poisson(mean)).astype(float)
    if family == "binomial":
        return (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    error = rng.normal(size=n)
    if fault == "heteroskedasticity":
        error *= np.exp(x[:, 0] / 2)
    elif fault == "missing bend":
        error += 0.4 * (x[:, 0] ** 2 - 1)
    elif fault == "missing interaction":
        error += 0.4 * x[:, 0] * x[:, 1]
    elif fault == "AR(1) 0.5":
        for i in range(1, n):
            error[i] += 0.5 * error[i - 1]
    return eta + error


def _half_width(columns: np.ndarray, residual: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Half of the exact 90 % prediction interval of a linear model."""
    n, p = columns.shape
    inverse = np.linalg.inv(columns.T @ columns)
    variance = float(residual @ residual) / (n - p)
    return stats.t.ppf(0.95, n - p) * np.sqrt(variance * (1 + np.einsum("ij,jk,ik->i", new, inverse, new)))


def run(
    cases: list[str] | None = None,
    arms: list[str] | None = None,
    data: Path | None = None,
    progress: Callable[[str], None] = print,
    draws: int | None = None,
) -> list[dict[str, Any]]:
    """Rows of the table.

    Parameters
    ----------
    cases : list of str, optional
        Of `CASES`; all of them when left out.
    arms : list of str, optional
        Names of checks; all of them when left out.
    data : Path, optional
        Not used: the data are simulated.
    draws : int, optional
        Of every case; as the table has them when left out.

    Returns
    -------
    list of dict
        For a right model two rows per check that applies: the share of draws that are poor (bar 0.01) and notice (bar
        0.07). For a fault one row per check made for it, without a bar, and one for all of them together (bar 0.90).
    """
    rows: list[dict[str, Any]] = []
    for case in cases or list(CASES):
        if case not in CASES:
            raise unknown("case", case, CASES)
        family, n, fault = CASES[case]
        count = draws or (DRAWS[n] if fault is None else FAULT_DRAWS)
        begin = time.process_time()
        verdicts = pd.DataFrame([_verdicts(family, n, seed, fault) for seed in range(count)])
        seconds = time.process_time() - begin
        found = _false_alarms(case, verdicts, arms) if fault is None else _power(case, verdicts, FAULTS[fault][1])
        rows += [row | {"seconds": seconds} for row in found]
        progress(
            f"{case}: {count} draws, {seconds:.0f} s, {sum(not row.get('holds', True) for row in found)} bars missed"
        )
    return rows


def _verdicts(family: str, n: int, seed: int, fault: str | None) -> dict[str, str]:
    table, dataset, train_scores = simulate(family, n, seed, fault)
    info = {"linear": {"kind": "regression", "facts": []}}
    design = {"linear": _design(dataset, family)}
    checks = run_checks(
        table, info, dataset=dataset, metric=METRIC[family], design=design, train_scores=train_scores, seed=seed,
        only=None if fault is None else FAULTS[fault][1],
    )  # fmt: skip
    return {check.check: check.verdict for check in checks}


def _design(dataset: Dataset, family: str) -> pd.DataFrame:
    """The columns that the model was fitted on."""
    frame = dataset.frame[["x1", "x2", "longitude", "latitude"]].assign(
        level_b=(dataset.frame["level"] == "b").astype(float), level_c=(dataset.frame["level"] == "c").astype(float)
    )
    frame.attrs.update(family=family, terms={"level_b": "level", "level_c": "level"})
    return frame


def _row(case: str, check: str, metric: str, hits: np.ndarray) -> dict[str, Any]:
    value, n = float(hits.mean()), len(hits)
    error = float(np.sqrt(value * (1 - value) / n))
    return {"case": case, "arm": check, "metric": metric, "value": value, "se": error, "note": f"{n} draws"}


def _false_alarms(case: str, verdicts: pd.DataFrame, only: list[str] | None) -> list[dict[str, Any]]:
    rows = []
    for check in verdicts.columns:
        asked = verdicts[check][verdicts[check] != "not applicable"].to_numpy()
        if len(asked) == 0 or (only and check not in only):
            continue
        for verdict, bar in (("poor", POOR_AT_MOST), ("notice", NOTICE_AT_MOST)):
            row = _row(case, check, f"share {verdict}", asked == verdict)
            rows.append(row | {"bar": bar, "holds": row["value"] <= bar})
    return rows


def _power(case: str, verdicts: pd.DataFrame, made_for_it: tuple[str, ...]) -> list[dict[str, Any]]:
    called = verdicts[list(made_for_it)].isin(["notice", "poor"])
    rows = [_row(case, check, "share called", called[check].to_numpy()) for check in made_for_it]
    together = _row(case, "any of them", "share called", called.any(axis=1).to_numpy())
    return [*rows, together | {"bar": CALLED_AT_LEAST, "holds": together["value"] >= CALLED_AT_LEAST}]
