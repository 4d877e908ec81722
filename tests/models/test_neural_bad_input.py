"""What users bring by mistake or by bad luck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.errors import InputError
from toolkit.models.neural import stack
from toolkit.models.neural.losses import Squared
from toolkit.models.neural.networks import Columns
from toolkit.models.neural.preprocessing import TableEncoder
from toolkit.models.neural.presets import Recipe
from toolkit.models.neural.regression import NeuralClassifier, NeuralRegression
from toolkit.models.neural.stack import train_stack
from toolkit.models.neural.training import Member, Table

SMALL = {"preset": "quick", "members": 2, "epochs": 5, "width": 16}
RNG = np.random.default_rng(0)


def names(net) -> list[str]:
    return [finding["finding"] for finding in net.fit_info_["findings"]]


def test_all_missing_and_constant_columns_are_left_out_and_said():
    X = pd.DataFrame({"x": RNG.normal(size=60), "empty": np.nan, "same": 3.0, "label": "only"})
    net = NeuralRegression(**SMALL).fit(X, X["x"])
    assert names(net) == ["all_missing", "constant", "constant"]
    assert "'empty'" in net.fit_info_["findings"][0]["message"]
    assert np.isfinite(net.predict(X.assign(empty=1.0))).all()


def test_nothing_to_learn_from():
    with pytest.raises(InputError, match="empty or constant"):
        NeuralRegression(**SMALL).fit(pd.DataFrame({"a": np.ones(30), "b": np.nan}), RNG.normal(size=30))


def test_constant_target_in_a_fold():
    X = RNG.normal(size=(60, 2))
    net = NeuralRegression(**SMALL).fit(X, np.full(60, 7.5))
    np.testing.assert_allclose(net.predict(X), 7.5)
    assert "constant_target" in names(net)


def test_one_class_only_in_a_fold():
    X = RNG.normal(size=(40, 2))
    for label in (0.0, 1.0):
        net = NeuralClassifier(**SMALL).fit(X, np.full(40, label))
        np.testing.assert_array_equal(net.predict_proba(X)[:, 1], label)
        assert names(net) == ["one_class"]


def test_three_classes():
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        NeuralClassifier(**SMALL).fit(RNG.normal(size=(30, 2)), np.arange(30) % 3)


@pytest.mark.parametrize("n", [4, 20])
def test_few_rows(n):
    X = RNG.normal(size=(n, 2))
    net = NeuralRegression(**SMALL).fit(X, X[:, 0])
    assert np.isfinite(net.predict(X)).all()


def test_two_thousand_one_hot_columns():
    X = np.eye(2000, dtype=np.float32)[RNG.integers(0, 2000, 300)]
    net = NeuralRegression(**{**SMALL, "epochs": 2}).fit(X, RNG.normal(size=300))
    encoder = net.stacks_[0].encoder
    assert encoder.columns.numbers == 0
    assert encoder.columns.flags == len(np.flatnonzero(X.any(axis=0)))
    assert np.isfinite(net.predict(X)).all()


def test_huge_beside_tiny_values():
    base = RNG.normal(size=(200, 2))
    X = pd.DataFrame({"huge": 1e12 * (1 + base[:, 0]), "tiny": 1e-12 * base[:, 1]})
    X.loc[0, "huge"] = 1e300
    y = base.sum(axis=1)
    net = NeuralRegression(**{**SMALL, "epochs": 20}).fit(X, y)
    assert np.corrcoef(net.predict(X), y)[0, 1] > 0.9
    inputs, _ = net.stacks_[0].encoder.transform(X)
    assert np.abs(inputs).max() <= 3.0001


def test_a_column_of_mostly_zeros_keeps_its_small_values_apart():
    gains = np.zeros(400)
    gains[:40] = np.linspace(1000, 9000, 40)
    gains[40] = 100_000
    inputs, _ = TableEncoder().fit(frame := pd.DataFrame({"gain": gains})).transform(frame)
    distance = 5000.0 + 4000 / 39  # median of the 41 values that are not zero
    np.testing.assert_allclose(inputs[:40, 0], gains[:40] / distance / np.sqrt(1 + (gains[:40] / distance / 3) ** 2))
    assert inputs[40, 0] < 3


@pytest.mark.parametrize("scaling", ["robust", "quantile"])
def test_levels_that_are_new_rare_or_missing(scaling):
    train = pd.DataFrame({"few": ["a", "b", None] * 40, "many": [f"level {i % 15}" for i in range(119)] + ["once"]})
    train["x"] = np.arange(120.0)
    encoder = TableEncoder(scaling=scaling).fit(train)
    new = pd.DataFrame({"few": ["c", None], "many": ["never", "once"], "x": [np.nan, 1e9]})
    inputs, codes = encoder.transform(new)
    assert np.isfinite(inputs).all()
    assert codes.tolist() == [[0], [0]]  # rare and new levels share one place
    flags = inputs[:, encoder.columns.numbers :]
    assert flags.tolist() == [[0, 0, 0], [0, 0, 1]]  # a new level is none of the three; missing is a level of its own
    np.testing.assert_allclose(inputs[0, 0], 0.0, atol=0.02)  # a missing number is the median


def test_infinity_and_missing_targets_are_one_line():
    X = RNG.normal(size=(30, 2))
    with pytest.raises(InputError, match="NaN or infinity"):
        NeuralRegression(**SMALL).fit(X, np.where(np.arange(30) == 3, np.nan, 1.0))
    with pytest.raises(InputError, match="'b' contains infinity"):
        NeuralRegression(**SMALL).fit(pd.DataFrame({"a": X[:, 0], "b": np.inf}), X[:, 0])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"preset": "standrd"}, "unknown preset 'standrd', did you mean 'standard'"),
        ({"architecture": "resnet"}, "unknown architecture 'resnet'"),
        ({"members": 0}, "members must be"),
        ({"epochs": -1}, "epochs must be positive"),
        ({"dropout": 1.0}, "dropout must be below 1"),
        ({"metric": "rmes"}, "did you mean 'rmse'"),
        ({"metric": "log_loss"}, "use NeuralClassifier"),
        ({"metric": "gamma_deviance"}, "above 0"),
        ({"metric": "poisson_deviance"}, "0 or more"),
        ({"metric": "rmsle"}, "above -1"),
        ({"quantiles": (0.9, 0.1)}, "increasing"),
        ({"kinds": {"x9": "number"}}, "unknown column in kinds 'x9'"),
        ({"accelerator": "tpu"}, "accelerator must be"),
    ],
)
def test_settings_that_cannot_be_are_one_line(settings, line):
    X = np.linspace(-3, 3, 60).reshape(30, 2)
    with pytest.raises(InputError, match=line) as error:
        NeuralRegression(**{**SMALL, **settings}).fit(X, X[:, 0])
    assert "\n" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(InputError, match="finds no GPU"):
        NeuralRegression(accelerator="gpu", **SMALL).fit(RNG.normal(size=(30, 2)), RNG.normal(size=30))


class _NaNAbove(Squared):
    """A loss that breaks for the members named, while their step is above a limit."""

    broken: tuple[float, ...] = ()


def a_table(n: int = 80) -> Table:
    x = np.random.default_rng(3).normal(size=(n, 2)).astype(np.float32)
    return Table(x, np.zeros((n, 0), np.int64), Columns(2, 0), x[:, :1].copy(), np.ones(n, np.float32))


def halves(n: int = 80) -> list[Member]:
    return [Member(5, np.arange(n // 2), np.arange(n // 2, n)), Member(6, np.arange(n // 2, n), np.arange(n // 2))]


def test_a_member_with_nan_loss_is_restarted_with_a_smaller_step_and_said(monkeypatch):
    table, members = a_table(), halves()
    table.target[10] = np.nan  # a training row of the first member, a held-out row of the second
    recipe = Recipe(epochs=3, batch_size=16, width=8)
    with pytest.raises(InputError, match="loss was not finite"):
        train_stack(table, members, recipe, Squared())

    clean = a_table()
    third = Member(7, np.arange(20, 60), np.arange(60, 80))
    huge = replace(recipe, learning_rate=1e25)  # the first steps overflow, a quarter of a quarter still does
    with pytest.raises(InputError, match="learning rate"):
        train_stack(clean, [*members, third], huge, Squared())


def test_a_restarted_member_takes_its_place_and_leaves_the_others_alone(monkeypatch):
    table, members, recipe = a_table(), halves(), Recipe(epochs=3, batch_size=16, width=8, rows_per_epoch=40)
    undisturbed = train_stack(table, members, recipe, Squared())
    fit, calls = stack._fit, []

    def fails_once(module, device):
        trained, failed = fit(module, device)
        calls.append(module.recipe.learning_rate)
        return trained, [1] if len(calls) == 1 else failed

    monkeypatch.setattr(stack, "_fit", fails_once)
    trained = train_stack(table, members, recipe, Squared())
    assert calls == [recipe.learning_rate, recipe.learning_rate / 4]
    assert trained.restarts == [{"member": 1, "attempt": 1, "learning_rate": recipe.learning_rate / 4}]
    assert [f["finding"] for f in trained.findings] == ["restarted"]
    alone = train_stack(table, members[1:], replace(recipe, learning_rate=recipe.learning_rate / 4), Squared())
    for name, p in trained.network.named_parameters():
        torch.testing.assert_close(p[0], dict(undisturbed.network.named_parameters())[name][0])
        torch.testing.assert_close(p[1], dict(alone.network.named_parameters())[name][0])


def test_a_member_that_never_learns_is_left_out_not_averaged():
    table = a_table()
    table.target[10] = np.nan
    healthy = Member(7, np.arange(20, 60), np.arange(60, 80))
    recipe = Recipe(epochs=2, batch_size=16, width=8)
    trained = train_stack(table, [halves()[0], healthy], recipe, Squared())
    assert len(trained.members) == 1
    assert trained.members[0].seed == 7
    assert len(trained.restarts) == stack.RESTARTS
    assert trained.findings[-1]["finding"] == "left_out"
    assert all(len(p) == 1 for p in trained.network.parameters())


def test_short_memory_halves_the_mini_batch_and_says_so(monkeypatch):
    fit = stack._fit

    def short(module, device):
        if module.recipe.batch_size > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return fit(module, device)

    monkeypatch.setattr(stack, "_fit", short)
    trained = train_stack(a_table(), halves(), Recipe(epochs=2, batch_size=40, width=8), Squared())
    assert trained.findings[0]["finding"] == "out_of_memory"
    assert "20 rows" in trained.findings[0]["message"]
