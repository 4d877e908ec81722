"""Joint fits: Pillai's trace against statsmodels, correlation of residuals, misuse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.multivariate.manova import MANOVA

from toolkit.errors import InputError
from toolkit.models.multivariate import fit_jointly


def made(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"]).assign(level=np.tile(list("xyz"), 67)[:200])
    noise = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], size=200)
    return X, pd.DataFrame({"p": X.a + noise[:, 0], "q": 0.3 * (X.level == "x") + noise[:, 1]})


def test_pillai_is_that_of_statsmodels() -> None:
    X, Y = made()
    levels = pd.get_dummies(X["level"], drop_first=True).to_numpy(float)
    ours = fit_jointly({"a": X[["a"]], "b": X[["b"]], "level": levels}, Y).tests.set_index("term")
    theirs = MANOVA.from_formula("p + q ~ a + b + C(level)", X.join(Y)).mv_test().results
    for ours_name, name in (("a", "a"), ("b", "b"), ("level", "C(level)")):
        row = theirs[name]["stat"].loc["Pillai's trace"]
        np.testing.assert_allclose(
            ours.loc[ours_name, ["pillai", "statistic", "p_value"]].to_numpy(float),
            row[["Value", "F Value", "Pr > F"]].to_numpy(float),
            rtol=1e-6,
            atol=1e-12,
        )


def test_residual_correlation_is_found() -> None:
    X, Y = made()
    fit = fit_jointly({"a": X[["a"]]}, Y)
    assert abs(fit.residual_correlation.loc["p", "q"] - 0.7) < 0.1
    assert abs(fit.distance.mean() - 2) < 0.1


def test_one_target_is_refused() -> None:
    X, Y = made()
    with pytest.raises(InputError, match="two targets"):
        fit_jointly({"a": X[["a"]]}, Y[["p"]])
