"""Influence in a penalised regression is that of the fit as it is, not of its columns without the penalty."""

import numpy as np
import pandas as pd
import pytest

from toolkit import SpecifiedRegression
from toolkit.diagnostics.influence import influence


def ridge_fit(X, y, ridge):
    return np.linalg.solve(X.T @ X + np.diag(ridge), X.T @ y)


def test_leaving_a_row_out_gives_what_the_formulas_say():
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(40), rng.normal(size=(40, 12))])
    y = X[:, 1] + rng.normal(size=40)
    ridge = np.r_[0, 0, np.full(11, 5.0)]
    found = influence(X, y, ridge=ridge)
    hat = X @ np.linalg.solve(X.T @ X + np.diag(ridge), X.T)
    assert found.leverage == pytest.approx(np.diag(hat), abs=1e-10)
    assert found.rank == pytest.approx(np.trace(hat), abs=1e-9)
    for row in (0, 17):
        rest = np.arange(40) != row
        beta = ridge_fit(X[rest], y[rest], ridge)
        missed, moved = y[row] - X[row] @ beta, X[row] @ (ridge_fit(X, y, ridge) - beta)
        squares = ((y[rest] - X[rest] @ beta) ** 2).sum() + ridge @ beta**2
        sigma = np.sqrt(squares / (39 + 11 - 13))  # rows and penalties less coefficients
        h = hat[row, row]
        assert found.studentised[row] == pytest.approx(missed * np.sqrt(1 - h) / sigma, rel=1e-9)
        assert found.dffits[row] == pytest.approx(moved / (sigma * np.sqrt(h)), rel=1e-9)


def test_without_a_penalty_nothing_changes():
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(30), rng.normal(size=(30, 3))])
    y = rng.normal(size=30)
    plain, none = influence(X, y), influence(X, y, ridge=np.zeros(4))
    assert none.dffits == pytest.approx(plain.dffits, rel=1e-12)
    assert plain.rank == pytest.approx(4)


def test_the_design_of_a_specified_regression_and_its_penalty_are_its_fit():
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.uniform(-2, 2, size=(600, 3)), columns=["a", "b", "c"])
    y = np.sin(2 * X["a"]) + X["b"] * X["c"] + rng.normal(0, 0.3, 600)
    model = SpecifiedRegression(target_kind="real", family="gaussian").fit(X, y)
    design = model.design_matrix(X)
    ridge = np.array([design.attrs["ridge"][name] for name in design])
    assert (ridge > 0).any()
    columns = design.to_numpy(dtype=float)
    assert columns @ ridge_fit(columns, y.to_numpy(), ridge) == pytest.approx(model.predict(X), abs=1e-6)
    found = influence(columns, y.to_numpy(), ridge=ridge)
    assert found.rank < columns.shape[1]
    assert found.leverage.max() < 0.5
