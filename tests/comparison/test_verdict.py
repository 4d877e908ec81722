"""The verdict and its sentence, branch by branch."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.comparison.tables import folds_table, origins_table
from toolkit.comparison.sentence import verdict_reasons, verdict_sentence
from toolkit.comparison.verdict import compare_arms
from toolkit.errors import InputError

PAIR = ("regression", "neural")


@pytest.mark.parametrize("gain", [0.2, -0.25, 0.0])
@pytest.mark.parametrize("scheme", ["kfold", "holdout", "rolling_origin"])
@pytest.mark.parametrize("arms", [PAIR, ("ols", "net")])
def test_swapping_the_arms_mirrors_every_number(gain, scheme, arms):
    table = origins_table(gain=gain) if scheme == "rolling_origin" else folds_table(gain=gain)
    table = table[table["fold"] == 0] if scheme == "holdout" else table
    table = table.replace({"arm": dict(zip(PAIR, arms, strict=True))})
    features = pd.DataFrame(
        {"x": np.random.default_rng(3).normal(size=400), "level": np.random.default_rng(4).choice(list("abc"), 400)}
    )
    net = table[table["arm"] == arms[1]]
    members = pd.concat([net.assign(member=k, predicted=net["predicted"] + 0.1 * k) for k in range(3)])
    more = {"scheme": scheme, "members": members, "features": features}
    tests, verdict = compare_arms(table, "rmse", arms, **more)
    swapped_tests, swapped = compare_arms(table, "rmse", arms[::-1], **more)
    assert swapped.estimate == pytest.approx(-verdict.estimate, abs=1e-12)
    assert (swapped.lower, swapped.upper) == pytest.approx((-verdict.upper, -verdict.lower))
    claims = verdict.probabilities
    assert swapped.probabilities == pytest.approx(
        {"neural": claims["regression"], "equivalent": claims["equivalent"], "regression": claims["neural"]}, abs=1e-9
    )
    for key in ("margin_absolute", "detectable_gain", "reference"):
        assert swapped.details[key] == pytest.approx(verdict.details[key])
    mirror = {"neural": "regression", "regression": "neural"}
    assert swapped.decision == mirror.get(verdict.decision, verdict.decision)
    assert swapped.winner == verdict.winner
    assert len(tests) == len(swapped_tests)
    assert compared(tests, 1) == pytest.approx(compared(swapped_tests, -1), abs=1e-9)


def compared(tests, sign: int) -> dict[str, float]:
    """Every p-value and every estimate by what it is about, those of a gain with their sign turned for the mirror."""
    found = {}
    for one in tests:
        about = one.details.get("weight_of") or one.details.get("over") or one.details.get("arm")
        key = one.details.get("rule") or one.details.get("horizon") or ""
        name = f"{'encompassing' if about and 'adds' in one.name else one.name} {about or ''} {key}"
        if one.name.startswith("slice"):  # a level's rank by gain is turned round with the arms; its rule stays
            name = f"{one.name} {one.details['rule']}"
        found[f"{name} p"] = -1.0 if one.p_value is None else one.p_value
        if one.estimate is not None:
            found[f"{name} gain"] = one.estimate if about else sign * one.estimate
    return found


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2", "mse"])
@pytest.mark.parametrize("shift", [0.0, 1e-12])
@pytest.mark.parametrize("scheme", ["kfold", "holdout", "rolling_origin"])
@pytest.mark.parametrize("margin", [None, {"value": 0.0, "unit": "absolute"}])
def test_an_arm_against_itself_is_equivalent(metric, shift, scheme, margin):
    table = origins_table() if scheme == "rolling_origin" else folds_table()
    table = table[table["fold"] == 0] if scheme == "holdout" else table
    first = table[table["arm"] == "regression"]
    twin = first.assign(arm="neural", predicted=first["predicted"] + shift)
    _, verdict = compare_arms(pd.concat([first, twin]), metric, PAIR, margin, scheme)
    assert verdict.decision == "equivalent" and verdict.winner is None
    assert "same predictions up to rounding" in verdict.sentence


def test_perfect_twins_are_equivalent():
    first = folds_table().query("arm == 'regression'")
    first = first.assign(predicted=first["observed"])
    twin = first.assign(arm="neural", predicted=first["predicted"] + 1e-12)
    assert compare_arms(pd.concat([first, twin]), "rmse", PAIR)[1].decision == "equivalent"


def test_sentence_neural():
    _, v = compare_arms(folds_table(gain=0.2), "rmse", PAIR)
    assert v.decision == "neural" and v.winner == "neural" and v.estimate > 0
    gain, low, high = (f"{v.details[k]:.3g} %" for k in ("gain_percent", "lower_percent", "upper_percent"))
    scores = f"RMSE {v.details['scores']['neural']:.4g} against {v.details['scores']['regression']:.4g}"
    assert v.sentence == (
        f"neural predicts better than regression, by {gain} ({scores}; 95 % interval of the gain {low} to {high}). "
        "The chance that the gain exceeds the margin of 1 % is over 99.9 %."
    )
    numbers = v.reasons[1]
    assert f"{v.estimate:.4g} RMSE" in numbers and f"{v.lower:.4g} to {v.upper:.4g}" in numbers
    assert "row-level test over all folds, 400 rows" in numbers


def test_sentence_regression_with_an_absolute_margin():
    _, v = compare_arms(folds_table(gain=-0.25), "mae", PAIR, {"value": 0.02, "unit": "absolute"})
    assert v.decision == "regression" and v.estimate < 0
    low, high = -v.upper, -v.lower  # as seen from the regression, in units of the metric
    assert v.sentence.startswith(f"regression predicts better than neural, by {-v.estimate:.4g} (MAE ")
    assert f"interval of the gain {low:.4g} to {high:.4g})" in v.sentence
    assert "exceeds the margin of 0.02 is" in v.sentence


def test_sentence_regression_in_per_cent_says_of_what():
    _, v = compare_arms(folds_table(gain=-0.25), "rmse", PAIR)
    assert f"by {-v.details['gain_percent']:.3g} % of the score of regression (RMSE" in v.sentence


def test_sentence_equivalent():
    _, v = compare_arms(folds_table(n=3000), "rmse", PAIR, {"value": 5, "unit": "percent"})
    assert v.decision == "equivalent" and v.winner is None
    assert v.sentence.startswith("regression and neural are equivalent for this purpose: RMSE ")
    ahead = "neural" if v.estimate >= 0 else "regression"
    assert f"{ahead} ahead by {abs(v.details['gain_percent']):.2g} %" in v.sentence
    assert "worse to" in v.sentence  # the interval holds 0, told in words and not with a minus
    assert "smaller than the margin of 5 % is over 99.9 %. Take the cheaper" in v.sentence


def test_sentence_undecided_says_what_would_decide():
    _, v = compare_arms(folds_table(n=80, gain=0.03, noise=0.4), "rmse", PAIR)
    assert v.decision == "undecided"
    ahead, behind = PAIR[::-1] if v.estimate > 0 else PAIR
    assert v.sentence.startswith(f"Not decided: {ahead} scores better than {behind} here, by ")
    assert " % worse to " in v.sentence and "95 % is needed." in v.sentence
    needed = v.details["units_needed"]
    assert needed["needed"] is None or f"About {needed['needed']:,} rows instead of 80 would decide it." in v.sentence
    assert v.details["detectable_gain"] > 0
    assert any(f"in four of five cases is {v.details['detectable_gain']:.4g} RMSE" in r for r in v.reasons)


FACTS = {
    "decision": "undecided",
    "reason": "no claim reaches a probability of 0.95",
    "arms": PAIR,
    "label": "RMSE",
    "scores": (1.0, 0.98),
    "gain": 0.02,
    "lower": -0.01,
    "upper": 0.05,
    "gain_percent": 2.0,
    "lower_percent": -1.0,
    "upper_percent": 5.0,
    "reference": "regression",
    "margin": 0.01,
    "margin_given": {"value": 1.0, "unit": "percent"},
    "probabilities": {"neural": 0.85, "equivalent": 0.13, "regression": 0.02},
    "test": "corrected_row_test",
    "n": 300,
    "unit": "rows",
    "detectable": 0.03,
    "needed": {"claim": "neural", "unit": "rows", "now": 300, "needed": 900, "rows_needed": 900, "factor": 3.0},
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {},
            "Not decided: neural scores better than regression here, by 2 % (RMSE 0.98 against 1), but the true gain "
            "may be anything from 1 % worse to 5 % better (95 % interval). The chance that neural is better by more "
            "than the margin of 1 % is 85.0 %; 95 % is needed. About 900 rows instead of 300 would decide it.",
        ),
        (
            {"gain": -0.02, "gain_percent": -2.0, "lower_percent": -5.0, "upper_percent": 1.0},
            "regression scores better",
        ),
        ({"lower_percent": 0.5}, "may be anything from 0.5 % to 5 % (95 % interval)"),
        (
            {"probabilities": {"neural": 0.1, "equivalent": 0.8, "regression": 0.1}},
            "they differ by less than the margin",
        ),
        (
            {"probabilities": {"neural": 0.96, "equivalent": 0.03, "regression": 0.01}, "reason": "p = 0.07"},
            "is 96.0 %; but p = 0.07.",
        ),
        ({"needed": {"needed": None}}, "no realistic amount of data would decide it"),
        ({"gain_percent": None}, "by 0.02 (RMSE 0.98 against 1), but the true gain may be anything from 0.01 worse"),
        (
            {"cause": "the same in every row"},
            "Not decided between regression and neural (RMSE 1 against 0.98): the same",
        ),
        ({"identical": True, "decision": "equivalent"}, "same predictions up to rounding (RMSE 1)"),
        (
            {"encompassing": {"use_both": True, "mean_weight": 0.61, "score": 0.95}},
            "Use both if you can: 61 % neural and the rest regression reach RMSE 0.95, better than either alone.",
        ),
        ({"quick": True}, "quick run"),
        ({"provisional": "one fold failed"}, "The verdict is provisional: one fold failed."),
        ({"targets": {"a": 1.0, "b": None}}, "These are averages over 2 targets."),
    ],
)
def test_every_branch_of_the_sentence(change, words):
    assert words in verdict_sentence({**FACTS, **change})


def test_reasons_hold_the_numbers_behind():
    lines = verdict_reasons(
        {
            **FACTS,
            "targets": {"a": 1.0, "b": None},
            "uncertainty": {"rows_share": 0.5, "splits_share": 0.4, "seeds_share": 0.1},
        }
    )
    assert lines[0].startswith("undecided: no claim")
    assert "gain of neural over regression: 0.02 RMSE (2 % of regression's), 95 % interval -0.01 to 0.05" in lines[1]
    assert "in four of five cases is 0.03 RMSE" in lines[2]
    assert "900 rows (now 300) give the answer in four of five cases: neural wins" in lines[3]
    assert lines[4].endswith(
        "50 % from the judging rows, 40 % from other training rows, 10 % from the seeds of the nets"
    )
    assert lines[5] == "gain of neural by target: a 1 %, b no score to compare"


def test_sentence_targets_quick_and_provisional():
    table = folds_table(gain=0.2, targets=("a", "b"))
    _, v = compare_arms(table, "rmse", PAIR, quick=True)
    assert "averages over 2 targets" in v.sentence and "quick run" in v.sentence and v.provisional
    assert set(v.details["targets"]) == {"a", "b"}
    _, v = compare_arms(table, "rmse", PAIR, provisional="one fold failed")
    assert "provisional: one fold failed" in v.sentence


def test_greater_is_better_is_turned_round():
    _, v = compare_arms(folds_table(gain=0.2), "r2", PAIR)
    assert v.decision == "neural" and v.estimate > 0


def test_a_constant_loss_difference_is_no_win():
    table = folds_table(noise=0.0)
    at = table["arm"] == "neural"
    table["observed"] = 0.0
    table["predicted"] = np.where(at, 1.0, 2.0)
    _, v = compare_arms(table, "mae", PAIR)
    assert v.decision == "undecided" and "the same in every row" in v.sentence


@pytest.mark.parametrize("origins", [3, 5, 6])
def test_a_handful_of_origins_decides_nothing(origins):
    table = origins_table(origins=origins, gain=0.5).sort_values("arm", kind="stable")
    half = len(table) // 2
    table["observed"], error = 0.0, np.tile(np.linspace(1.0, 1.1, half), 2)
    table["predicted"] = np.where(table["arm"] == "neural", 0.5, 1.0) * error
    _, v = compare_arms(table, "mae", PAIR, scheme="rolling_origin")
    assert v.lower > 0 and v.probabilities["neural"] > 0.95
    assert v.decision == ("neural" if origins >= 6 else "undecided")
    if origins < 6:
        assert f"{origins} independent origins are too few to decide by" in v.sentence
        assert "About 6 origins" in v.sentence


def test_the_steps_of_one_origin_decide_nothing():
    steps = np.arange(1, 13)
    loss = 1 + 0.01 * np.sin(steps)
    table = pd.concat(
        pd.DataFrame({"arm": arm, "repeat": 0, "fold": 0, "row": steps, "target": "y", "observed": 0.0,
                      "predicted": size * loss, "origin": 0, "horizon": steps, "time": steps})
        for arm, size in (("regression", 1.0), ("neural", 0.5))
    )  # fmt: skip
    _, v = compare_arms(table, "mae", PAIR, scheme="rolling_origin")
    assert v.probabilities["neural"] > 0.95 and v.decision == "undecided"
    assert "12 time steps, 12 of which overlap, are too few to decide by, 72 are needed" in v.sentence


def test_members_widen_the_interval_and_are_shown():
    table = folds_table(gain=0.1)
    net = table[table["arm"] == "neural"]
    rng = np.random.default_rng(0)
    members = pd.concat(
        [
            net.assign(member=k, predicted=net["predicted"] + 0.5 * rng.normal() + 0.1 * rng.normal(size=len(net)))
            for k in range(3)
        ]
    )
    _, without = compare_arms(table, "rmse", PAIR)
    _, with_members = compare_arms(table, "rmse", PAIR, members=members)
    assert with_members.details["se"] > without.details["se"]
    shares = with_members.details["uncertainty"]
    assert sum(shares[f"{s}_share"] for s in ("rows", "splits", "seeds")) == pytest.approx(1)
    assert shares["seeds_share"] > 0


def test_slices_find_where_the_net_wins():
    table = folds_table(n=2000, gain=0.0)
    side = np.random.default_rng(1).choice(["left", "right"], 2000)
    at = (table["arm"] == "neural") & (side[table["row"]] == "right")
    table.loc[at, "predicted"] = (0.5 * table["predicted"] + 0.5 * table["observed"])[at]
    features = pd.DataFrame({"side": side, "x": np.random.default_rng(2).normal(size=2000)})
    tests, v = compare_arms(table, "rmse", PAIR, features=features)
    best = v.details["slices"][0]
    assert "side in {right}" in best["rule"] and best["better"] == "neural" and best["p_holm"] < 0.01
    assert any(t.name == "slice_gain" for t in tests)


def test_horizons_tost_and_costs():
    tests, v = compare_arms(
        origins_table(gain=0.2),
        "mae",
        PAIR,
        scheme="rolling_origin",
        nested=True,
        costs={"regression": {"fit_seconds": 1.0}, "neural": {"fit_seconds": 8.0}},
    )
    names = {t.name for t in tests}
    assert {
        "diebold_mariano_hln",
        "diebold_mariano_fixed_b",
        "equivalence_tost",
        "clark_west",
        "mincer_zarnowitz",
    } <= names
    assert {t.details["horizon"] for t in tests if "horizon" in t.details} == {1, 2, 3, 4}
    assert v.details["costs"][1]["fit_ratio"] == 8.0


@pytest.mark.parametrize("margin", [{"value": -1, "unit": "percent"}, {"value": "much"}, {"value": float("nan")}])
def test_bad_margins(margin):
    with pytest.raises(InputError, match="margin"):
        compare_arms(folds_table(), "rmse", PAIR, margin)
