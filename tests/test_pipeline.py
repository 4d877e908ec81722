"""The whole story on small data: what comes back, what is written, what fails how."""

from __future__ import annotations

from pathlib import Path

import contract
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge

import toolkit as tk
from toolkit.pipeline import run
from toolkit.reporting.content import specifications

FILES = {"report.html", "comparison.json", "predictions.parquet", "checks.csv", "scores.csv", "figures"}


def frame(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, level = rng.normal(size=n), rng.choice(["low", "high"], n)
    y = 1.5 * x + 2.0 * (level == "high") + np.sin(3 * x) + rng.normal(size=n) * 0.3
    return pd.DataFrame({"x": x, "level": level, "y": y})


class Broken(RegressorMixin, BaseEstimator):
    """Never fits."""

    def fit(self, X: object, y: object) -> Broken:
        raise RuntimeError("no luck today")

    def predict(self, X: object) -> np.ndarray:
        raise AssertionError("was never fitted")


def pipeline(folder: Path, **changes: str) -> Path:
    frame().to_csv(folder / "rows.csv", index=False)
    settings = {"arms": "[naive, linear, boosting]", "splits": "{folds: 3, repeats: 1}", **changes}
    text = "data: {file: rows.csv, target: y}\n" + "".join(f"{key}: {value}\n" for key, value in settings.items())
    (folder / "small.yaml").write_text(text, encoding="utf-8")
    return folder / "small.yaml"


@pytest.fixture(scope="module")
def compared() -> tk.Analysis:
    return tk.compare(
        frame(), "y", arms={"naive": {}, "linear": {}, "boosting": {}, "ridge": Ridge(), "broken": Broken()},
        compare=["linear", "boosting"], splits={"folds": 3, "repeats": 2},
    )  # fmt: skip


def test_a_searched_regression_can_be_frozen_edited_and_run(tmp_path: Path) -> None:
    data, common = frame().drop(columns="level"), {"splits": {"folds": 3, "repeats": 1}, "gap": False}
    first = tk.compare(data, "y", arms=["naive", "regression"], **common)
    block = next(one["frozen"] for one in specifications(first, 10) if one["arm"] == "regression")
    (tmp_path / "rows.csv").write_text(data.to_csv(index=False), encoding="utf-8")
    text = f"data: {{file: rows.csv, target: y}}\n{block}  naive: {{}}\nsplits: {{folds: 3, repeats: 1}}\ngap: false\n"
    (tmp_path / "frozen.yaml").write_text(text, encoding="utf-8")
    again = run(tmp_path / "frozen.yaml", out=tmp_path / "report", tracking_uri="none")
    one, other = (
        c.predictions[c.predictions["arm"] == arm].set_index("row")["predicted"].sort_index()
        for c, arm in ((first, "regression"), (again, "formula"))
    )
    assert np.std(one - other) < 0.2 * np.std(data["y"] - one)  # bends have lost their penalties, nothing else
    assert np.corrcoef(one, other)[0, 1] > 0.99


def test_python_gets_tables_and_a_verdict(compared: tk.Analysis) -> None:
    assert compared.verdict.decision in ("neural", "regression", "equivalent", "undecided")
    assert compared.verdict.arms == ("linear", "boosting")
    assert compared.verdict.sentence in repr(compared)
    assert set(compared.scores["arm"]) == {"naive", "linear", "boosting", "ridge"}
    assert compared.predictions.groupby("arm").size().eq(600).all()
    assert {"check", "arm", "verdict", "p_value"} <= set(compared.checks.columns)
    assert compared.verdict.sentence.split(":")[0] in compared._repr_html_()


def test_an_arm_that_fails_is_reported_and_the_others_finish(compared: tk.Analysis) -> None:
    assert len(compared.arms["broken"].failures) == 6
    assert "no luck today" in compared.arms["broken"].failures[0]


def test_models_of_the_pair_predict_new_rows(compared: tk.Analysis) -> None:
    assert set(compared.models) == {"linear", "boosting"}
    new = frame(20, seed=1)[["x", "level"]]
    assert np.isfinite(compared.models["boosting"].predict(new)).all()


def test_all_arms_saw_the_same_rows(compared: tk.Analysis) -> None:
    rows = {arm: frozenset(zip(part["repeat"], part["fold"], part["row"], strict=True))
            for arm, part in compared.predictions.groupby("arm")}  # fmt: skip
    assert len(set(rows.values())) == 1
    again = tk.compare(frame(), "y", arms=["naive", "linear"], splits={"folds": 3, "repeats": 2})
    assert again.splits["sha256"] == compared.splits["sha256"]
    assert again.dataset["sha256"] == compared.dataset["sha256"]


def test_a_pipeline_writes_everything_and_keeps_the_contract(tmp_path: Path) -> None:
    done = run(pipeline(tmp_path), out=tmp_path / "out", tracking_uri="none")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= FILES
    assert not (tmp_path / "out" / ".unfinished").exists()
    document = contract.read_strictly(tmp_path / "out" / "comparison.json")
    contract.check(document)
    assert document["verdict"]["decision"] == done.verdict.decision
    assert document["arms"]["linear"]["scores"][done.metric]["per_fold"] == pytest.approx(
        done.arms["linear"].scores[done.metric]["per_fold"]
    )
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert len(table) == 900


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    one = run(pipeline(tmp_path), out=tmp_path / "a", tracking_uri="none")
    two = run(pipeline(tmp_path), out=tmp_path / "b", tracking_uri="none")
    assert one.verdict.estimate == two.verdict.estimate
    pd.testing.assert_frame_equal(one.predictions, two.predictions)


def test_a_quick_run_says_so(tmp_path: Path) -> None:
    done = run(pipeline(tmp_path), quick=True, out=tmp_path / "out", tracking_uri="none")
    assert done.quick
    assert "quick" in done.verdict.sentence.lower()
    assert "quick" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8").lower()


def test_a_pair_that_failed_everywhere_has_no_verdict() -> None:
    with pytest.raises(tk.InputError, match=r"no verdict.*broken.*no luck today"):
        tk.compare(frame(), "y", arms={"linear": {}, "broken": Broken()}, splits={"folds": 3, "repeats": 1})


def test_interrupted_work_is_kept(tmp_path: Path) -> None:
    from toolkit.reporter import Silent

    class Impatient(Silent):
        """Interrupts after the fourth fit; counts what is fitted afterwards."""

        def __init__(self, patience: int):
            self.patience, self.labels = patience, []

        def fitted(self, label: str, done: int, total: int, seconds_left: float | None) -> None:
            self.labels.append(label)
            if len(self.labels) == self.patience:
                raise KeyboardInterrupt

    path, first, second = pipeline(tmp_path), Impatient(4), Impatient(99)
    with pytest.raises(KeyboardInterrupt):
        run(path, out=tmp_path / "out", tracking_uri="none", reporter=first)
    assert not (tmp_path / "out" / "report.html").exists()
    run(path, out=tmp_path / "out", tracking_uri="none", reporter=second)
    assert second.labels[0].startswith("4 finished fits")
    assert len([label for label in second.labels if not label.startswith("ledger")]) == 1 + 9 + 2 - 4


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"arms": "[linear]"}, "at least two"),
        ({"compare": "[linear, linear]"}, "two different arms"),
        ({"compare": "[linear, neural]"}, "unknown arm in compare 'neural'"),
        ({"metric": "rsme"}, "unknown metric 'rsme', did you mean 'rmse'"),
        ({"splits": "{folds: 1000}"}, "300"),
        ({"splits": "{table: nowhere.csv}"}, "nowhere.csv"),
    ],
)
def test_settings_that_cannot_work_end_in_one_line(tmp_path: Path, changes: dict[str, str], line: str) -> None:
    with pytest.raises(tk.InputError) as caught:
        run(pipeline(tmp_path, **changes), out=tmp_path / "out", tracking_uri="none")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_stops_before_the_first_fit(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(tk.InputError, match="cannot write there"):
        run(pipeline(tmp_path), out=tmp_path / "taken" / "out", tracking_uri="none")


def test_compare_needs_a_target() -> None:
    with pytest.raises(tk.InputError, match="name the column to predict"):
        tk.compare(frame())
    with pytest.raises(tk.InputError, match="did you mean"):
        tk.compare(frame(), "yy")
    with pytest.raises(tk.InputError, match="unknown role 'grups', did you mean 'groups'"):
        tk.compare(frame(), "y", grups="level")
