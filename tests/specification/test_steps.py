"""Thresholds: found where they are, at the right value and in the right group, and not where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.models.regression import SpecifiedRegression


def patients(n: int = 900, jump: float = 8.0) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.uniform(18, 64, n), "bmi": rng.normal(30, 6, n).round(2)})
    X["smoker"] = np.where(rng.uniform(size=n) < 0.3, "yes", "no")
    jumps = jump * ((X.bmi >= 30) & (X.smoker == "yes"))
    return X, (5 + 0.1 * X.age + jumps + rng.normal(size=n)).rename("charges")


def test_a_jump_within_one_group_is_found_and_written_into_the_formula() -> None:
    X, y = patients()
    model = SpecifiedRegression(family="gaussian").fit(X, y)
    found = model.coefficients_.set_index("term")
    name = next(term for term in found.index if ">=" in term)
    assert name.startswith("bmi >= ") and name.endswith(" & smoker = yes")
    assert float(name.split()[2]) == pytest.approx(30, abs=0.1)
    assert found.loc[name, "estimate"] == pytest.approx(8, abs=1)
    effect = model.effect(name)
    assert effect["effect"].max() - effect["effect"].min() == pytest.approx(found.loc[name, "estimate"])

    import formulaic

    right = model.specification_.formula.partition("~")[2]
    matrix = formulaic.model_matrix(right, X)
    column = next(matrix[c] for c in matrix if ">=" in c)
    threshold = float(name.split()[2])
    assert (column == ((X.bmi >= threshold) & (X.smoker == "yes"))).all()


def test_no_step_where_the_truth_is_smooth() -> None:
    X, _ = patients()
    y = np.sin(X.age / 10) + 0.05 * X.bmi + np.random.default_rng(1).normal(size=len(X)) * 0.3
    model = SpecifiedRegression(family="gaussian").fit(X, y)
    assert not model.coefficients_["term"].str.contains(">=").any()


def test_a_threshold_on_a_column_with_gaps_and_a_log() -> None:
    rng = np.random.default_rng(2)
    X = pd.DataFrame({"income": np.exp(rng.normal(3, 1.2, 1200)), "x": rng.normal(size=1200)})
    y = 3.0 * (X.income >= 25) + X.x + rng.normal(size=1200) * 0.5
    X.loc[::20, "income"] = np.nan
    model = SpecifiedRegression(family="gaussian").fit(X, y)
    assert "income" in next(term for term in model.coefficients_["term"] if ">=" in term)
    assert "income.fillna(" in model.specification_.formula
    assert np.isfinite(model.predict(X.assign(income=np.nan))).all()
