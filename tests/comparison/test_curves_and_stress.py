"""Learning curves and stress with arms that are cheap and exact."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from toolkit.comparison.learning_curve import crossing, learning_curve, smaller_splits
from toolkit.comparison.stress import group_splits, noisy_copy, stress
from toolkit.comparison.verdict import compare_arms
from toolkit.data.splits import Fold, Splits
from toolkit.errors import InputError


@dataclass(frozen=True)
class Table:
    """The part of a data set that the two functions look at."""

    frame: pd.DataFrame
    features: tuple[str, ...] = ("x",)
    kinds: dict = field(default_factory=lambda: {"x": "number"})
    time: str | None = None
    groups: str | None = "g"


def parabola(n: int = 600) -> Table:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, n)
    return Table(pd.DataFrame({"x": x, "y": x**2 + 0.3 * rng.normal(size=n), "g": np.arange(n) // 30}))


def splits(n: int = 600) -> Splits:
    fold = np.random.default_rng(1).permutation(n) % 5
    return Splits(
        "kfold", tuple(Fold(0, k, np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(5)), 0, ""
    )


def evaluate(data: Table, folds: Splits, arms: dict[str, int]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Arms are degrees of polynomials; nothing has members."""
    x, y = data.frame["x"].to_numpy(), data.frame["y"].to_numpy()
    parts = []
    for name, degree in arms.items():
        for one in folds.folds:
            curve = np.polynomial.Polynomial.fit(x[one.train], y[one.train], degree)
            parts.append(
                pd.DataFrame(
                    {
                        "arm": name,
                        "repeat": one.repeat,
                        "fold": one.fold,
                        "row": one.judge,
                        "target": "y",
                        "horizon": 0,
                        "observed": y[one.judge],
                        "predicted": curve(x[one.judge]),
                        "n_train": len(one.train),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True), None


def with_members(data: Table, folds: Splits, arms: dict[str, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The second arm is the mean of three members whose errors are the luck of their seeds."""
    predictions, _ = evaluate(data, folds, arms)
    net = predictions[predictions["arm"] == list(arms)[1]]
    luck = np.array([-0.3, 0.05, 0.25])  # sums to 0: the mean is the arm
    members = [net.assign(member=k, predicted=net["predicted"] * (1 + one)) for k, one in enumerate(luck - luck.mean())]
    return predictions, pd.concat(members, ignore_index=True)


def test_learning_curve_without_and_with_a_crossing():
    data = parabola()
    found = learning_curve(data, splits(), {"line": 1, "parabola": 2}, "rmse", evaluate)
    assert found.crossing is None and "ahead at every size" in found.sentence
    assert list(found.scores.columns) == ["arm", "n", "value"] and len(found.gains) == 4
    # a wiggly curve needs rows before it beats a line
    crossed = learning_curve(data, splits(), {"line": 1, "wiggly": 22}, "rmse", evaluate, shares=(0.05, 0.1, 0.5, 1.0))
    assert crossed.crossing is not None and 24 <= crossed.crossing <= 480
    assert "overtakes" in crossed.sentence


def test_crossing_is_interpolated_on_the_logarithm():
    assert crossing(pd.DataFrame({"n": [100, 400], "gain": [-1.0, 1.0]})) == pytest.approx(200)
    assert crossing(pd.DataFrame({"n": [100, 400], "gain": [-1.0, -0.5]})) is None


def test_smaller_training_sets_are_nested_and_judge_the_same_rows():
    whole = splits()
    half, quarter = smaller_splits(whole, 0.5), smaller_splits(whole, 0.25)
    for a, b, c in zip(quarter.folds, half.folds, whole.folds, strict=True):
        assert set(a.train) < set(b.train) < set(c.train)
        assert np.array_equal(a.judge, c.judge)
    recent = smaller_splits(whole, 0.5, time=np.arange(600))
    assert recent.folds[0].train.min() > np.median(whole.folds[0].train) - 2


def test_a_gain_that_vanishes_outside_is_named():
    rng = np.random.default_rng(2)
    data = parabola()
    x = data.frame["x"].to_numpy()
    y = np.where(np.abs(x) < 1.6, np.sin(3 * x), x) + 0.1 * rng.normal(size=len(x))
    data.frame["y"] = y
    arms = {"line": 1, "wiggly": 9}
    _, main = compare_arms(evaluate(data, splits(), arms)[0], "rmse", tuple(arms))
    assert main.winner == "wiggly"
    found = {r.kind: r for r in stress(data, splits(), arms, "rmse", {"value": 1, "unit": "percent"}, evaluate, main)}
    assert set(found) == {"extrapolation", "groups", "noise"}
    assert found["extrapolation"].vanishes and not found["groups"].vanishes
    assert "outside its middle" in found["extrapolation"].words


@pytest.mark.parametrize(("gain", "gone"), [(0.2, False), (-0.2, True)])
def test_ahead_but_not_surely_is_no_vanished_win(gain, gone):
    """The same few judging rows with much noise: undecided, once with the main winner ahead and once behind."""
    data, arms = parabola(), {"line": 1, "parabola": 2}
    main = compare_arms(evaluate(data, splits(), arms)[0], "rmse", tuple(arms))[1]
    assert main.winner == "parabola"

    def unsure(noisy, folds, _arms):
        predictions, _ = evaluate(noisy, folds, arms)
        rng = np.random.default_rng(0)
        error = 1 + np.abs(10 * rng.normal(size=len(predictions) // 2))  # no error changes its sign below
        off = np.concatenate([rng.permutation(error) + gain, error])
        return predictions.assign(predicted=predictions["observed"] + off), None

    (found,) = stress(data, splits(), arms, "mae", {"value": 1, "unit": "percent"}, unsure, main, ["noise"])
    assert found.verdict.estimate == pytest.approx(gain) and found.verdict.decision == "undecided"
    assert found.vanishes == gone


def test_the_luck_of_the_seeds_enters_verdicts_under_stress_and_curves():
    data, arms, margin = parabola(), {"line": 1, "parabola": 2}, {"value": 1, "unit": "percent"}
    predictions, members = with_members(data, splits(), arms)
    _, main = compare_arms(predictions, "rmse", tuple(arms), margin, "kfold", members)
    assert main.details["uncertainty"]["seeds_se"] > 0

    bare, lucky = (
        {one.kind: one.verdict for one in stress(data, splits(), arms, "rmse", margin, how, main)}
        for how in (evaluate, with_members)
    )
    assert set(bare) == set(lucky) == {"extrapolation", "groups", "noise"}
    for kind in bare:
        assert lucky[kind].estimate == pytest.approx(bare[kind].estimate)
        assert lucky[kind].details["uncertainty"]["seeds_se"] > 0 and bare[kind].details["uncertainty"]["seeds_se"] == 0
        assert lucky[kind].upper - lucky[kind].lower > 1.05 * (bare[kind].upper - bare[kind].lower)

    narrow, wide = (learning_curve(data, splits(), arms, "rmse", how).gains for how in (evaluate, with_members))
    assert np.allclose(narrow["gain"], wide["gain"])
    assert (wide["upper"] - wide["lower"] > narrow["upper"] - narrow["lower"]).all()


def test_noise_touches_only_the_judging_rows():
    data = parabola()
    noisy = noisy_copy(data, np.arange(10))
    assert (noisy.frame["x"].iloc[10:] == data.frame["x"].iloc[10:]).all()
    assert (noisy.frame["x"].iloc[:10] != data.frame["x"].iloc[:10]).all()


def test_noisy_rows_are_judged_by_fits_of_the_clean_ones():
    data, seen = parabola(), []

    def listen(noisy, folds, arms):
        seen.append((noisy, folds))
        return evaluate(noisy, folds, arms)

    _, main = compare_arms(evaluate(data, splits(), {"line": 1, "parabola": 2})[0], "rmse", ("line", "parabola"))
    stress(data, splits(), {"line": 1, "parabola": 2}, "rmse", {"value": 1, "unit": "percent"}, listen, main, ["noise"])
    ((noisy, folds),) = seen
    for one, clean in zip(folds.folds, splits().folds, strict=True):
        assert np.array_equal(one.train, clean.train)
        moved = noisy.frame["x"].to_numpy()[one.judge] - data.frame["x"].to_numpy()[clean.judge]
        assert 0.05 < np.std(moved) / data.frame["x"].std() < 0.15
        assert np.array_equal(noisy.frame["y"].to_numpy()[one.judge], data.frame["y"].to_numpy()[clean.judge])


def test_one_group_cannot_be_left_out():
    with pytest.raises(InputError, match="two groups"):
        group_splits(np.zeros(5))
    assert len(group_splits(np.arange(100)).folds) == 20


def test_unknown_stress():
    with pytest.raises(InputError, match="did you mean 'noise'"):
        stress(parabola(), splits(), {}, "rmse", {}, evaluate, SimpleNamespace(winner=None), kinds=("nois",))
