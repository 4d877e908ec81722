"""Estimators of the user's own, as arms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline

import toolkit as tk
from toolkit.models.arms import ArmContext, build_arms

SPLITS = {"folds": 3, "repeats": 1}


def frame(n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x, level = rng.normal(size=n), rng.choice(["a", "b"], n)
    return pd.DataFrame({"x": x, "level": level, "y": 2 * x + (level == "a") + rng.normal(size=n) * 0.1, "w": x - 1.0})


class Duck:
    """Fits and predicts, and is no scikit-learn estimator."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Duck:
        self.mean = np.mean(y, axis=0)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.tile(self.mean, (len(X), 1)) if np.ndim(self.mean) else np.full(len(X), self.mean)


def compared(target: Any, arms: dict[str, Any], table: pd.DataFrame | None = None) -> tk.Analysis:
    first, second, *_ = arms
    done = tk.compare(
        frame() if table is None else table, target, features=["x", "level"], arms=arms, splits=SPLITS,
        compare=[first, second],
    )  # fmt: skip
    assert not any(arm.failures for arm in done.arms.values())
    return done


def test_anything_that_fits_and_predicts_is_an_arm() -> None:
    done = compared("y", {"duck": Duck(), "ridge": Ridge(), "near": make_pipeline(KNeighborsRegressor())}, numbers())
    scores = done.scores[done.scores["metric"] == "rmse"].set_index("arm")["mean"]
    assert scores["ridge"] < scores["near"] < scores["duck"]


def numbers() -> pd.DataFrame:
    """Without texts: a pipeline of the user's own gets the raw columns."""
    return frame().assign(level=lambda f: (f["level"] == "a").astype(float))


def test_an_estimator_for_one_target_is_fitted_to_each_of_several() -> None:
    """Two targets at once give what two comparisons of one target give."""
    single = GradientBoostingRegressor(n_estimators=10, random_state=0)
    together = compared(["y", "w"], {"boost": single, "forest": RandomForestRegressor(10), "duck": Duck()})
    for target in ("y", "w"):
        alone = compared(target, {"boost": single, "ridge": Ridge()}).predictions.query("arm == 'boost'")
        mine = together.predictions.query("arm == 'boost' and target == @target")
        np.testing.assert_allclose(mine["predicted"], alone["predicted"])


def test_a_classifier_gives_probabilities() -> None:
    done = compared("y", {"logit": LogisticRegression(), "linear": {}}, frame().assign(y=lambda f: f["y"] > 0.5))
    predicted = done.predictions.query("arm == 'logit'")["predicted"]
    assert predicted.between(0, 1).all() and predicted.nunique() > 100


@pytest.mark.parametrize(
    ("arms", "line"),
    [
        ({"linear": {}, "mine": Ridge}, r"arms\.mine: Ridge is a class; an estimator such as Ridge\(\)"),
        ({"linear": {}, "mine": 7}, r"arms\.mine: expected settings or an estimator with fit and predict, got 7"),
        (["linear", Ridge()], r"arms: give Ridge\(\) a name"),
        ("linear", "at least two"),
        (["linear", "nueral"], "did you mean 'neural'"),
    ],
)
def test_what_is_no_arm_is_one_line(arms: Any, line: str) -> None:
    with pytest.raises(tk.InputError, match=line):
        tk.compare(frame(), "y", arms=arms, splits=SPLITS)


def test_the_users_own_estimator_gets_the_seed_and_keeps_its_own() -> None:
    context = ArmContext(None, "real", "rmse", random_state=5)
    given = {"open": RandomForestRegressor(), "set": RandomForestRegressor(random_state=1)}
    built = build_arms("table", given, context)
    assert built["open"].estimator.random_state == 5
    assert built["set"].estimator.random_state == 1
    assert given["open"].random_state is None  # what the user holds is left alone


@pytest.mark.parametrize("arm", ["linear", "boosting"])
def test_a_column_without_a_value_changes_nothing(arm: str) -> None:
    """Missing in every training row: the predictions are those without the column, also where it has values later."""
    context = ArmContext(None, "real", "rmse", random_state=0)
    table = frame()
    plain = build_arms("table", {arm: {}}, context)[arm].fit(table[["x", "level"]], table["y"])
    empty = table.assign(gone=np.nan, when=pd.NaT)[["gone", "x", "when", "level"]]
    fitted = build_arms("table", {arm: {}}, context)[arm].fit(empty, table["y"])
    np.testing.assert_allclose(fitted.predict(empty), plain.predict(table[["x", "level"]]))
    np.testing.assert_allclose(fitted.predict(empty.assign(gone=7.0)), plain.predict(table[["x", "level"]]))
