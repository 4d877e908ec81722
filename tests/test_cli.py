"""The command as a person types it: exit statuses, one-line errors, clean standard output."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import contract
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from toolkit.cli import main
from toolkit.cli.terminal import gathered

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = """
data: {file: rows.csv, target: y}
splits: {folds: 3, repeats: 1}
arms: {naive: {}, linear: {}, formula: {formula: "y ~ x + C(level)"}}
compare: [linear, formula]
tracking: {uri: none}
"""


class Done(NamedTuple):
    """What the command left behind."""

    returncode: int
    stdout: str
    stderr: str


def toolkit(*arguments: str, cwd: Path) -> Done:
    """The command, in this process: standard output and error apart, the exit status kept."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["toolkit", *arguments]
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.argv = before
    return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with rows, a pipeline, and the results of running it."""
    place = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=240), "level": rng.choice(["a", "b"], 240)})
    rows["y"] = rows["x"] ** 2 + (rows["level"] == "a") + rng.normal(size=240) * 0.1
    rows.to_csv(place / "rows.csv", index=False)
    (place / "small.yaml").write_text(PIPELINE, encoding="utf-8")
    return place


def test_run_prints_one_json_document_and_nothing_else(folder: Path) -> None:
    done = toolkit("run", "small.yaml", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"]["arms"] == ["linear", "formula"]
    assert "9/9" in done.stderr or "fits" in done.stderr
    assert (folder / "reports" / "small" / "report.html").exists()
    shown = toolkit("show", "reports/small", cwd=folder)
    assert shown.returncode == 0
    assert document["verdict"]["sentence"][:40] in " ".join(shown.stdout.split())
    again = toolkit("report", "reports/small", "--out", "again.html", cwd=folder)
    assert again.returncode == 0
    assert (folder / "again.html").exists()


def test_compare_infers_and_saves_what_would_do_it_again(folder: Path) -> None:
    options = ("--target", "y", "--arms", "naive,linear", "--tracking-uri", "none", "--save", "saved.yaml", "--quick")
    done = toolkit("compare", "rows.csv", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "not the full answer" in done.stderr and "not the full answer" in done.stdout
    saved = toolkit("run", "saved.yaml", "--quick", "--json", cwd=folder)
    assert saved.returncode == 0, saved.stderr
    first = json.loads((folder / "reports" / "rows" / "comparison.json").read_text(encoding="utf-8"))
    again = json.loads(saved.stdout)
    assert again["splits"]["sha256"] == first["splits"]["sha256"]
    assert again["verdict"] == first["verdict"]
    assert again["tests"] == first["tests"]


def test_a_logged_run_is_listed_shown_and_predicts(folder: Path) -> None:
    """Run id, registered name and path of a model give the same predictions, with intervals."""
    store = ("--tracking-uri", "sqlite:///runs.db")
    changes = ("--set", "compare=[naive, formula]", "--set", "arms.formula.formula=y ~ I(x**2) + C(level)")
    run = toolkit("run", "small.yaml", "--json", "--out", "logged", *changes, *store, cwd=folder)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    logged = document["mlflow"]["run_id"]
    listed = toolkit("list", "--runs", *store, cwd=folder)
    assert logged in listed.stdout and document["verdict"]["decision"] in listed.stdout
    shown = toolkit("show", logged, "--json", *store, cwd=folder)
    assert json.loads(shown.stdout)["verdict"] == document["verdict"]
    assert toolkit("report", logged, "--out", "logged.html", *store, cwd=folder).returncode == 0

    assert document["verdict"]["winner"] == "formula"
    client = MlflowClient(f"sqlite:///{folder}/runs.db")
    champion = client.get_model_version_by_alias("small", "champion")
    (place,) = (
        path.parent for path in folder.glob("mlruns/**/MLmodel") if champion.run_id in path.read_text(encoding="utf-8")
    )
    rows = pd.read_csv(folder / "rows.csv").head(5)
    rows.to_csv(folder / "new.csv", index=False)
    texts = {
        toolkit("predict", model, "new.csv", *store, cwd=folder).stdout
        for model in (champion.run_id, "small", str(place))
    }
    assert len(texts) == 1
    predicted = pd.read_csv(io.StringIO(texts.pop()))
    assert ((predicted["lower"] < predicted["mean"]) & (predicted["mean"] < predicted["upper"])).all()
    assert len(predicted) == 5
    wrong = toolkit("predict", "small", "new.csv", "--coverage", "90", *store, cwd=folder)
    assert wrong.returncode == 1 and "--coverage 90" in wrong.stderr


def test_check_looks_without_fitting(folder: Path) -> None:
    done = toolkit("check", "small.yaml", cwd=folder)
    assert done.returncode == 0
    assert "ready to run" in done.stdout
    assert "3 folds" in done.stderr


def test_what_is_bundled_is_listed(folder: Path) -> None:
    done = toolkit("list", cwd=folder)
    assert done.returncode == 0
    for name in ("bike_sharing", "insurance_charges", "diamonds"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("run", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("run", "bike_sharng"), "did you mean 'bike_sharing'"),
        (("run", "small.yaml", "--set", "data.file=rows.cvs"), "rows.cvs"),
        (("run", "small.yaml", "--set", "data.target=yy"), "yy"),
        (("run", "small.yaml", "--set", "margin"), "expected key=value"),
        (("run", "small.yaml", "--set", "arms.linaer={}"), "did you mean 'linear'"),
        (("run", "small.yaml", "--set", "arms.formula.formula=y ~ z"), "no column 'z'"),
        (("run", "small.yaml", "--set", "metric=rsme"), "did you mean 'rmse'"),
        (("run", "small.yaml", "--set", "splits.folds=999"), "999"),
        (("run", "small.yaml", "--set", "data={dataset: bike_shring, target: cnt}"), "bike_sharing_hourly"),
        (("run", "small.yaml", "--tracking-uri", "http://127.0.0.1:9"), "--tracking-uri none"),
        (("run", "small.yaml", "--out", "rows.csv/deeper"), "cannot write there"),
        (("compare", "nothing.csv", "--target", "y"), "nothing.csv"),
        (("compare", "small.yaml", "--target", "y"), "small.yaml"),
        (("benchmark", "calibraton"), "did you mean 'calibration'"),
    ],
)
def test_a_mistake_is_one_line_and_status_one(folder: Path, arguments: tuple[str, ...], line: str) -> None:
    before = files(folder)
    done = toolkit(*arguments, cwd=folder)
    assert done.returncode == 1, done.stderr
    said = [text for text in done.stderr.splitlines() if text.startswith("toolkit: ")]
    assert len(said) == 1
    assert line in said[0]
    assert "Traceback" not in done.stderr
    assert files(folder) == before


def files(folder: Path) -> list[str]:
    """Everything in the working directory but the store that MLflow makes when it is asked."""
    return sorted(str(path) for path in folder.rglob("*") if not path.name.startswith("mlflow.db"))


def test_a_process_of_its_own_keeps_standard_output_clean(folder: Path) -> None:
    code = "from toolkit.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    options = ("run", "small.yaml", "--json", "--out", "own")
    done = subprocess.run(
        [sys.executable, "-c", code, *options], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    contract.check(json.loads(done.stdout))
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr


def test_usage_is_status_two(folder: Path) -> None:
    assert toolkit("run", cwd=folder).returncode == 2
    assert toolkit("run", "small.yaml", "--nonsense", cwd=folder).returncode == 2


def test_an_arm_that_fails_is_status_three(folder: Path) -> None:
    """A logarithm that some folds cannot take: the arm is named, the others finish."""
    done = toolkit(
        *("run", "small.yaml", "--set", "compare=[naive, linear]", "--out", "three"),
        *("--set", "arms.formula.formula=np.log(y) ~ x", "--json"),
        cwd=folder,
    )
    assert done.returncode == 3, done.stderr
    assert "formula failed" in done.stderr and "log(y) is not defined" in done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"]["arms"] == ["naive", "linear"]


def test_two_hundred_past_comparisons_are_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A row each, with what `toolkit show` needs and a gain that can be read."""
    from toolkit import tracking
    from toolkit.tracking_items import PAST

    rows = [
        (f"{i:032x}", f"bike {i}", "bikes", "bike_sharing", "neural", "rmse", 0.123456, 0.1, None if i else 0.2)
        for i in range(200)
    ]
    started = pd.Timestamp("2024-05-06 07:08:09", tz="UTC")
    runs = pd.DataFrame([(*row, started, "FINISHED") for row in rows], columns=PAST)
    monkeypatch.setattr(tracking, "list_runs", lambda uri: runs)
    done = toolkit("list", "--runs", cwd=tmp_path)
    lines = done.stdout.strip().splitlines()
    assert done.returncode == 0 and len(lines) == 201
    assert lines[1].split()[0] == "0" * 32
    assert "0.123 (0.100 to 0.200)" in lines[1] and "2024-05-06 07:08" in lines[1]
    monkeypatch.setattr(tracking, "list_runs", lambda uri: runs.iloc[:0])
    assert toolkit("list", "--runs", cwd=tmp_path).stdout == "no comparisons logged yet\n"


def test_many_findings_of_one_kind_are_one_line() -> None:
    found = [{"finding": "level_seen_once", "column": f"c{i}", "message": f"m{i}"} for i in range(5)]
    other = {"finding": "constant_column", "column": "k", "message": "k"}
    assert gathered([*found, other]) == [(found[0], ["c1", "c2", "c3", "c4"]), (other, [])]
    assert gathered(found[:3]) == [(finding, []) for finding in found[:3]]
