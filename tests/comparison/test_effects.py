"""Effects under flexible control: known answers, coverage, bad input."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from toolkit.comparison.effects import effect_under_control, partially_linear
from toolkit.data.dataset import Dataset
from toolkit.errors import InputError


def simulated(n: int, seed: int, theta: float = 0.5) -> Dataset:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    d = np.sin(2 * x[:, 0]) + rng.normal(size=n)
    y = theta * d + 2 * np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] + rng.normal(size=n)
    return Dataset.from_frame(pd.DataFrame({"y": y, "d": d, "a": x[:, 0], "b": x[:, 1]}), "y")


def test_residuals_of_least_squares_give_the_coefficient_of_frisch_waugh_lovell():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(300), rng.normal(size=(300, 2))])
    d = X @ [1, 0.5, -0.3] + rng.normal(size=300)
    y = 0.7 * d + X @ [2, 1, 1] + rng.normal(size=300)
    full = np.linalg.lstsq(np.column_stack([d, X]), y, rcond=None)[0]
    residual = [v - X @ np.linalg.lstsq(X, v, rcond=None)[0] for v in (y, d)]
    assert partially_linear(*residual)["estimate"] == pytest.approx(full[0], rel=1e-10)


def test_intervals_cover_the_effect_where_least_squares_is_biased():
    learner = HistGradientBoostingRegressor(max_iter=40, max_leaf_nodes=6, early_stopping=False)
    found = effect_under_control(simulated(2000, 1), "d", learner)
    assert found["regression"]["lower"] > 0.6  # confounding by the sine
    assert found["flexible"]["lower"] < 0.5 < found["flexible"]["upper"]
    assert found["survives"]


def test_coverage_with_a_nuisance_that_is_known():
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(1000):
        v = rng.normal(size=200)
        u = 0.5 * v + rng.normal(size=200) * (1 + 0.5 * np.abs(v))
        found = partially_linear(u, v)
        hits += found["lower"] < 0.5 < found["upper"]
    assert 0.93 <= hits / 1000 <= 0.97


def test_an_effect_that_is_confounding_alone_does_not_survive():
    learner = HistGradientBoostingRegressor(max_iter=40, max_leaf_nodes=6, early_stopping=False)
    found = effect_under_control(simulated(2000, 3, theta=0.0), "d", learner, repeats=2)
    assert found["regression"]["p_value"] < 1e-6
    assert not found["survives"]


@pytest.mark.parametrize(("column", "words"), [("e", "no.*'e'|e"), ("k", "constant"), ("t", "3 levels")])
def test_bad_columns_are_named(column, words):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"y": rng.normal(size=150), "k": 1.0, "t": rng.choice(list("abc"), 150), "z": rng.normal(size=150)}
    )
    with pytest.raises(InputError, match=words):
        effect_under_control(Dataset.from_frame(frame, "y"), column, LinearRegression())


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="at least 100"):
        effect_under_control(simulated(60, 0), "d", LinearRegression())
