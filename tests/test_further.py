"""Learning curve, stress splits and the set of best arms, from a pipeline to the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.analysis import Analysis
from toolkit.pipeline import run
from toolkit.reporter import Silent

ROWS = 400


class Listening(Silent):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


def write(folder: Path, text: str, frame: pd.DataFrame) -> Path:
    frame.to_csv(folder / "rows.csv", index=False)
    (folder / "small.yaml").write_text(text, encoding="utf-8")
    return folder / "small.yaml"


def curved() -> pd.DataFrame:
    """A line with a wave on it in the middle of x: trees follow the wave, and stand still beyond their rows."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, ROWS)
    y = 8 * x + np.where(np.abs(x) < 1.5, 2 * np.sin(6 * x), 0.0) + 0.1 * rng.normal(size=ROWS)
    return pd.DataFrame({"x": x, "level": rng.choice(["a", "b"], ROWS), "y": y})


TABLE = """
data: {file: rows.csv, target: y}
splits: {folds: 3, repeats: 2}
arms: {naive: {}, linear: {}, formula: {formula: "y ~ x + C(level)"}, boosting: {}}
compare: [formula, boosting]
learning_curve: true
stress: [extrapolation, groups, noise]
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Analysis, Path, list[str]]:
    place, heard = tmp_path_factory.mktemp("further"), Listening()
    analysis = run(write(place, TABLE, curved()), out=place / "out", tracking_uri="none", reporter=heard)
    return analysis, place / "out", heard.said


def test_the_curve_grows_and_ends_at_the_scores_of_the_comparison(done):
    analysis, _, _ = done
    found = analysis.verdict.details["learning_curve"]
    sizes = [row["n"] for row in found["gains"]]
    assert sizes == sorted(sizes) and len(sizes) == 4
    assert all(row["lower"] < row["gain"] < row["upper"] for row in found["gains"])
    last = {row["arm"]: row["value"] for row in found["scores"] if row["n"] == sizes[-1]}
    for arm in ("formula", "boosting"):
        first_repeat = analysis.arms[arm].scores[analysis.metric]["per_fold"][:3]
        assert last[arm] == pytest.approx(np.mean(first_repeat))
    assert found["sentence"] in analysis.verdict.reasons


def test_a_win_that_is_gone_elsewhere_is_named_in_the_sentence(done):
    verdict = done[0].verdict
    assert verdict.winner == "boosting"
    rows = {row["kind"]: row for row in verdict.details["stress"]}
    assert set(rows) == {"extrapolation", "noise"}
    assert rows["extrapolation"]["vanishes"] and not rows["noise"]["vanishes"]
    assert "The win of boosting is not there when x lies outside its middle 80 %." in verdict.sentence


def test_what_the_data_do_not_allow_is_said(done):
    analysis, _, warnings = done
    assert "no stress 'groups': no column of groups is named (data.groups)" in analysis.verdict.reasons
    assert any("no stress 'groups'" in text for text in warnings)


def test_the_best_of_all_arms_are_named(done):
    analysis = done[0]
    found = {test.details["arm"]: test for test in analysis.tests if test.name == "model_confidence_set"}
    assert set(found) == {"naive", "linear", "formula", "boosting"}
    assert found["boosting"].details["included"] and not found["naive"].details["included"]
    assert any("of all 4 arms these may be the best" in reason for reason in analysis.verdict.reasons)


def test_the_report_shows_what_stands_behind_the_verdict(done):
    _, folder, _ = done
    page = (folder / "report.html").read_text(encoding="utf-8")
    twin = (folder / "report.md").read_text(encoding="utf-8")
    for title in (
        "Where the uncertainty comes from", "Power", "Does each side add to the other?", "Which arms may be the best",
        "Where each side wins", "Does it hold elsewhere?", "Learning curve", "What it costs",
    ):  # fmt: skip
        assert f"<h3>{title}</h3>" in page and f"## {title.replace('?', '')}" in twin.replace("?", "")
    assert (folder / "figures" / "learning_curve.svg").exists()
    assert "the win is gone" in page and "its formula and coefficients" in page
    details = json.loads((folder / "details.json").read_text(encoding="utf-8"))["verdict"]["details"]
    assert [row["kind"] for row in details["stress"]] == ["extrapolation", "noise"]
    costs = {row["arm"]: row for row in details["costs"]}
    assert costs["boosting"]["predict_ms_per_1000_rows"] > 0 and costs["formula"]["fit_seconds"] > 0


SERIES = """
data: {file: rows.csv, target: y, time: when}
splits: {scheme: rolling_origin, horizon: 6, origins: 8}
metric: mae
arms: {naive: {}, seasonal_naive: {}, drift: {}}
compare: [naive, seasonal_naive]
learning_curve: true
stress: [noise]
"""


def test_forecasts_have_a_set_of_best_arms_and_a_curve_of_the_past(tmp_path):
    hours = np.arange(480)
    y = 10 + 3 * np.sin(hours / 24 * 2 * np.pi) + 0.3 * np.random.default_rng(1).normal(size=480)
    frame = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=480, freq="h"), "y": y})
    heard = Listening()
    analysis = run(write(tmp_path, SERIES, frame), out=tmp_path / "out", tracking_uri="none", reporter=heard)
    kept = {t.details["arm"] for t in analysis.tests if t.name == "model_confidence_set" and t.details["included"]}
    assert kept == {"seasonal_naive"}
    sizes = [row["n"] for row in analysis.verdict.details["learning_curve"]["gains"]]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] / 6
    assert any("stress splits are for tables" in text for text in heard.said)
