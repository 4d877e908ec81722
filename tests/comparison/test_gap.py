"""The gap ledger: known truths, adding up, honesty of the choice, refusals, respecification, the gate."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from toolkit.comparison.gap import explain_gap
from toolkit.comparison.gap_follow import respecified_settings, specification_gate
from toolkit.comparison.gap_ladder import climb_fold
from toolkit.comparison.gap_respecify import extended, refusal
from toolkit.comparison.gap_search import pair_candidate
from toolkit.comparison.record import Verdict
from toolkit.data.dataset import Dataset
from toolkit.data.splits import choose_splits
from toolkit.diagnostics.check import Check
from toolkit.errors import InputError
from toolkit.evaluation.evaluate import evaluate
from toolkit.models.formula import FormulaRegression
from toolkit.models.table import Linear


def truth(frame: pd.DataFrame) -> np.ndarray:
    return 2 * frame["a"] ** 2 + 2.0 * (frame["b"] > 0) * (frame["g"] == "yes") + frame["c"]


def world(n: int = 600, seed: int = 0, signal=truth):
    """A dataset, its folds, and the predictions of the linear fit and of a stand-in for a net: the truth with noise."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.normal(size=n) for name in "abcd"})
    frame["g"] = rng.choice(["yes", "no"], n)
    mean = signal(frame)
    frame["y"] = mean + rng.normal(size=n)
    data = Dataset.from_frame(frame, "y")
    splits = choose_splits(data, "kfold", folds=3, repeats=1)
    arms = {"linear": Linear()}
    found = evaluate(data, splits, arms, "rmse", workers=1).predictions
    net = found.assign(arm="neural", predicted=mean.to_numpy()[found["row"]] + 0.1 * rng.normal(size=len(found)))
    return data, splits, pd.concat([found, net], ignore_index=True), arms


@pytest.fixture(scope="module")
def ledger():
    data, splits, predictions, arms = world()
    return explain_gap(data, splits, predictions, ("linear", "neural"), "rmse", estimators=arms)


def test_the_right_terms_are_named_in_order(ledger):
    assert [e.details.get("variables") for e in ledger.entries][:2] == [["a"], ["b", "g"]] or [
        set(e.details.get("variables", [])) for e in ledger.entries
    ][:2] == [{"a"}, {"b", "g"}]
    assert ledger.entries[1].kind == "threshold"
    assert all(e.details["chosen"] == 3 for e in ledger.entries[:2])


def test_shares_add_up_to_the_total_gain(ledger):
    assert sum(e.share for e in ledger.entries) == pytest.approx(ledger.total, rel=1e-9)
    assert ledger.lower < ledger.total < ledger.upper
    assert all(e.lower <= e.share <= e.upper for e in ledger.entries)
    assert sum(e.details["fraction"] for e in ledger.entries) == pytest.approx(1.0)


def test_the_proposed_formula_extends_the_users_own_and_closes_the_gap(ledger):
    formula = ledger.respecified["formula"]
    assert formula.startswith("y ~ a + b + c + d + C(g) + ")
    assert ledger.respecified["decision"] != "neural"
    assert abs(ledger.respecified["gain"]) < 0.2 * ledger.total
    assert all(term["p_value"] < 0.01 for term in ledger.respecified["terms"])


def test_settings_of_the_repair_use_fresh_folds(ledger):
    made = respecified_settings({"name": "x", "arms": {"linear": {}, "neural": {}}, "splits": {"seed": 4}}, ledger)
    assert made["arms"]["formula"]["formula"] == ledger.respecified["formula"]
    assert made["compare"] == ["formula", "neural"] and made["splits"]["seed"] == 5


@pytest.fixture(scope="module")
def no_help():
    """A start that is nearly the truth: the terms that its training rows ask for cannot improve it."""
    data, splits, predictions, _ = world()
    best = truth(data.frame).to_numpy()[predictions["row"]]
    rng = np.random.default_rng(5)
    start = predictions["arm"] == "linear"
    near = best + np.where(start, 0.1, 0.0) * rng.normal(size=len(best))
    predictions = predictions.assign(predicted=near)
    arms = {"linear": FormulaRegression("y ~ a + b + c + d + C(g)")}
    return explain_gap(data, splits, predictions, ("linear", "neural"), "rmse", estimators=arms)


def test_terms_that_do_not_improve_the_start_are_not_proposed(no_help):
    assert no_help.entries[0].kind == "refit" and no_help.entries[0].share < 0
    assert any(e.lower > 0 and e.kind != "remainder" for e in no_help.entries)  # for themselves they are worth a lot
    said = "the terms found do not improve linear on fresh rows; none is proposed"
    repaired = no_help.respecified
    assert (
        repaired["formula"] == "" and repaired["reason"] == said and repaired["score"] > no_help.details["start_score"]
    )
    assert no_help.sentence.endswith(f"{said}.")
    assert "with them" in repaired["sentence"] and "without (improvement -" in repaired["sentence"]
    with pytest.raises(InputError, match=said):
        respecified_settings({"arms": {}}, no_help)
    verdict = Verdict("neural", ("linear", "neural"), 1.0, 0.5, 1.5, {}, "The net wins.")
    failing = Check("reset", "linear", "assumptions", "", 9.0, 0.001, 0.1, "poor", "")
    assert specification_gate(verdict, (failing,), no_help) is verdict  # no repair to wait for


@pytest.mark.parametrize(("noise", "proposed"), [(0.5, True), (1.0, False), (1.5, False)])
def test_a_repair_is_refused_unless_it_surely_improves_the_start(noise, proposed):
    _, _, predictions, _ = world()
    rng = np.random.default_rng(3)
    start = predictions[predictions["arm"] == "linear"]
    tables = [
        start.assign(arm=arm, predicted=start["observed"] + size * rng.normal(size=len(start)))
        for arm, size in (("start", 1.0), ("repaired", noise))
    ]
    found = refusal(pd.concat(tables), "rmse", ("start", "repaired"), {"value": 1, "unit": "percent"}, "kfold", 0)
    assert (not found) == proposed


def test_an_interaction_of_many_levels_is_written_with_straight_lines():
    """24 hours times a spline would be 168 columns without a penalty; 2 levels can carry one."""
    rng = np.random.default_rng(0)
    rows = {"temp": rng.normal(size=600), "hour": rng.integers(0, 24, 600), "open": rng.choice(["yes", "no"], 600)}
    frame, y = pd.DataFrame(rows), pd.Series(rng.normal(size=600), name="y")
    kinds = {"temp": "number", "hour": "number", "open": "category"}
    ladder = climb_fold(Linear(), frame, y, "rmse", kinds, None, 0)
    found = {
        key: extended("y ~ temp", [pair_candidate(ladder.ready, ladder.ready.data, key)], ladder)
        for key in (("hour", "temp"), ("temp", "open"))
    }
    assert found["hour", "temp"] == "y ~ temp + C(hour) + C(hour):temp"
    assert found["temp", "open"].endswith("cr(temp, df=7, constraints='center'):C(open)")


def test_judging_rows_do_not_change_what_is_chosen():
    data, splits, _, _ = world()
    first = splits.folds[0]
    noise = np.random.default_rng(9).normal(size=len(first.judge)) * 50
    frame = data.frame.copy()
    frame.loc[first.judge, "y"] = noise
    changed = Dataset.from_frame(frame, "y")
    found = [
        climb_fold(Linear(), d.X.iloc[first.train], d.frame["y"].iloc[first.train], "rmse", d.kinds, None, 0).found
        for d in (data, changed)
    ]
    assert [(f.candidate.key, f.gain) for f in found[0]] == [(f.candidate.key, f.gain) for f in found[1]]


def test_linear_truth_proposes_no_term():
    for seed in range(4):
        data, splits, predictions, arms = world(300, seed, lambda f: f["a"] + 0.5 * f["b"] + (f["g"] == "yes"))
        gap = explain_gap(data, splits, predictions, ("linear", "neural"), "rmse", estimators=arms)
        assert not gap.respecified
        assert {e.kind for e in gap.entries} <= {"remainder"}


def test_a_poisson_target_is_explained_in_deviance():
    rng = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    mean = np.exp(0.5 + 0.3 * frame["a"] + 0.8 * np.sin(2 * frame["b"]))
    frame["y"] = rng.poisson(mean)
    data = Dataset.from_frame(frame, "y", target_kind="count")
    splits = choose_splits(data, "kfold", folds=3, repeats=1)
    arms = {"formula": FormulaRegression("y ~ a + b", "poisson", metric="poisson_deviance", target_kind="count")}
    found = evaluate(data, splits, arms, "poisson_deviance", workers=1).predictions
    net = found.assign(arm="neural", predicted=mean.to_numpy()[found["row"]])
    table = pd.concat([found, net], ignore_index=True)
    gap = explain_gap(data, splits, table, ("formula", "neural"), "poisson_deviance", estimators=arms)
    assert gap.entries[0].details["variables"] == ["b"]
    assert gap.entries[0].details["fraction"] > 0.8
    assert gap.respecified["family"] == "poisson"


def test_the_log_of_the_target_is_a_cause_of_its_own():
    data, splits, _, arms = world(500, 3, lambda f: np.exp(0.8 * f["a"] + 0.4 * f["b"]) * 50)
    frame = data.frame.assign(y=np.maximum(data.frame["y"], 0.5))
    positive = Dataset.from_frame(frame, "y")
    found = evaluate(positive, splits, arms, "rmse", workers=1).predictions
    mean = (np.exp(0.8 * frame["a"] + 0.4 * frame["b"]) * 50).to_numpy()
    net = found.assign(arm="neural", predicted=mean[found["row"]])
    table = pd.concat([found, net], ignore_index=True)
    gap = explain_gap(positive, splits, table, ("linear", "neural"), "rmse", estimators=arms)
    assert gap.entries[0].kind == "response scale" and gap.entries[0].details["fraction"] > 0.8
    assert gap.respecified["formula"].startswith("np.log(y) ~ a + b")
    assert gap.respecified["gain"] < 0.3 * gap.total


def test_a_refit_of_the_start_is_not_put_down_to_the_first_term():
    data, splits, predictions, _ = world(400)
    shrunk = FormulaRegression("y ~ a + b + c + d + C(g)")
    found = predictions[predictions["arm"] == "linear"]
    worse = found.assign(predicted=0.5 * found["predicted"])  # a start that is far from its own least squares
    table = pd.concat([worse, predictions[predictions["arm"] == "neural"]], ignore_index=True)
    gap = explain_gap(data, splits, table, ("linear", "neural"), "rmse", estimators={"linear": shrunk})
    assert gap.entries[0].kind == "refit" and gap.entries[0].share > 0
    assert sum(e.share for e in gap.entries) == pytest.approx(gap.total, rel=1e-9)


def test_a_term_that_the_formula_has_is_called_a_duplicate():
    data, splits, predictions, _ = world()
    arms = {"linear": FormulaRegression("y ~ C(g) + a + b + c + d")}
    gap = explain_gap(data, splits, predictions, ("linear", "neural"), "rmse", estimators=arms)
    assert "g" in gap.details["duplicates"]


def test_many_columns_are_screened_before_their_pairs_and_the_ledger_says_so():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(400, 200)), columns=[f"x{k}" for k in range(200)])
    mean = 3 * frame["x0"] * frame["x1"]
    frame["y"] = mean + rng.normal(size=400)
    data = Dataset.from_frame(frame, "y")
    splits = choose_splits(data, "holdout", test_size=0.25, repeats=1)
    arms = {"formula": FormulaRegression("y ~ x0 + x1")}
    found = evaluate(data, splits, arms, "rmse", workers=1).predictions
    table = pd.concat([found, found.assign(arm="neural", predicted=mean.to_numpy()[found["row"]])], ignore_index=True)
    gap = explain_gap(data, splits, table, ("formula", "neural"), "rmse", estimators=arms, workers=1)
    assert any(note.startswith("200 columns: only pairs of the 40") for note in gap.details["notes"])
    assert set(gap.entries[0].details["variables"]) == {"x0", "x1"}


@pytest.mark.parametrize("case", ["better", "constant", "failed", "few", "equal"])
def test_refusals_say_why(case):
    data, splits, predictions, arms = world(150 if case == "few" else 240)
    net = predictions["arm"] == "neural"
    if case == "better":
        predictions.loc[net, "predicted"] = 100 * np.arange(net.sum())
    if case == "constant":
        predictions.loc[net, "predicted"] = 1.0
    if case == "failed":
        predictions = predictions[~net]
    if case == "equal":
        predictions.loc[net, "predicted"] = predictions.loc[~net, "predicted"].to_numpy()
    gap = explain_gap(data, splits, predictions, ("linear", "neural"), "rmse", estimators=arms)
    words = {"better": "no gap", "constant": "constant", "failed": "no predictions", "few": "150 rows", "equal": "same"}
    assert words[case] in gap.reason and not gap.entries
    with pytest.raises(InputError, match="nothing to respecify"):
        respecified_settings({}, gap)


def test_the_gate_holds_a_verdict_as_provisional_until_the_form_is_repaired(ledger):
    won = Verdict("neural", ("linear", "neural"), 1.0, 0.5, 1.5, {}, "The net is better.")
    failing = Check("reset", "linear", "assumptions", "", 9.0, 0.001, 0.1, "poor", "")
    held = specification_gate(won, (failing,), ledger)
    assert held.provisional and "after the repair" in held.sentence
    passing = SimpleNamespace(arm="linear", check="reset", verdict="good")
    assert specification_gate(won, (passing,), ledger) is won
    assert specification_gate(won, (failing,), None) is won


def test_two_targets_are_explained_one_by_one():
    data, splits, predictions, arms = world(300)
    frame = data.frame.assign(z=data.frame["y"])
    both = Dataset.from_frame(frame, ["y", "z"])
    table = pd.concat([predictions, predictions.assign(target="z")], ignore_index=True)
    gap = explain_gap(both, splits, table, ("linear", "neural"), "rmse", estimators=arms)
    assert {e.term.split(":")[0] for e in gap.entries} == {"y", "z"}
    assert sum(e.share for e in gap.entries) == pytest.approx(gap.total, rel=1e-9)
