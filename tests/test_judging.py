"""`toolkit judge` on wide and long files: report, JSON, MLflow run, and one line for every mistake."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.test_cli import toolkit
from toolkit.judging import judge

ARGUMENTS = ("--target", "real", "--time", "when", "--horizon", "24")


def forecasts(n: int = 960) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = 10 + rng.normal(size=n)
    return pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=n, freq="h"),
            "real": y,
            "ols": y + rng.normal(size=n),
            "net": y + 0.5 * rng.normal(size=n),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("judge")
    table = forecasts()
    table.to_csv(place / "wide.csv", index=False)
    table.melt(["when", "real"], ["ols", "net"], "who", "forecast").to_csv(place / "long.csv", index=False)
    return place


def test_wide_and_long_files_give_one_answer_with_report_json_and_run(folder):
    store = f"sqlite:///{folder / 'mlflow.db'}"
    wide = toolkit(
        *("judge", "wide.csv", *ARGUMENTS, "--models", "ols,net", "--out", "wide", "--tracking-uri", store, "--json"),
        cwd=folder,
    )
    assert wide.returncode == 0, wide.stderr
    document = json.loads(wide.stdout)
    assert document["verdict"]["winner"] == "net" and document["mlflow"]["run_id"]
    assert (folder / "wide" / "report.html").exists() and list((folder / "wide" / "figures").glob("*.svg"))
    assert {"diebold_mariano_fixed_b", "diebold_mariano_hln", "equivalence_tost", "mincer_zarnowitz"} <= {
        test["name"] for test in document["tests"]
    }
    long = toolkit(
        *("judge", "long.csv", *ARGUMENTS, "--model-column", "who", "--prediction-column", "forecast"),
        *("--models", "ols,net", "--out", "long", "--tracking-uri", "none", "--json"),
        cwd=folder,
    )
    assert long.returncode == 0, long.stderr
    assert json.loads(long.stdout)["verdict"]["estimate"] == pytest.approx(document["verdict"]["estimate"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--models", "ols"), "two or more"),
        (("--models", "ols,nett"), "did you mean 'net'"),
        (("--models", "ols,net", "--horizon", "whenn"), "did you mean 'when'"),
        (("--models", "ols,net", "--model-column", "who"), "who"),
        ((), "two or more"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(folder, arguments, words):
    done = toolkit("judge", "wide.csv", *ARGUMENTS, *arguments, "--tracking-uri", "none", cwd=folder)
    assert done.returncode == 1 and words in done.stderr
    assert "Traceback" not in done.stderr


def test_origins_as_text_and_steps_as_a_column(folder):
    table = forecasts()
    table["made"] = table["when"].dt.floor("D").dt.strftime("%Y-%m-%d")
    table["ahead"] = table["when"].dt.hour + 1
    by_column = judge(table, "real", ["ols", "net"], time="when", origin="made", horizon="ahead")
    by_clock = judge(table, "real", ["ols", "net"], time="when", horizon=24)
    assert by_column.verdict.estimate == pytest.approx(by_clock.verdict.estimate)
    assert by_column.verdict.details["n"] == by_clock.verdict.details["n"] == 40


def test_nested_models_are_flagged(folder):
    found = judge(forecasts(), "real", ["ols", "net"], time="when", horizon=24, nested=True)
    assert any(reason.startswith("nested models: net has every input of ols") for reason in found.verdict.reasons)
    assert any(test.name == "clark_west" and test.p_value < 0.01 for test in found.tests)
