"""Heavy tails: the fit listens less to wild rows, still predicts the mean, and says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.models.regression import SpecifiedRegression
from toolkit.specification.tails import curvature_ratio


def draw(seed: int, n: int = 400) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"))
    centre = X.a.to_numpy() + 0.5 * X.b.to_numpy()
    wild = rng.uniform(size=n) < 0.08
    return X, centre + 0.8, centre + 0.2 * rng.normal(size=n) + wild * (10 + 5 * rng.normal(size=n))


def test_closer_to_the_mean_than_least_squares() -> None:
    errors = []
    for seed in range(6):
        X, mean, y = draw(seed)
        model = SpecifiedRegression().fit(X, y)
        assert "heavy tails" in {found["finding"] for found in model.fit_info_["findings"]}
        design = np.column_stack([np.ones(len(X)), X])
        ols = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        errors.append([np.mean((p - mean) ** 2) for p in (model.predict(X), ols)])
        assert model.predict(X).mean() == pytest.approx(y.mean(), abs=0.05)
    ours, least_squares = np.mean(errors, axis=0)
    assert ours < 0.8 * least_squares


def test_normal_errors_are_left_alone() -> None:
    X, mean, _ = draw(0)
    model = SpecifiedRegression().fit(X, mean + np.random.default_rng(5).normal(size=len(X)))
    assert model.parts_[0].tails is None and model.parts_[0].shift == 0


def test_the_curvature_of_student_errors_by_quadrature() -> None:
    # E w / E psi' of t with 4 df: (nu + 1)/(nu + 3) is the information, E w = 1 the working weight
    rng = np.random.default_rng(0)
    squares = rng.standard_t(4, size=400_000) ** 2
    assert curvature_ratio(5 / (4 + squares)) == pytest.approx(7 / 5, rel=0.01)
    assert curvature_ratio(None) == 1.0
