"""Heavy tails: the fit listens less to wild rows, still predicts the mean, and says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.models.regression import SpecifiedRegression
from toolkit.specification.tails import curvature


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
    weights = 5 / (4 + np.random.default_rng(0).standard_t(4, size=400_000) ** 2)
    assert weights.mean() / curvature(weights).mean() == pytest.approx(7 / 5, rel=0.01)


def test_standard_errors_know_that_the_weights_are_estimates() -> None:
    """Against the delete-one jackknife of both steps, where the spread of the errors grows with one column."""
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"])
    y = X.a + rng.normal(size=400) * (0.3 + X.a.abs())
    model = SpecifiedRegression(family="gaussian").fit(X, y)
    assert model.parts_[0].tails is not None and set(model.specification_.terms.term) == {"a", "b"}

    design = np.column_stack([np.ones(400), X])
    ones = np.ones(400)

    def least_squares(rows: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.linalg.solve((design[rows] * w[:, None]).T @ design[rows], (design[rows] * w[:, None]).T @ y[rows])

    def two_steps(rows: np.ndarray) -> np.ndarray:
        squares = (y[rows] - design[rows] @ least_squares(rows, ones[rows])) ** 2
        scale = squares.mean()
        for _ in range(60):
            scale = np.mean(5 * squares / (4 + squares / scale))
        return least_squares(rows, (5 / (4 + squares / scale)).to_numpy())

    every = np.arange(400)
    without = np.array([two_steps(np.delete(every, i)) for i in every])
    jackknife = np.sqrt(np.sum((without - without.mean(axis=0)) ** 2, axis=0))[1:]
    reported = model.coefficients_.set_index("term").loc[["a", "b"], "se"].to_numpy()
    assert model.coefficients_.set_index("term").loc["a", "estimate"] == pytest.approx(two_steps(every)[1], abs=1e-3)
    np.testing.assert_allclose(reported, jackknife, rtol=0.03)


def test_rows_of_weight_zero_leave_the_standard_errors_alone() -> None:
    X, _, y = draw(1)
    weight = np.where(np.arange(len(X)) < 20, 0.0, 1.0)
    model = SpecifiedRegression(family="gaussian").fit(X, y, sample_weight=weight)
    assert model.parts_[0].tails is not None and np.isfinite(model.coefficients_["se"]).all()
