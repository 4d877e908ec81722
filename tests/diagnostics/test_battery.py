"""Every check fires on a planted fault, is silent on a right model, and says why where it cannot be asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.benchmarks.checks import METRIC, simulate
from toolkit.data.dataset import Dataset
from toolkit.diagnostics.battery import run_checks
from toolkit.diagnostics.catalogue import CATALOGUE, judge
from toolkit.diagnostics.check import VERDICTS
from toolkit.diagnostics.generalization import check_epochs
from toolkit.diagnostics.innovations import NAMES as INNOVATION_NAMES

INFO = {"linear": {"kind": "regression", "facts": []}}


def ask(table, dataset, metric="rmse", info=INFO, **more):
    return {(c.arm, c.check): c for c in run_checks(table, info, dataset=dataset, metric=metric, **more)}


def draw(family="gaussian", n=1_500, fault=None, seed=1):
    table, dataset, train = simulate(family, n, seed, fault)
    return table, dataset, METRIC[family], train


def spoil(name, table, dataset):
    """The same draw with one fault."""
    rng = np.random.default_rng(0)
    n = len(table)
    table = table.copy()
    x = dataset.frame
    shift = np.zeros(n)
    if name == "cluster_correlation":
        shift = rng.normal(size=1_000)[x["group"]]
    elif name == "cusum":
        shift = 0.8 * (np.arange(n) > n / 2)
    elif name == "sup_f":
        shift = np.where(np.arange(n) > n / 2, 0.8, -0.8) * x["x1"]
    elif name == "spatial":
        shift = np.sin(3 * x["longitude"]) + np.cos(3 * x["latitude"])
    elif name == "worst_slices":
        shift = np.where(x["level"] == "a", rng.normal(size=n) * 3, 0)
    elif name in ("jarque_bera", "outliers", "quantile_outliers"):
        shift = rng.standard_t(2, size=n) * 2
    elif name == "anderson_darling":
        shift = 3 * rng.exponential(size=n) - 3
    elif name == "rainbow":
        shift = 0.5 * (x[["x1", "x2", "longitude", "latitude"]] ** 2).sum(axis=1)
    elif name in ("residuals_by_feature", "residuals_by_fitted", "reset"):
        shift = 0.6 * (x["x1"] - x["x2"]) ** 2
    table["observed"] = table["observed"] + np.asarray(shift)
    if name == "calibration_line":
        table["predicted"] = table["predicted"] * 1.5
    elif name in ("interval_coverage", "slice_coverage", "quantile_uniformity", "quantile_dispersion"):
        half = (table["upper"] - table["lower"]) / 2
        table["lower"], table["upper"] = table["predicted"] - half / 2, table["predicted"] + half / 2
    elif name == "fold_spread":
        table["observed"] += np.where(table["fold"] == 0, rng.normal(size=n) * 3, 0)
    elif name == "usable_residuals":
        table.loc[3, "predicted"] = np.inf
    return table


FAULTY = {
    **dict.fromkeys(("breusch_pagan", "white", "log_variance"), ("gaussian", "heteroskedasticity")),
    **dict.fromkeys(("durbin_watson", "breusch_godfrey", "ljung_box"), ("gaussian", "AR(1) 0.5")),
    **dict.fromkeys(("dispersion",), ("poisson", "overdispersion 2")),
    **dict.fromkeys(("leverage",), ("gaussian", "leverage 0.5")),
    "learnability": ("gaussian", "missing interaction"),
}
SPOILED = (
    *(
        "cluster_correlation",
        "cusum",
        "sup_f",
        "spatial",
        "worst_slices",
        "jarque_bera",
        "outliers",
        "quantile_outliers",
    ),
    *("anderson_darling", "rainbow", "residuals_by_feature", "residuals_by_fitted", "reset", "calibration_line"),
    *("interval_coverage", "slice_coverage", "quantile_uniformity", "quantile_dispersion", "fold_spread"),
    "usable_residuals",
)


@pytest.fixture(scope="module")
def right():
    table, dataset, metric, train = draw()
    return table, dataset, ask(table, dataset, metric, train_scores=train)


def test_a_right_model_is_left_alone(right):
    *_, answers = right
    doubts = {key[1]: c.reason for key, c in answers.items() if c.verdict in ("notice", "poor")}
    assert doubts == {}
    asked = {key[1] for key, c in answers.items() if c.verdict == "good"}
    assert asked >= set(SPOILED) | (set(FAULTY) - {"dispersion"}) | {"collinearity", "train_test_gap", "optimism"}


@pytest.mark.parametrize("check", FAULTY)
def test_planted_faults_are_called(check):
    family, fault = FAULTY[check]
    table, dataset, metric, _ = draw(family, fault=fault)
    found = ask(table, dataset, metric, only=[check])["linear", check]
    assert found.verdict in ("notice", "poor"), found.reason
    assert found.effect >= found.threshold


@pytest.mark.parametrize("check", SPOILED)
def test_spoiled_tables_are_called(check, right):
    table, dataset, _ = right
    found = ask(spoil(check, table, dataset), dataset, only=[check])["linear", check]
    assert found.verdict in ("notice", "poor"), found.reason


def test_every_check_answers_for_every_arm_in_a_known_form(right):
    table, dataset, answers = right
    both = pd.concat([table, table.assign(arm="neural"), table.iloc[:0]])
    info = {
        **INFO,
        "neural": {"kind": "neural", "facts": []},
        "boosting": {"kind": "reference", "failures": ("no memory",)},
    }
    answers = ask(both, dataset, info=info, only=["reset"])
    for name in CATALOGUE.keys() - {"learnability"}:
        failed = answers["boosting", name]
        assert failed.verdict == "not applicable" and "no memory" in failed.reason
    for check in answers.values():
        assert check.verdict in VERDICTS and check.null and check.reference and check.reason
        assert (check.effect is None) == (check.verdict == "not applicable")
        assert "first" in check.details
    assert answers["neural", "collinearity"].verdict == "not applicable"
    assert answers["linear", "collinearity"].verdict == "good"
    shared = answers["linear", "shared_residuals"], answers["neural", "shared_residuals"]
    assert shared[0].details["correlation"] == pytest.approx(1) and shared[0].effect == shared[1].effect


def test_not_applicable_says_why(right):
    *_, answers = right
    why = {key[1]: c.reason for key, c in answers.items() if c.verdict == "not applicable"}
    assert set(why) == {
        *("dispersion", "zero_inflation", "separation", "multivariate_normality", "residual_correlation"),
        *("shared_residuals", "seed_spread", "calibration_bins", "learning_curve", "epochs", "restarts"),
        *INNOVATION_NAMES,
    }
    assert why["separation"] == "for 0/1 targets only"


def test_large_samples_need_an_effect_and_small_ones_do_not_hide_it():
    assert judge(0.001, 1e-30, 0.02, 0.13) == "good"
    assert judge(0.05, 1e-30, 0.02, 0.13) == "notice"
    assert judge(0.30, 0.001, 0.02, 0.13) == "poor"
    assert judge(0.30, 0.08, 0.02, 0.13) == "notice"
    assert judge(0.30, 0.50, 0.02, 0.13) == "good"


def test_collinear_columns_are_named():
    table, dataset, metric, _ = draw(n=400)
    frame = dataset.frame.assign(copy=dataset.frame["x1"] * 2 + 1e-3 * dataset.frame["x2"])
    wide = Dataset(frame, ("y",), (*dataset.features, "copy"), {**dataset.kinds, "copy": "number"}, "real")
    answers = ask(table, wide, metric, only=[])
    assert answers["linear", "collinearity"].verdict == "poor"
    assert "copy" in answers["linear", "condition_index"].reason


def test_counts_and_classes():
    rng = np.random.default_rng(0)
    table, dataset, metric, _ = draw("poisson")
    many = table.assign(observed=table["observed"] * (rng.random(len(table)) > 0.3))
    assert ask(many, dataset, metric, only=["zero_inflation"])["linear", "zero_inflation"].verdict == "poor"
    table, dataset, metric, _ = draw("binomial")
    answers = ask(table, dataset, metric, only=["calibration_bins", "separation"])
    assert answers["linear", "separation"].verdict == "good"
    assert answers["linear", "calibration_bins"].verdict == "good"
    off = table.assign(predicted=np.clip(table["predicted"] + 0.15, 0, 1))
    assert ask(off, dataset, metric, only=["calibration_bins"])["linear", "calibration_bins"].verdict == "poor"
    frame = dataset.frame.assign(leak=dataset.frame["y"] * 3 + rng.random(len(table)))
    leaky = Dataset(frame, ("y",), (*dataset.features, "leak"), {**dataset.kinds, "leak": "number"}, "binary")
    found = ask(table, leaky, metric, only=["separation"])["linear", "separation"]
    assert found.verdict == "poor" and "leak" in found.reason


def test_several_targets():
    table, dataset, *_ = draw(n=400)
    other = table.assign(target="z", observed=table["observed"] + table["predicted"])
    answers = ask(pd.concat([table, other]), dataset, only=["calibration_line"])
    assert answers["linear", "residual_correlation"].verdict == "notice"
    assert [row["target"] for row in answers["linear", "calibration_line"].details["per_target"]] == ["y", "z"]


def test_training_facts():
    table, dataset, *_ = draw(n=300)
    epochs = [{"member": 0, "epoch": e, "train_loss": 1.0, "val_loss": 1 / (e + 1)} for e in range(20)]
    facts = [{"curves": epochs, "members": 1, "restarts": [{"member": 0, "attempt": 1}]}]
    members = pd.concat([table.assign(member=k, predicted=table["predicted"] + k) for k in range(3)])
    curve = pd.DataFrame({"arm": "linear", "n": [100, 200, 400], "value": [4.0, 2.0, 1.1]})
    train = pd.DataFrame({"arm": "linear", "repeat": 0, "fold": range(5), "metric": "rmse", "value": 0.4})
    info = {"linear": {"kind": "neural", "facts": facts}}
    answers = ask(table, dataset, info=info, members=members, learning_curve=curve, train_scores=train, only=[])
    verdicts = {
        name: answers["linear", name].verdict for name in ("epochs", "restarts", "seed_spread", "train_test_gap")
    }
    assert verdicts == {"epochs": "poor", "restarts": "poor", "seed_spread": "poor", "train_test_gap": "poor"}
    assert answers["linear", "learning_curve"].verdict == "notice"


def test_a_net_that_stays_at_its_closed_form_is_no_fault():
    curves = [{"member": m, "epoch": e, "train_loss": 1.0, "val_loss": 1.0 + e} for m in range(2) for e in range(1, 8)]
    kept = check_epochs("neural", "neural", [{"curves": curves, "best_epochs": [0, 0]}])
    assert kept.verdict == "good" and "2 stayed at the closed form" in kept.reason
    assert check_epochs("neural", "neural", [{"curves": curves, "best_epochs": [1, 1]}]).verdict == "poor"


def test_rows_outside_the_training_hull():
    table, dataset, *_ = draw(n=600)
    table = table.copy()
    far = np.flatnonzero(table["fold"] == 0)[:20]
    dataset.frame.loc[far, "x1"] = 9.0  # no other fold has such rows to train on
    table.loc[far, "observed"] += 10
    found = ask(table, dataset, only=[])["linear", "outside_hull"]
    assert found.verdict in ("notice", "poor") and found.details["ratio"] > 10
