"""Remedies carried out: a further arm, and what it changed in estimates, intervals and verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

import toolkit as tk
from toolkit import treatment
from toolkit.reporting.contract import from_contract
from toolkit.reporting.first_screen import first_screen
from toolkit.tracking_items import arm_items, comparison_items

ARMS = {"formula": {"formula": "x"}, "linear": {}}


class Broken(RegressorMixin, BaseEstimator):
    """Never fits."""

    def fit(self, X: object, y: object) -> Broken:
        raise RuntimeError("no luck today")

    def predict(self, X: object) -> np.ndarray:
        raise AssertionError("was never fitted")


def frame(spread: float, follow: float = 0.0, n: int = 400) -> pd.DataFrame:
    """y = 1 + 2 x + error with sd exp(spread x), and an AR(1) with `follow`."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=n)
    error = np.exp(spread * x) * rng.normal(size=n)
    for i in range(1, n):
        error[i] += follow * error[i - 1]
        x[i] = 0.9 * x[i - 1] + 0.44 * x[i] if follow else x[i]
    return pd.DataFrame({"x": x, "when": pd.date_range("2024-01-01", periods=n, freq="D"), "y": 1 + 2 * x + error})


def remedied(data: pd.DataFrame, **more: object) -> tk.Analysis:
    given = {"arms": ARMS, "compare": ["formula", "linear"], "remedy": True, "splits": {"folds": 3, "repeats": 1}}
    return tk.compare(data, "y", **{**given, **more})


@pytest.fixture(scope="module")
def weighted() -> tk.Analysis:
    return remedied(frame(1.0).drop(columns="when"))


def test_unequal_spread_gets_weights(weighted: tk.Analysis) -> None:
    remedy = weighted.remedy
    assert (remedy.arm, remedy.treated) == ("formula", "formula_remedied")
    assert [change["setting"] for change in remedy.changes] == ["weights"]
    assert "breusch_pagan" in remedy.changes[0]["checks"]
    slope = next(one for one in remedy.estimates if one["term"] == "x")
    assert slope["after"]["se"] < 0.6 * slope["before"]["se"]
    assert abs(slope["after"]["estimate"] - 2) < 4 * slope["after"]["se"]
    assert remedy.same_scale and remedy.intervals["after"]["coverage"] == pytest.approx(0.9, abs=0.05)
    assert remedy.verdict.arms == ("formula_remedied", "linear")
    assert "weights" in remedy.sentence


def test_the_further_arm_is_an_arm_like_the_others(weighted: tk.Analysis) -> None:
    assert list(weighted.arms) == ["formula", "linear", "formula_remedied"]
    assert weighted.arms["formula_remedied"].scores["rmse"]["mean"] == weighted.remedy.scores["after"]["mean"]
    rows = weighted.predictions.groupby("arm")["row"].nunique()
    assert rows["formula_remedied"] == rows["formula"]
    assert "formula_remedied" in {check.arm for check in weighted.checks_found}
    assert weighted.verdict.arms == ("formula", "linear")  # the main verdict is not touched


def test_it_is_shown_and_reads_back(weighted: tk.Analysis, tmp_path: Path) -> None:
    from toolkit.reporting.outputs import write_outputs

    write_outputs(weighted, tmp_path, weighted.data)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What the checks called for" in page and "inverse of the predicted variance" in page
    assert "## What the checks called for" in (tmp_path / "report.md").read_text(encoding="utf-8")
    back = from_contract(tmp_path)
    assert back.remedy.sentence == weighted.remedy.sentence and back.remedy.estimates == weighted.remedy.estimates
    assert first_screen(back) == first_screen(weighted)
    assert " ".join(weighted.remedy.sentence.split()[:6]) in first_screen(back)


def test_it_is_a_child_run_of_its_own(weighted: tk.Analysis) -> None:
    child = arm_items(weighted, "formula_remedied")  # the tracking tests log whatever items say
    assert child.tags["remedy.of"] == "formula" and child.tags["run.kind"] == "model"
    assert child.tables["remedy.json"]["setting"].tolist() == ["weights"]
    assert {"estimate_before", "estimate_after", "upper_after"} <= set(child.tables["estimates.json"])
    assert {"test/rmse", "diag/breusch_pagan_p"} <= {name for name, *_ in child.metrics}
    assert "remedy.json" not in arm_items(weighted, "formula").tables
    parent = comparison_items(weighted)
    assert {"remedy/gain", "remedy/lower", "remedy/upper"} <= {name for name, *_ in parent.metrics}
    assert parent.tags["remedy"] == weighted.remedy.sentence


def test_errors_that_follow_each_other_move_standard_errors_only() -> None:
    found = remedied(frame(0.0, follow=0.7), time="when", splits={"scheme": "time", "folds": 4})
    remedy = found.remedy
    assert [(change["setting"], change["after"]) for change in remedy.changes] == [("cov", "HAC")]
    slope = next(one for one in remedy.estimates if one["term"] == "x")
    assert slope["after"]["estimate"] == pytest.approx(slope["before"]["estimate"])
    assert slope["after"]["se"] > 1.2 * slope["before"]["se"]
    wide = found.predictions.pivot_table(index=["fold", "row"], columns="arm", values="predicted")
    assert (wide["formula"] == wide["formula_remedied"]).all()
    assert remedy.verdict.decision == found.verdict.decision
    assert "standard errors change" in remedy.sentence


def test_a_long_tail_gets_a_logarithm() -> None:
    data = frame(0.0).drop(columns="when")
    rng = np.random.default_rng(0)
    data["y"] = np.exp(0.5 * data["x"] + 0.7 * rng.normal(size=len(data)))
    remedy = remedied(data).remedy
    assert [(c["setting"], c["after"]) for c in remedy.changes] == [("formula", "np.log(y) ~ x")]
    assert not remedy.same_scale
    assert sum(row["after"]["verdict"] == "poor" for row in remedy.checks) < sum(
        row["before"]["verdict"] == "poor" for row in remedy.checks
    )


def test_counts_that_spread_more_get_a_negative_binomial() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=600)})
    data["y"] = rng.negative_binomial(1, 1 / (1 + np.exp(1 + 0.5 * data["x"])))  # variance mean + mean^2
    remedy = remedied(data, arms={"formula": {"formula": "x", "family": "poisson"}, "linear": {}}).remedy
    assert [(change["setting"], change["after"]) for change in remedy.changes] == [("family", "negative_binomial")]
    verdicts = {row["check"]: (row["before"]["verdict"], row["after"]["verdict"]) for row in remedy.checks}
    assert verdicts["dispersion"] == ("poor", "good") and verdicts["zero_inflation"] == ("poor", "good")


def test_a_series_regression_gets_more_lags() -> None:
    rng = np.random.default_rng(0)
    y = np.zeros(240)
    for i in range(3, 240):
        y[i] = 0.9 * y[i - 1] - 0.7 * y[i - 2] + 0.5 * y[i - 3] + rng.normal()
    data = pd.DataFrame({"when": pd.date_range("2000-01-01", periods=240, freq="D"), "y": 50 + y})
    frozen = {
        "lookback": 1,
        "average": False,
        "mean": "none",
        "transform": "none",
        "steps": "direct",
        "sharing": "shared",
    }
    found = tk.compare(
        data, "y", time="when", arms={"naive": {}, "regression": frozen}, compare=["regression", "naive"], remedy=True,
        splits={"scheme": "rolling_origin", "horizon": 1, "origins": 60, "step": 1, "refit": 60},
    )  # fmt: skip
    remedy = found.remedy
    assert [(change["setting"], change["before"], change["after"]) for change in remedy.changes] == [("lookback", 1, 8)]
    assert "innovation_ljung_box" in remedy.changes[0]["checks"]
    assert remedy.scores["after"]["mean"] < 0.9 * remedy.scores["before"]["mean"]
    doubts = {row["check"]: (row["before"]["verdict"], row["after"]["verdict"]) for row in remedy.checks}
    assert doubts["innovation_ljung_box"] == ("poor", "good")


def test_nothing_is_changed_where_nothing_is_called_for() -> None:
    found = remedied(frame(0.0).drop(columns="when"), arms={**ARMS, "formula": {"formula": "x", "cov": "HC3"}})
    assert found.remedy.treated == "" and found.remedy.sentence.startswith("Nothing was changed")
    assert list(found.arms) == ["formula", "linear"]
    assert remedied(frame(0.0).drop(columns="when"), remedy=False).remedy is None


def test_a_changed_regression_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treatment, "treated", lambda *_: Broken())
    found = remedied(frame(1.0).drop(columns="when"))
    assert "no luck today" in found.remedy.sentence and found.remedy.verdict is None
    assert found.arms["formula_remedied"].failures
