"""Partial effects: the slopes of a linear model, levels as levels, both sides on one grid."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset
from toolkit.evaluation.partial import LEVELS, POINTS, partial_effects


class Known:
    """2 x + 3 [colour = red] + 0.5 k."""

    def __init__(self, slope: float = 2.0):
        self.slope = slope

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.slope * X["x"].to_numpy() + 3.0 * (X["colour"] == "red").to_numpy() + 0.5 * X["k"].to_numpy()


def data(n: int = 400) -> tuple[Dataset, pd.DataFrame]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=n), "colour": rng.choice(["red", "blue"], n), "k": rng.integers(3, size=n), "same": 1.0}
    )
    frame["y"] = Known().predict(frame)
    dataset = Dataset.from_frame(frame, "y")
    rows = {"repeat": 0, "fold": 0, "row": np.arange(n), "target": "y", "observed": frame["y"], "predicted": frame["y"]}
    return dataset, pd.concat([pd.DataFrame({"arm": arm, **rows}) for arm in ("a", "b")])


def test_effects_of_a_known_model():
    dataset, predictions = data()
    table = partial_effects({"a": Known(), "b": Known(1.0)}, dataset, predictions)
    for arm, slope in (("a", 2.0), ("b", 1.0)):
        curve = table[(table["arm"] == arm) & (table["feature"] == "x")]
        assert len(curve) == POINTS
        np.testing.assert_allclose(np.polyfit(curve["place"], curve["mean"], 1)[0], slope)
        levels = table[(table["arm"] == arm) & (table["feature"] == "colour")].set_index("label")["mean"]
        np.testing.assert_allclose(levels["red"] - levels["blue"], 3.0)
        steps = table[(table["arm"] == arm) & (table["feature"] == "k")]
        assert steps["place"].tolist() == [0, 1, 2]
        np.testing.assert_allclose(np.diff(steps["mean"]), 0.5)
    assert list(table["feature"].unique()[:2]) == ["x", "colour"]  # what moves predictions most comes first
    assert "same" not in set(table["feature"])


def test_both_sides_share_the_grid_inside_the_data():
    dataset, predictions = data()
    table = partial_effects({"a": Known(), "b": Known(1.0)}, dataset, predictions)
    wide = table.pivot_table(index=["feature", "place"], columns="arm", values="mean")
    assert wide.notna().all(axis=None)
    x = dataset.frame["x"]
    places = table.loc[table["feature"] == "x", "place"]
    assert x.quantile(0.01) < places.min() and places.max() < x.quantile(0.99)


def test_odd_columns():
    dataset, predictions = data()
    frame = dataset.frame.assign(
        when=pd.date_range("2024-01-01", periods=400),
        flag=dataset.frame["x"] > 0,
        many=[f"level {i % 40}" for i in range(400)],
    )
    frame.loc[::7, "many"] = None
    odd = Dataset.from_frame(frame, "y", features=["x", "colour", "k", "when", "flag", "many"])
    table = partial_effects({"a": Known()}, odd, predictions)
    assert table.groupby("feature")["place"].nunique()["many"] == LEVELS
    assert set(table.loc[table["feature"] == "flag", "label"]) == {"False", "True"}
    assert table.loc[table["feature"] == "when", "label"].str.match(r"2024-|2025-").all()
    assert partial_effects({}, odd, predictions).empty
