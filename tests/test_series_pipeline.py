"""A comparison of forecasts from file to folder: innovations, intervals by one method, scores by steps ahead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.diagnostics.innovations import NAMES
from toolkit.pipeline import run

H, ORIGINS = 6, 8


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("series"), np.random.default_rng(0)
    n = 120
    y = 50 + 10 * np.sin(np.pi * np.arange(n) / 6) + rng.normal(size=n)
    pd.DataFrame({"t": pd.date_range("2010-01-01", periods=n, freq="MS"), "y": y}).to_csv(folder / "y.csv", index=False)
    (folder / "y.yaml").write_text(
        "data: {file: y.csv, target: y, time: t}\n"
        f"splits: {{scheme: rolling_origin, horizon: {H}, origins: {ORIGINS}}}\n"
        "coverage: 0.8\narms: {seasonal_naive: {}, naive: {}}\ncompare: [seasonal_naive, naive]\n"
    )
    return run(folder / "y.yaml", out=folder / "out", tracking_uri="none"), folder / "out"


def test_innovations_of_both_sides_are_asked(ran):
    analysis, _ = ran
    found = {(check.arm, check.check): check for check in analysis.checks_found}
    assert {name for arm, name in found if arm == "naive"} >= set(NAMES)
    # The last value says nothing of the season: its innovations are seasonal, those of the seasonal rule are not.
    assert found["naive", "innovation_season"].verdict == "poor"
    assert found["seasonal_naive", "innovation_season"].verdict == "good"
    assert found["naive", "innovation_season"].details["rows"] == "in-sample"
    told = found["naive", "innovation_ljung_box"].details
    assert abs(told["autocorrelation"][11]) > told["band"]
    for name in ("durbin_watson", "ljung_box", "cusum"):
        assert found["naive", name].verdict == "not applicable" and "overlap" in found["naive", name].reason


def test_intervals_of_one_method_are_scored_beside_the_own_ones(ran):
    analysis, _ = ran
    table = analysis.predictions
    given = table[table["conformal_lower"].notna()]
    assert given["fold"].min() == 4 and given.groupby("arm").size().nunique() == 1  # 4 x 6 errors before it
    scores = {name: row["mean"] for name, row in analysis.arms["seasonal_naive"].scores.items()}
    mine = given[given["arm"] == "seasonal_naive"]
    inside = mine["observed"].between(mine["conformal_lower"], mine["conformal_upper"]).mean()
    assert scores["coverage"] == pytest.approx(inside) and scores["crps"] > 0
    # Innovations of the seasonal rule have sd sqrt(2): its own 80 % interval is 2 x 1.2816 x sqrt(2) wide.
    own = table[table["arm"] == "seasonal_naive"]
    assert (own["upper"] - own["lower"]).mean() == pytest.approx(2 * 1.2816 * np.sqrt(2), rel=0.2)
    assert 0.6 < scores["own_coverage"] < 0.95


def test_the_folder_holds_scores_by_steps_ahead(ran):
    _, folder = ran
    steps = pd.read_csv(folder / "scores_by_horizon.csv")
    assert set(steps["horizon"]) == set(range(1, H + 1))
    assert set(steps["metric"]) >= {"mase", "mae", "rmse", "coverage", "winkler", "pinball", "crps", "own_coverage"}
    document = json.loads((folder / "comparison.json").read_text())
    assert {"crps", "winkler", "coverage"} <= set(document["arms"]["naive"]["scores"])
    assert (folder / "figures" / "score_by_horizon.svg").is_file()
    assert (folder / "figures" / "coverage_by_horizon.svg").is_file()
    assert (folder / "figures" / "innovations_seasonal_naive.svg").is_file()
    assert "Mase by steps ahead".lower() in Path(folder / "report.html").read_text(encoding="utf-8").lower()


def test_one_origin_decides_nothing(tmp_path):
    """The errors of one path move together: twelve steps are not twelve witnesses, and one row has no spread."""
    n = 96
    y = 50 + 10 * np.sin(np.pi * np.arange(n) / 6) + 0.1 * np.random.default_rng(0).normal(size=n)
    frame = pd.DataFrame({"t": pd.date_range("2010-01-01", periods=n, freq="MS"), "y": y})
    frame.to_csv(tmp_path / "y.csv", index=False)
    (tmp_path / "y.yaml").write_text(
        "data: {file: y.csv, target: y, time: t}\nsplits: {scheme: rolling_origin, horizon: 12, origins: 1}\n"
        "arms: {seasonal_naive: {}, naive: {}}\ncompare: [seasonal_naive, naive]\ngap: false\n"
    )
    analysis = run(tmp_path / "y.yaml", out=tmp_path / "out", tracking_uri="none")
    assert analysis.verdict.decision == "undecided"
    assert any("one origin" in note for note in analysis.verdict.reasons)
    asked = {check.check: check for check in analysis.checks_found if check.arm == "naive"}
    assert asked["jarque_bera"].verdict == "not applicable" and "one row per origin" in asked["jarque_bera"].reason
