"""Least squares: NIST's certified values, sandwich covariances against their definitions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import InputError
from toolkit.models.least_squares import least_squares, sandwich

NIST = json.loads((Path(__file__).parents[1] / "reference" / "nist.json").read_text())


def design(case: dict) -> tuple[np.ndarray, np.ndarray]:
    """Response and model matrix as the certified model writes them; the file has the response first."""
    rows = np.array(case["rows"])
    y, x = rows[:, 0], rows[:, 1:]
    count = len(case["estimates"])
    if x.shape[1] > 1:
        return np.column_stack([np.ones(len(y)), x]), y
    powers = range(1, 2) if "0 + x" in case["formula"] else range(count)
    return np.column_stack([x[:, 0] ** k for k in powers]), y


def digits(value: np.ndarray, certified: np.ndarray) -> float:
    """Smallest number of correct digits; absolute where the certified value is zero."""
    certified = np.asarray(certified)
    error = np.abs(value - certified) / np.where(certified == 0, 1.0, np.abs(certified))
    return float(-np.log10(max(error.max(), 1e-16)))


@pytest.mark.parametrize("name", sorted(NIST))
def test_nist_certified_values(name: str) -> None:
    case = NIST[name]
    X, y = design(case)
    fit = least_squares(X, y)
    errors = np.sqrt(np.diagonal(sandwich(fit, X, "classical")))
    assert fit.rank == X.shape[1]
    assert digits(fit.beta, case["estimates"]) >= 7.5
    # an exact fit has standard errors of zero: there the digits are absolute, in units of the coefficients
    assert digits(errors, case["standard_errors"]) >= 7


def test_hc3_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(40), rng.normal(size=(40, 2))])
    y = X @ [1, 2, 3] + rng.normal(size=40) * np.exp(X[:, 1])
    fit = least_squares(X, y)
    inverse = np.linalg.inv(X.T @ X)
    hat = np.diagonal(X @ inverse @ X.T)
    residual = y - X @ inverse @ X.T @ y
    expected = inverse @ (X.T * (residual / (1 - hat)) ** 2) @ X @ inverse
    np.testing.assert_allclose(sandwich(fit, X, "HC3"), expected, rtol=1e-8)
    # one row per cluster is HC0 up to the small-sample factor
    factor = 40 / 39 * 39 / 37
    np.testing.assert_allclose(sandwich(fit, X, "cluster", np.arange(40)), factor * sandwich(fit, X, "HC0"), rtol=1e-8)
    np.testing.assert_allclose(sandwich(fit, X, "HAC", lags=0), 40 / 37 * sandwich(fit, X, "HC0"), rtol=1e-8)


def test_a_repeated_column_is_left_out() -> None:
    x = np.arange(10.0)
    fit = least_squares(np.column_stack([np.ones(10), x, 2 * x]), 3 * x + 1)
    assert fit.rank == 2
    np.testing.assert_allclose(fit.residual, 0, atol=1e-12)


def test_infinite_values_are_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        least_squares(np.array([[1.0], [np.inf]]), np.array([1.0, 2.0]))
