"""The estimator faces: losses by metric, columns of every kind, what is told about a fit, saving and loading."""

from __future__ import annotations

import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from toolkit.errors import InputError
from toolkit.models.neural.presets import PRESETS, describe_presets, recipe_for
from toolkit.models.neural.regression import NeuralClassifier, NeuralRegression

SMALL = {"preset": "quick", "members": 2, "epochs": 12, "width": 32}


@pytest.fixture(scope="module")
def mixed() -> tuple[pd.DataFrame, np.ndarray]:
    """Every kind of column; the target depends on five of them."""
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=n),
            "holes": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "few": rng.choice(["u", "v", "w"], n),
            "many": rng.integers(0, 20, n).astype(str),
            "two": rng.choice(["yes", "no"], n),
            "flag": rng.random(n) < 0.5,
            "day": pd.date_range("2024-01-01", periods=n),
            "hour": rng.integers(0, 24, n),
        }
    )
    eta = frame["number"] + (frame["few"] == "u") + 0.1 * frame["many"].astype(int) + frame["flag"]
    y = np.exp(0.5 * (eta + np.sin(frame["hour"] * np.pi / 12)) + 0.1 * rng.normal(size=n)).to_numpy()
    return frame, y


@pytest.mark.parametrize("metric", ["rmse", "mae", "rmsle", "poisson_deviance", "gamma_deviance"])
def test_learns_from_columns_of_every_kind(mixed, metric):
    X, y = mixed
    train, judge = np.arange(300) % 3 > 0, np.arange(300) % 3 == 0
    settings = {**SMALL, "epochs": 40, "batch_size": 32}
    net = NeuralRegression(metric=metric, kinds={"hour": "cyclic"}, **settings).fit(X[train], y[train])
    predicted = net.predict(X[judge])
    assert np.corrcoef(predicted, y[judge])[0, 1] > 0.85
    assert predicted.min() >= y[train].min()
    assert predicted.max() <= y[train].max()  # clamped to the training range


def test_members_are_averaged_on_the_scale_of_the_loss(mixed):
    X, y = mixed
    net = NeuralRegression(**SMALL).fit(X, y)
    assert net.predict_members(X).shape == (2, len(X))
    np.testing.assert_allclose(net.predict_members(X).mean(axis=0), net.predict(X), rtol=1e-5)
    log = NeuralRegression(metric="rmsle", **SMALL).fit(X, y)
    np.testing.assert_allclose(np.expm1(np.log1p(log.predict_members(X)).mean(axis=0)), log.predict(X), rtol=1e-5)


def test_several_targets(mixed):
    X, y = mixed
    net = NeuralRegression(**{**SMALL, "epochs": 40}).fit(X, pd.DataFrame({"a": y, "b": -10 * y}))
    assert net.predict(X).shape == (len(X), 2)
    assert net.predict_members(X).shape == (2, len(X), 2)
    assert np.corrcoef(net.predict(X)[:, 1], -y)[0, 1] > 0.8


def test_quantiles_are_ordered_and_in_units_of_the_target(mixed):
    X, y = mixed
    net = NeuralRegression(quantiles=(0.1, 0.5, 0.9), **SMALL).fit(X, y)
    quantiles = net.predict_quantiles(X)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    np.testing.assert_array_equal(net.predict(X), quantiles[:, 1])
    assert 0.6 < np.mean((quantiles[:, 0] <= y) & (y <= quantiles[:, 2])) <= 1


def test_tabm_and_thorough_average_both_architectures(mixed):
    X, y = mixed
    net = NeuralRegression(preset="thorough", members=1, epochs=3, width=16).fit(X, y)
    assert [stack.architecture for stack in net.stacks_] == ["realmlp", "tabm"]
    assert net.fit_info_["members"] == 2
    assert {row["member"] for row in net.fit_info_["curves"]} == {0, 1}


def test_classifier_gives_calibrated_probabilities_and_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    truth = 1 / (1 + np.exp(-2 * X[:, 0]))
    y = np.where(rng.random(600) < truth, "yes", "no")
    net = NeuralClassifier(**{**SMALL, "epochs": 30}).fit(X[:400], y[:400])
    p = net.predict_proba(X[400:])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert list(net.classes_) == ["no", "yes"]
    assert np.abs(p[:, 1] - truth[400:]).mean() < 0.1
    assert net.temperature_ > 0
    assert set(net.predict(X)) <= {"yes", "no"}


def test_what_is_told_about_a_fit(mixed):
    X, y = mixed
    told = []
    net = NeuralRegression(progress=lambda **news: told.append(news), **SMALL).fit(X.assign(empty=np.nan), y)
    info = net.fit_info_
    json.dumps(info)
    assert info["members"] == 2
    assert info["parameters"] == sum(p.numel() for p in net.stacks_[0].network.parameters())
    assert len(info["curves"]) == 2 * 12
    assert set(info["curves"][0]) == {"member", "epoch", "train_loss", "val_loss"}
    assert [f["finding"] for f in info["findings"]] == ["all_missing"]
    assert [news["epoch"] for news in told] == list(range(1, 13))
    assert told[-1]["total"] == 12
    assert told[-1]["seconds_left"] == 0


def test_same_seed_same_net_other_seed_other_net(mixed):
    X, y = mixed
    first = NeuralRegression(**SMALL).fit(X, y).predict(X)
    np.testing.assert_array_equal(first, NeuralRegression(**SMALL).fit(X, y).predict(X))
    assert not np.array_equal(first, NeuralRegression(random_state=1, **SMALL).fit(X, y).predict(X))


def test_groups_share_an_inner_fold():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 6)
    net = NeuralRegression(**SMALL)
    members = net._members(60, rng.normal(size=(60, 1)), groups, "realmlp")
    for member in members:
        assert not set(groups[member.train]) & set(groups[member.hold])
        assert len(member.hold)


def test_rows_of_weight_zero_do_not_count(mixed):
    X, y = mixed
    weight = np.r_[np.ones(250), np.zeros(50)]
    spoilt = np.r_[y[:250], np.full(50, 1e6)]
    weighted = NeuralRegression(**SMALL).fit(X, spoilt, sample_weight=weight)
    np.testing.assert_array_equal(weighted.predict(X), NeuralRegression(**SMALL).fit(X[:250], y[:250]).predict(X))


def test_a_saved_net_is_small_and_predicts_the_same_without_lightning(mixed, tmp_path):
    X, y = mixed
    net = NeuralRegression(**SMALL).fit(X, y)
    saved = pickle.dumps(net)
    assert len(saved) < 4 * net.fit_info_["parameters"] + 200_000  # float32 numbers and little else
    (tmp_path / "net.pkl").write_bytes(saved)
    X.to_pickle(tmp_path / "X.pkl")
    code = (
        "import pickle, sys, pandas as pd, numpy as np\n"
        "sys.modules['pytorch_lightning'] = None\n"
        "net = pickle.load(open('net.pkl', 'rb')); np.save('p.npy', net.predict(pd.read_pickle('X.pkl')))"
    )
    root = Path(importlib.util.find_spec("toolkit").origin).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env={"PYTHONPATH": str(root)})
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), net.predict(X))


def test_prediction_in_chunks_is_prediction_at_once(mixed, monkeypatch):
    X, y = mixed
    net = NeuralRegression(**SMALL).fit(X, y)
    whole = net.predict(X)
    monkeypatch.setattr("toolkit.models.neural.base.PREDICT_ROWS", 37)
    np.testing.assert_allclose(net.predict(X), whole, rtol=1e-5)


def test_tuning_never_does_worse_inside_than_the_published_recipe(mixed):
    pytest.importorskip("optuna")
    X, y = mixed
    net = NeuralRegression(tune=2, **{**SMALL, "epochs": 4}).fit(X, y)
    note = net.fit_info_["notes"][0]
    published, chosen = (float(part.split()[-2]) for part in note.split(": validation loss")[1].split(","))
    assert chosen <= published


def test_tuning_without_optuna_is_one_line(mixed, monkeypatch):
    X, y = mixed
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match="optuna"):
        NeuralRegression(tune=2, **SMALL).fit(X, y)


def test_presets_differ_and_say_what_they_cost():
    assert list(PRESETS) == ["quick", "standard", "thorough"]
    assert all(len(text) > 40 for text in describe_presets().values())
    epochs = [recipe_for("standard", "realmlp", rows, "cpu", {}).epochs for rows in (1500, 20_000, 10**6)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] == 256
    assert recipe_for("standard", "realmlp", 20_000, "cuda", {}).epochs == 256
    assert recipe_for("quick", "realmlp", 1000, "cpu", {"epochs": 7, "width": None}).epochs == 7
    # a small table has few mini-batches: 1,500 steps, but no more than 512 epochs
    assert [recipe_for("standard", "realmlp", rows, "cpu", {}).epochs for rows in (100, 1000)] == [512, 375]
    assert recipe_for("quick", "realmlp", 100, "cpu", {}).epochs == 64
    judged = [
        recipe_for("standard", a, rows, "cpu", {}).judged_epochs for a, rows in (("realmlp", 1500), ("tabm", 1000))
    ]
    assert judged == [5, 1]
    assert recipe_for("standard", "realmlp", 40_000, "cpu", {}).judged_epochs == 1


def test_small_tables_get_more_members_and_larger_shares_to_learn_from():
    small, large = (NeuralRegression()._members(n, np.zeros((n, 1)), None, "realmlp") for n in (800, 4000))
    assert (len(small), len(large)) == (8, 5)
    for members, n in ((small, 800), (large, 4000)):  # every row is held out once
        assert sorted(np.concatenate([m.hold for m in members])) == list(range(n))
    assert len(NeuralRegression(members=3)._members(800, np.zeros((800, 1)), None, "realmlp")[0].hold) == 160


def test_a_rare_class_is_in_every_part():
    labels = (np.arange(300) < 6).astype(float)[:, None]  # fewer than the eight folds
    members = NeuralRegression()._members(300, labels, None, "realmlp")
    assert len(members) == 8
    assert all(labels[m.hold].sum() == 1 for m in members)


def test_leaves_nothing_on_disk_and_says_nothing(mixed, tmp_path, monkeypatch, capfd, recwarn):
    X, y = mixed
    monkeypatch.chdir(tmp_path)
    NeuralRegression(**SMALL).fit(X, y)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert len(recwarn) == 0


@pytest.mark.parametrize("face", [NeuralRegression, NeuralClassifier])
def test_folds_trained_as_one_stack_are_the_folds_trained_alone(mixed, face):
    X, y = mixed
    X = X.drop(columns=["many", "day"])  # the levels of the first differ between the folds: no common stack
    y = (y > np.median(y)).astype(int) if face is NeuralClassifier else y
    folds = [np.flatnonzero(np.arange(len(X)) % 4 != k)[:150] for k in (0, 1)]
    net = face(**SMALL)
    tasks = [task for rows in folds for task in clone(net)._begin(X.iloc[rows], y[rows])]
    assert tasks[0].alike == tasks[1].alike
    for rows, together in zip(folds, net.fit_folds(X, y, folds), strict=True):
        alone = face(**SMALL).fit(X.iloc[rows], y[rows])
        told = together.fit_info_
        assert told["best_epochs"] == alone.fit_info_["best_epochs"]
        assert {row["member"] for row in told["curves"]} == set(range(told["members"]))
        np.testing.assert_allclose(together.predict_members(X), alone.predict_members(X), rtol=2e-3, atol=2e-3)


def test_folds_that_do_not_fit_into_one_stack_are_trained_all_the_same(mixed):
    X, y = mixed
    X = X[["number", "few"]].assign(few=np.where(np.arange(len(X)) < 150, X["few"], "u"))
    folds = [np.arange(150), np.arange(150, 300)]  # the second sees a constant column less
    nets = NeuralRegression(**SMALL).fit_folds(X, y, folds)
    assert [net.stacks_[0].encoder.columns.flags for net in nets] == [3, 0]
    alone = NeuralRegression(**SMALL).fit(X.iloc[folds[1]], y[folds[1]])
    np.testing.assert_allclose(nets[1].predict(X), alone.predict(X), rtol=1e-5)
