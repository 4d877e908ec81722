"""The folder of a run: the contract, all files or none, and the way back."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from reporting.example import make_comparison, make_dataset

from toolkit.errors import InputError
from toolkit.reporting import outputs
from toolkit.reporting.contract import from_contract, plain, to_contract
from toolkit.reporting.first_screen import first_screen
from toolkit.reporting.outputs import write_outputs
from toolkit.reporting.page import write_report

CONTRACT = {
    *("schema", "name", "question", "metric", "margin", "dataset", "splits", "arms", "tests", "gap", "checks"),
    *("verdict", "mlflow", "seconds", "versions"),
}


@pytest.fixture(scope="module")
def comparison():
    return make_comparison()


@pytest.fixture(scope="module")
def folder(comparison, tmp_path_factory):
    place = tmp_path_factory.mktemp("run") / "reports" / "demand"
    write_outputs(comparison, place, make_dataset())
    return place


def test_contract_has_the_promised_keys(comparison):
    document = to_contract(comparison)
    assert set(document) == CONTRACT | {"quick", "findings", "remedy"}
    assert document["schema"] == 1
    arm = document["arms"]["regression"]
    assert {"kind", "scores", "fit_seconds", "predict_seconds", "formula"} <= set(arm)
    assert set(arm["scores"]["rmse"]) == {"mean", "se", "per_fold"}
    assert set(document["tests"][0]) == {
        *("name", "arms", "null", "statistic", "p_value", "estimate", "lower", "upper", "n")
    }
    assert set(document["checks"][0]) == {
        *("check", "arm", "null", "statistic", "p_value", "effect", "verdict", "reason")
    }
    assert set(document["verdict"]) == {
        *("decision", "winner", "arms", "estimate", "lower", "upper", "probabilities", "sentence", "reasons")
    }
    assert set(document["gap"]) == {
        *("total", "lower", "upper", "entries", "respecified", "start", "net", "reason", "sentence")
    }
    assert set(document["gap"]["entries"][0]) == {"term", "kind", "share", "lower", "upper"}
    json.loads(json.dumps(document, allow_nan=False))


def test_missing_numbers_become_null():
    given = {"a": float("nan"), "b": np.float64("inf"), "c": np.int64(3), "d": np.array([1.0, np.nan]), 5: pd.NaT}
    given |= {"e": pd.Timestamp("2024-01-02"), "f": (np.True_, pd.NA, {"g": None})}
    assert plain(given) == {
        **{"a": None, "b": None, "c": 3, "d": [1.0, None], "5": None},
        **{"e": "2024-01-02T00:00:00", "f": [True, None, {"g": None}]},
    }


def test_every_file_is_written(folder, comparison):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("report.html", "report.md", "comparison.json", "details.json", "predictions.parquet", "checks.csv"),
        *("scores.csv", "figures", "shown.parquet"),
    }
    assert len(pd.read_csv(folder / "checks.csv")) == len(comparison.checks_found)
    assert set(pd.read_csv(folder / "scores.csv")["arm"]) == set(comparison.arms)
    drawn = list((folder / "figures").glob("*.svg"))
    assert len(drawn) >= 12
    text = drawn[0].read_text(encoding="utf-8")
    assert text.startswith("<svg") and "<title>" in text and "<desc>" in text and "--ink:" in text


def test_the_report_is_built_again_without_the_data(folder, tmp_path):
    again = write_report(from_contract(folder), tmp_path / "again.html")
    pictures = [
        re.findall(r"<svg.*?</svg>", path.read_text(encoding="utf-8"), re.S) for path in (folder / "report.html", again)
    ]
    assert len(pictures[0]) > 20 and pictures[0] == pictures[1]


def test_what_was_written_reads_back_whole(folder, comparison):
    back = from_contract(folder)
    for field in ("verdict", "tests", "checks_found", "gap_ledger", "findings", "settings", "metric", "margin", "name"):
        assert getattr(back, field) == getattr(comparison, field), field
    assert back.arms["neural"].facts == tuple(plain(comparison.arms["neural"].facts))
    pd.testing.assert_frame_equal(
        back.predictions[["arm", "row", "observed", "predicted", "lower"]],
        comparison.predictions[["arm", "row", "observed", "predicted", "lower"]],
    )
    assert first_screen(back) == first_screen(comparison)


def test_contract_alone_is_enough_for_the_first_screen(folder, tmp_path, comparison):
    (tmp_path / "comparison.json").write_text(
        (folder / "comparison.json").read_text(encoding="utf-8"), encoding="utf-8"
    )
    assert comparison.verdict.sentence.split(":")[0] in " ".join(first_screen(from_contract(tmp_path)).split())


def test_only_contract_leaves_the_rest_alone(folder, comparison):
    before = (folder / "report.html").stat().st_mtime_ns
    write_outputs(make_comparison(mlflow={"run_id": "abc"}), folder, only_contract=True)
    assert json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["mlflow"] == {"run_id": "abc"}
    assert (folder / "report.html").stat().st_mtime_ns == before


def test_a_failure_in_the_middle_leaves_the_old_report(folder, comparison, monkeypatch):
    before = (folder / "report.html").read_bytes()

    def broken(*_):
        raise RuntimeError("disk full")

    monkeypatch.setattr(outputs, "render_markdown", broken)
    with pytest.raises(RuntimeError):
        write_outputs(comparison, folder)
    assert (folder / "report.html").read_bytes() == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".writing")]


def test_unwritable_folder_is_one_line(comparison, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write") as caught:
        write_outputs(comparison, blocked / "inside")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


def test_reading_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"no comparison in .*comparison\.json"):
        from_contract(tmp_path)
    (tmp_path / "comparison.json").write_text('{"schema": 99}', encoding="utf-8")
    with pytest.raises(InputError, match="schema 99"):
        from_contract(tmp_path)
    (tmp_path / "comparison.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="cannot read"):
        from_contract(tmp_path)


def test_first_screen_fits_a_terminal_and_says_what_matters(comparison):
    text = first_screen(comparison)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 45
    order = [text.index(piece) for piece in ("The regression predicts", "RMSE  95 %", "Where the gap", "Checks")]
    assert order == sorted(order)
    assert "use robust covariance" in text
    assert "not the full answer" not in text
    assert "not the full answer" in first_screen(make_comparison(quick=True))
