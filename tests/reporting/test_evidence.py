"""What stands behind a verdict, as tables: each block says what its numbers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.comparison.tables import folds_table
from toolkit.comparison.record import ArmResult, Comparison
from toolkit.comparison.verdict import compare_arms
from toolkit.reporting.evidence import evidence_blocks

PAIR = ("regression", "neural")


def comparison(**changes) -> Comparison:
    table = folds_table(n=1200, gain=0.02, noise=0.3)
    net = table[table["arm"] == "neural"]
    members = pd.concat([net.assign(member=k, predicted=net["predicted"] + 0.1 * k) for k in range(3)])
    x = np.random.default_rng(0).normal(size=1200)
    tests, verdict = compare_arms(
        table, "rmse", PAIR, members=members, features=pd.DataFrame({"x": x}),
        costs={"regression": {"fit_seconds": 0.5}, "neural": {"fit_seconds": 5.0, "predict_seconds": 0.6,
               "predicted_rows": 1200, "parameters": 12345, "explainability": "its effects only"}},
    )  # fmt: skip
    if changes:
        verdict = replace(verdict, details={**verdict.details, **changes})
    arms = {arm: ArmResult(arm, arm, {"rmse": {"mean": 1.0, "se": 0.1, "per_fold": [1.0]}}, 1.0, 1.0) for arm in PAIR}
    return Comparison(
        "example", "", "rmse", {"value": 1.0, "unit": "percent"}, {}, {}, arms, table, members, (), tests, verdict
    )


def blocks(one: Comparison) -> dict[str, dict[str, tuple[str, ...]]]:
    return {block.title: {row[0]: row[1:] for row in block.rows} for block in evidence_blocks(one)}


def test_claims_of_every_test_and_which_one_decides():
    one = comparison()
    found = blocks(one)["The three claims, test by test"]
    assert set(found) == {"corrected t", "clustered clt", "corrected row test (decides)", "bayesian correlated t"}
    neural = one.verdict.probabilities["neural"]
    assert found["corrected row test (decides)"][2] == f"{100 * neural:.1f} %"
    assert found["corrected t"][:3] == found["bayesian correlated t"][:3]  # the same t distribution


def test_shares_of_the_uncertainty_add_up():
    found = blocks(comparison())["Where the uncertainty comes from"]
    shares = [int(found[name][1].removesuffix(" %")) for name in found if name.startswith("other")]
    assert len(shares) == 3 and sum(shares) == pytest.approx(100, abs=1)
    assert "score of neural over its seeds" in found


def test_power_says_what_would_decide():
    one = comparison()
    assert one.verdict.decision == "undecided"
    found = blocks(one)["Power"]
    needed = one.verdict.details["units_needed"]
    assert found["rows now"] == ("1,200",)
    told = next(value for name, (value,) in found.items() if "would decide" in name)
    assert told == (f"{needed['needed']:,} ({needed['claim']})" if needed["needed"] else told)


def test_costs_stand_beside_the_gain():
    found = blocks(comparison())["What it costs"]
    assert found["neural"] == ("5.00 s", "10 x", "500 ms", "12,345", "its effects only")
    assert found["regression"][1:4] == ("1 x", "–", "–")


def test_a_win_that_is_gone_is_marked():
    row = {"kind": "noise", "words": "when noise is added", "decision": "undecided", "vanishes": True,
           "estimate": 0.1, "lower": -0.1, "upper": 0.3}  # fmt: skip
    found = blocks(comparison(stress=[row]))["Does it hold elsewhere?"]
    assert found["when noise is added"] == ("undecided", "0.100", "−0.100 to 0.300", "the win is gone")
    assert len(found) == 2  # beside the main verdict


def test_blocks_without_numbers_are_left_out():
    bare = replace(comparison(), tests=())
    bare = replace(bare, verdict=replace(bare.verdict, details={}))
    assert evidence_blocks(bare) == []
