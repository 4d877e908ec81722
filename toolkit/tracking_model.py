"""A fitted arm as a file that MLflow loads: one raw frame in, one frame of predictions with intervals out."""

from __future__ import annotations

import pickle
import pickletools
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd

from toolkit.errors import InputError

__all__ = ["COVERAGE", "FittedArm", "requirements", "save_arm"]

COVERAGE = 0.9
DISTRIBUTION = "regression-neural-toolkit"
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "toolkit": DISTRIBUTION,
    "interpret": "interpret-core",
}  # import name -> name


class FittedArm:
    """Predicts with one refitted arm.

    Parameters
    ----------
    estimator : estimator with `predict`, and `predict_proba` or `predict_interval` where it has them
    features : tuple of str
        Columns that the estimator needs, in its order.
    targets : tuple of str
    target_kind : str
        A binary target gives the column `probability` instead of `mean`.
    """

    def __init__(self, estimator: Any, features: tuple[str, ...], targets: tuple[str, ...], target_kind: str) -> None:
        self.estimator = estimator
        self.features = tuple(features)
        self.targets = tuple(targets)
        self.target_kind = target_kind

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predictions for raw rows.

        Parameters
        ----------
        model_input : DataFrame, [n, at least the features]
            As in the source of the data: missing values and text levels as they come.
        params : dict, optional
            `coverage` of the intervals, between 0 and 1.

        Returns
        -------
        DataFrame, [n, 3] with the index of the input
            mean, lower, upper in units of the target (`mean_NAME` and so on with several targets); `probability` for
            a binary target. Limits are missing where the arm gives no intervals.
        """
        frame = pd.DataFrame(model_input)
        missing = [column for column in self.features if column not in frame]
        if missing:
            raise InputError(f"columns missing in the data: {', '.join(missing[:10])}")
        X, index = frame[list(self.features)].reset_index(drop=True), frame.index
        if self.target_kind == "binary":
            return pd.DataFrame({"probability": self._probability(X)}, index=index)
        mean = self._columns(self.estimator.predict(X))
        lower, upper = self._interval(X, float((params or {}).get("coverage", COVERAGE)), mean)
        if len(self.targets) == 1:
            return pd.DataFrame({"mean": mean[:, 0], "lower": lower[:, 0], "upper": upper[:, 0]}, index=index)
        parts = {
            f"{part}_{target}": values[:, k]
            for k, target in enumerate(self.targets)
            for part, values in (("mean", mean), ("lower", lower), ("upper", upper))
        }
        return pd.DataFrame(parts, index=index)

    def _probability(self, X: pd.DataFrame) -> np.ndarray:
        if hasattr(self.estimator, "predict_proba"):
            return np.asarray(self.estimator.predict_proba(X), dtype=float)[:, 1]
        return np.asarray(self.estimator.predict(X), dtype=float)

    def _interval(self, X: pd.DataFrame, coverage: float, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not 0 < coverage < 1:
            raise InputError(f"coverage: expected a number between 0 and 1, got {coverage}")
        if not hasattr(self.estimator, "predict_interval"):
            return np.full_like(mean, np.nan), np.full_like(mean, np.nan)
        lower, upper = self.estimator.predict_interval(X, coverage=coverage)
        return self._columns(lower), self._columns(upper)

    def _columns(self, values: Any) -> np.ndarray:
        return np.asarray(values, dtype=float).reshape(len(values), len(self.targets))


def save_arm(arm: FittedArm, path: Path) -> None:
    """Write the arm to one file."""
    path.write_bytes(cloudpickle.dumps(arm))


def _load_pyfunc(path: str) -> FittedArm:
    """What MLflow calls to load the model."""
    file = Path(path)
    with (next(file.iterdir()) if file.is_dir() else file).open("rb") as stored:
        return pickle.load(stored)


def requirements(path: Path) -> list[str]:
    """Pinned distributions that the stored arm refers to, this one first."""
    strings = (value for _, value, _ in pickletools.genops(path.read_bytes()) if isinstance(value, str))
    packages = {text.split(".")[0] for text in strings if text.split(".")[0] in sys.modules}
    names = {DISTRIBUTIONS.get(package, package.replace("_", "-")) for package in packages}
    found = []
    for name in dict.fromkeys([DISTRIBUTION, *sorted(names | {"pandas", "numpy", "cloudpickle"})]):
        with suppress(PackageNotFoundError):  # the standard library, and parts of other distributions
            found.append(f"{name}=={version(name).split('+')[0]}")
    return found
