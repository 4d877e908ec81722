"""Evaluation: the same rows for all arms, failures with their cause, nothing lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge

from toolkit.data.dataset import Dataset
from toolkit.data.splits import Fold, Splits
from toolkit.evaluation.engine import Cache, content_hash, plan_workers
from toolkit.evaluation.evaluate import COLUMNS, evaluate
from toolkit.models.arms import ArmContext, build_arms


class Fragile(RegressorMixin, BaseEstimator):
    """Fails where it sees row 0 in training, predicts NaN where `nan` is set."""

    def __init__(self, nan: bool = False):
        self.nan = nan

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Fragile:
        if 0 in X.index and not self.nan:
            raise RuntimeError("row 0 is poison\nsecond line")
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.full(len(X), np.nan if self.nan else self.mean_)


class Peeking(RegressorMixin, BaseEstimator):
    """Remembers which rows it was given."""

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Peeking:
        self.fit_info_ = {"rows": list(X.index)}
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.zeros(len(X))


def make(n: int = 60, targets: tuple[str, ...] = ("y",)) -> tuple[Dataset, Splits]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.choice(["u", "v", "w"], n)})
    for number, target in enumerate(targets):
        frame[target] = 2 * frame["a"] + number + rng.normal(size=n) * 0.1
    dataset = Dataset(frame, targets, ("a", "b"), {"a": "number", "b": "category"}, "real")
    rows = np.arange(n)
    folds = tuple(Fold(0, k, rows[rows % 3 != k], rows[rows % 3 == k]) for k in range(3))
    return dataset, Splits("kfold", folds, 0, "three folds by hand")


CONTEXT = ArmContext(None, "real", "rmse", 0)


def arms(*names: str) -> dict[str, BaseEstimator]:
    return build_arms("table", {name: {} for name in names}, CONTEXT)


def test_every_arm_judges_the_same_rows_once() -> None:
    dataset, splits = make()
    table = evaluate(dataset, splits, arms("naive", "linear", "boosting"), "rmse").predictions
    assert list(table.columns) == list(COLUMNS)
    for _, part in table.groupby("arm"):
        assert sorted(part["row"]) == list(range(60))
    observed = table.pivot(index="row", columns="arm", values="observed")
    assert (observed.nunique(axis=1) == 1).all()
    assert (table["n_train"] == 40).all()


def test_a_fit_sees_its_training_rows_and_no_other() -> None:
    dataset, splits = make()
    facts = evaluate(dataset, splits, {"peeking": Peeking()}, "rmse").facts["peeking"]
    for fold, fact in zip(splits.folds, facts, strict=True):
        assert fact["rows"] == list(fold.train)


def test_a_failing_arm_is_named_with_its_cause_and_the_others_finish() -> None:
    dataset, splits = make()
    result = evaluate(dataset, splits, {"fragile": Fragile(), "nan": Fragile(nan=True), **arms("naive")}, "rmse")
    assert [text.split(": ", 1)[1] for text in result.failures["fragile"]] == ["RuntimeError: row 0 is poison"] * 2
    assert set(result.predictions.query("arm == 'fragile'")["fold"]) == {0}
    assert all("20 of 20 predictions are not finite" in text for text in result.failures["nan"])
    assert len(result.predictions.query("arm == 'naive'")) == 60
    assert result.failures["naive"] == ()


def test_finished_cells_are_used_again_until_something_changes(tmp_path: Path) -> None:
    dataset, splits = make()
    cache, told = Cache(tmp_path / "kept"), []
    first = evaluate(dataset, splits, arms("linear"), "rmse", cache=cache)
    again = evaluate(dataset, splits, arms("linear"), "rmse", cache=cache, progress=lambda *a: told.append(a))
    pd.testing.assert_frame_equal(first.predictions, again.predictions)
    assert [(done, total) for _, done, total, _ in told] == [(3, 3)]
    told.clear()
    evaluate(dataset, splits, arms("linear"), "mae", cache=cache, progress=lambda *a: told.append(a))
    assert len(told) == 3, "another metric is another result"
    cache.clear()
    assert not (tmp_path / "kept").exists()


def test_a_cut_off_cache_file_is_fitted_again(tmp_path: Path) -> None:
    dataset, splits = make()
    cache = Cache(tmp_path)
    whole = evaluate(dataset, splits, arms("linear"), "rmse", cache=cache).predictions
    for path in tmp_path.glob("*.pickle"):
        path.write_bytes(path.read_bytes()[:20])
    pd.testing.assert_frame_equal(whole, evaluate(dataset, splits, arms("linear"), "rmse", cache=cache).predictions)


def test_several_targets_in_every_reference_arm() -> None:
    dataset, splits = make(90, ("u", "v"))
    table = evaluate(dataset, splits, {**arms("naive", "linear", "boosting"), "ridge": Ridge()}, "rmse")
    assert table.failures["ridge"], "a bare estimator cannot read text levels; inside a comparison it is wrapped"
    wrapped = build_arms("table", {"ridge": Ridge()}, ArmContext(dataset.kinds, "real", "rmse", 0))
    table = evaluate(dataset, splits, {**arms("naive", "linear", "boosting"), **wrapped}, "rmse")
    assert not any(table.failures.values())
    assert table.predictions.groupby(["arm", "target"]).size().eq(90).all()


def test_a_refitted_model_has_seen_all_rows() -> None:
    dataset, splits = make()
    result = evaluate(dataset, splits, {"peeking": Peeking()}, "rmse", refit=("peeking",))
    assert result.models["peeking"].fit_info_["rows"] == list(range(60))
    assert len(result.facts["peeking"]) == 3, "the refit is not a fold"


def test_a_plan_does_not_start_processes_for_little_work() -> None:
    assert plan_workers(cells=5, rows=100).workers == 1
    assert plan_workers(cells=1, rows=10**7).workers == 1
    assert plan_workers(cells=50, rows=10**5, workers=3).workers == 3


def test_a_limit_of_threads_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert plan_workers(cells=1, rows=100).threads == 1


def test_the_hash_sees_values_settings_and_rows() -> None:
    assert content_hash(Ridge(1.0)) != content_hash(Ridge(2.0))
    assert content_hash(np.arange(3)) != content_hash(np.arange(4))
    assert content_hash({"a": 1}) == content_hash({"a": 1})


def test_weights_reach_every_fit() -> None:
    """A row of weight 0 trains nobody: predictions are those without it. Who takes no weights is a named failure."""
    dataset, splits = make(120)
    weight = np.tile([1.0, 0.0, 1.0, 1.0], 30)
    weighted = replace(dataset, frame=dataset.frame.assign(w=weight), weights="w")
    fewer = replace(splits, folds=tuple(replace(f, train=f.train[weight[f.train] > 0]) for f in splits.folds))
    asked = arms("naive", "linear") | {"own": build_arms("table", {"own": Ridge()}, CONTEXT)["own"], "bad": Peeking()}
    told = evaluate(weighted, splits, asked, "rmse", workers=1)
    without = evaluate(dataset, fewer, asked, "rmse", workers=1).predictions
    unweighted = evaluate(dataset, splits, asked, "rmse", workers=1).predictions

    def of(table: pd.DataFrame, arm: str) -> np.ndarray:
        return table.loc[table["arm"] == arm, "predicted"].to_numpy()

    for arm in ("naive", "linear"):
        np.testing.assert_allclose(of(told.predictions, arm), of(without, arm), atol=1e-10)
    assert (of(told.predictions, "own") != of(unweighted, "own")).all()
    assert told.failures["bad"] == tuple(f"repeat 0, fold {k}: ValueError: Peeking takes no weights" for k in range(3))


def test_in_sample_scores_come_beside_every_fold() -> None:
    dataset, splits = make()
    train = evaluate(dataset, splits, arms("naive"), "rmse").train_scores
    fold = splits.folds[0]
    y = dataset.frame["y"].to_numpy()[fold.train]
    value = train.query("fold == 0 and metric == 'rmse'")["value"].item()
    assert value == pytest.approx(np.std(y))


class TrainsTogether(Peeking):
    """Says that its folds are cheaper together, and counts how often it is asked to train them so."""

    together: ClassVar[list[int]] = []

    def stacks_folds(self) -> bool:
        return True

    def fit_folds(self, X: pd.DataFrame, y: pd.Series, folds: list[np.ndarray]) -> list:
        self.together.append(len(folds))
        return [TrainsTogether().fit(X.iloc[rows], y.iloc[rows]) for rows in folds]


def test_folds_are_trained_at_once_where_the_arm_asks_for_it(tmp_path: Path):
    dataset, splits = make()
    TrainsTogether.together = []
    cache = Cache(tmp_path)
    whole = evaluate(dataset, splits, {"x": TrainsTogether()}, "rmse", workers=1, cache=cache)
    alone = evaluate(dataset, splits, {"x": Peeking()}, "rmse", workers=1)
    assert TrainsTogether.together == [3]
    pd.testing.assert_frame_equal(whole.predictions, alone.predictions)
    assert [facts["rows"] for facts in whole.facts["x"]] == [facts["rows"] for facts in alone.facts["x"]]
    evaluate(dataset, splits, {"x": TrainsTogether()}, "rmse", workers=1, cache=cache)
    assert TrainsTogether.together == [3]  # all folds are known


class FailsTogether(Fragile):
    def stacks_folds(self) -> bool:
        return True

    def fit_folds(self, *_: object) -> list:
        raise RuntimeError("all folds at once")


def test_folds_that_fail_together_are_tried_alone():
    dataset, splits = make()
    outcome = evaluate(dataset, splits, {"x": FailsTogether()}, "rmse", workers=1)
    assert len(outcome.failures["x"]) == 2
    assert all("row 0 is poison" in failure for failure in outcome.failures["x"])
