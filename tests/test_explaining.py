"""The gap ledger inside a run: when it is made, where it starts, what it leaves, and the pipeline of the repair."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.base import BaseEstimator, RegressorMixin

import toolkit as tk
from tests.contract import check, read_strictly
from tests.test_cli import toolkit
from toolkit.comparison.gap import explain_gap
from toolkit.comparison.gap_words import gap_sentence
from toolkit.data.splits import choose_splits
from toolkit.pipeline import run
from toolkit.reporting.contract import from_contract
from toolkit.reporting.outputs import write_outputs

SETTINGS = """
data: {file: rows.csv, target: y}
splits: {folds: 3, repeats: 1}
arms: {linear: {}, formula: {formula: "y ~ x + z + C(level)"}, boosting: {}}
compare: [formula, boosting]
effect: z
"""


def bent(n: int = 400) -> pd.DataFrame:
    """A step of x for one level that a straight line misses."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "level": rng.choice(["a", "b"], n)})
    rows["y"] = rows["z"] + 3.0 * ((rows["x"] > 0) & (rows["level"] == "a")) + rng.normal(size=n) * 0.5
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("explained")
    bent().to_csv(place / "rows.csv", index=False)
    (place / "bent.yaml").write_text(SETTINGS, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def done(folder: Path) -> tk.Analysis:
    return run(folder / "bent.yaml", out=folder / "out", tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def test_a_run_that_the_net_wins_names_the_cause(done: tk.Analysis, folder: Path) -> None:
    assert done.verdict.decision == "neural"
    gap = done.gap
    assert (gap.start, gap.net) == ("formula", "boosting")
    named = [set(entry.details.get("variables", ())) for entry in gap.entries]
    assert named[0] == {"x"} and {"x", "level"} in named  # the step, then its two heights
    assert gap.sentence.startswith("boosting is ") and ": level" in gap.sentence
    document = json.loads((folder / "out" / "comparison.json").read_text(encoding="utf-8"))["gap"]
    assert document["total"] == pytest.approx(sum(entry["share"] for entry in document["entries"]))
    assert document["respecified"]["formula"].startswith("y ~ x + z + C(level) + ")
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "After the repair" in page and "toolkit respecify" in page
    assert "Where the gap comes from" in (folder / "out" / "report.md").read_text(encoding="utf-8")


def test_the_ledger_is_logged(done: tk.Analysis) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(done.mlflow["tracking_uri"])
    parent = client.get_run(done.mlflow["run_id"])
    assert parent.data.metrics["ledger/total"] == pytest.approx(done.gap.total)
    assert parent.data.tags["ledger"] == done.gap.sentence
    assert "gap.json" in [item.path for item in client.list_artifacts(parent.info.run_id)]


def test_the_coefficient_of_interest_by_both_methods(done: tk.Analysis, folder: Path) -> None:
    found = done.coefficient
    assert found["regression"]["lower"] < 1 < found["regression"]["upper"]
    assert found["flexible"]["lower"] < 1 < found["flexible"]["upper"] and found["survives"]
    assert found["flexible"]["se"] < found["regression"]["se"]  # the step of x is no noise any more
    document = json.loads((folder / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert document["coefficient"]["sentence"] == found["sentence"]
    assert found["sentence"].split("'")[2] in (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert from_contract(folder / "out").coefficient == document["coefficient"]


@pytest.mark.parametrize(("effect", "line"), [("zz", "did you mean 'z'"), ("level3", "3 levels"), ("y", "unknown")])
def test_an_effect_that_cannot_be_estimated_stops_before_any_fit(effect: str, line: str) -> None:
    rows = bent(250).assign(level3=["a", "b", "c", "a", "b"] * 50)
    with pytest.raises(tk.InputError, match=line):
        tk.compare(rows, "y", arms=["linear", "boosting"], effect=effect)


def test_held_models_give_the_ledger_that_fresh_fits_give(done: tk.Analysis) -> None:
    from toolkit.models.formula import FormulaRegression

    start = FormulaRegression("y ~ x + z + C(level)")
    splits = choose_splits(done.data, "kfold", folds=3, repeats=1)
    gap = explain_gap(
        *(done.data, splits, done.predictions, ("formula", "boosting"), "rmse"),
        estimators={"formula": start}, margin=done.margin,
    )  # fmt: skip
    assert [(e.term, e.share) for e in gap.entries] == [(e.term, pytest.approx(e.share)) for e in done.gap.entries]


def test_respecify_writes_a_pipeline_that_runs(done: tk.Analysis, folder: Path) -> None:
    told = toolkit("respecify", "out", cwd=folder)
    assert told.returncode == 0 and told.stdout.strip() == "toolkit run bent_respecified.yaml"
    settings = yaml.safe_load((folder / "bent_respecified.yaml").read_text(encoding="utf-8"))
    assert settings["arms"]["formula"]["formula"] == done.gap.respecified["formula"]
    assert settings["compare"] == ["formula", "boosting"] and settings["splits"]["seed"] == 1
    again = run(folder / "bent_respecified.yaml", out=folder / "again", tracking_uri="none")
    assert again.verdict.decision in ("regression", "equivalent")
    assert again.gap is None  # nothing to explain any more
    assert from_contract(folder / "again").gap_ledger is None
    refused = toolkit("respecify", "again", cwd=folder)
    assert refused.returncode == 1 and "no gap ledger" in refused.stderr


def test_a_repair_that_improves_nothing_is_not_offered_anywhere(done: tk.Analysis, folder: Path) -> None:
    why = "the terms found do not improve formula on fresh rows; none is proposed"
    refused = {"formula": "", "score": 1.0, "terms": done.gap.respecified["terms"], "fit": "", "reason": why,
               "sentence": "The terms found do not improve formula on fresh rows. None is proposed."}  # fmt: skip
    ledger = replace(done.gap, respecified=refused)
    ledger = replace(ledger, sentence=gap_sentence(ledger))
    assert why in ledger.sentence
    write_outputs(replace(done, gap_ledger=ledger), folder / "none", done.data)
    document = read_strictly(folder / "none" / "comparison.json")
    check(document)
    assert document["gap"]["respecified"]["reason"] == why
    page = (folder / "none" / "report.html").read_text(encoding="utf-8")
    assert "No repair is proposed" in page and "After the repair" not in page and "toolkit respecify" not in page
    shown = toolkit("show", "none", cwd=folder).stdout
    assert "none is proposed" in shown and "toolkit respecify" not in shown
    told = toolkit("respecify", "none", cwd=folder)
    assert told.returncode == 1 and why in told.stderr and len(told.stderr.strip().splitlines()) == 1


def test_the_pipeline_decides_whether_and_from_where() -> None:
    rows, common = bent(260), {"splits": {"folds": 3, "repeats": 1}}
    silent = tk.compare(rows, "y", arms=["linear", "boosting"], gap=False, **common)
    assert silent.gap is None
    arms = {"linear": {}, "formula": {"formula": "y ~ z + C(level) * I((x > 0) * 1.0)"}, "boosting": {}}
    other = tk.compare(rows, "y", arms=arms, compare=["formula", "boosting"], gap="linear", **common)
    assert other.verdict.arms[0] == "formula" and other.gap.start == "linear"
    assert not other.verdict.provisional  # the gate speaks of the compared regression alone
    asked = tk.compare(rows, "y", arms=arms, compare=["formula", "boosting"], gap=True, **common)
    assert "no gap to explain" in asked.gap.reason and not asked.gap.entries


@pytest.mark.parametrize(("gap", "line"), [("liner", "did you mean 'linear'"), ("boosting", "Known: linear")])
def test_a_start_that_is_not_there_is_named_before_any_fit(gap: str, line: str) -> None:
    with pytest.raises(tk.InputError, match=line):
        tk.compare(bent(250), "y", arms=["linear", "boosting"], gap=gap)


class Shy(RegressorMixin, BaseEstimator):
    """Predicts well, and cannot be taken apart: the search on its folds fails."""

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Shy:
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        if len(X) == 2:  # what the ladder asks for to count columns
            raise RuntimeError("not this way")
        return np.full(len(X), self.mean_)


def test_a_ledger_that_fails_costs_only_itself() -> None:
    done = tk.compare(
        bent(250), "y", arms={"shy": Shy(), "boosting": {}}, compare=["shy", "boosting"],
        splits={"folds": 3, "repeats": 1},
    )  # fmt: skip
    assert done.verdict.decision == "neural"
    assert "not this way" in done.gap.reason and not done.gap.entries
