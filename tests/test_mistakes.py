"""Everything that a person can get wrong: one line on standard error, exit status 1, nothing changed on disk."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit.cli import main
from toolkit.pipeline import run
from toolkit.reporter import Silent

GOOD = {
    "data": "{file: rows.csv, target: y}",
    "splits": "{folds: 3, repeats: 1}",
    "arms": "{naive: {}, linear: {}}",
    "tracking": "{uri: none}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a good pipeline and all kinds of bad files."""
    place = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=90), "level": rng.choice(["a", "b"], 90), "when": "2024-01-31"})
    rows["y"] = rows["x"] + rng.normal(size=90)
    rows.loc[40, "when"] = "yesterday"
    rows["nothing"], rows["same"], rows["words"] = np.nan, 3, [f"w{i % 7}" for i in range(90)]
    rows.to_csv(place / "rows.csv", index=False)
    rows.head(4).to_csv(place / "four.csv", index=False)
    (place / "header.csv").write_text("x,y\n", encoding="utf-8")
    (place / "zero.csv").write_text("", encoding="utf-8")
    (place / "ragged.csv").write_text("x,y\n1,2\n3,4,5\n", encoding="utf-8")
    (place / "twice.csv").write_text("x,x,y\n1,2,3\n4,5,6\n", encoding="utf-8")
    (place / "picture.csv").write_bytes(b"\x89PNG\r\n\0\0")
    (place / "page.csv").write_text("<!DOCTYPE html><html><body>not found</body></html>", encoding="utf-8")
    (place / "rows.docx").write_bytes(b"PK\x03\x04")
    (place / "book.xlsx").write_text("no workbook", encoding="utf-8")
    (place / "rows.parquet").write_bytes(b"no parquet")
    (place / "page.csv.gz").write_text("not gzip", encoding="utf-8")
    (place / "a folder").mkdir()
    (place / "good.yaml").write_text(yaml_text({}), encoding="utf-8")
    return place


def yaml_text(changes: dict[str, str]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in {**GOOD, **changes}.items())


def toolkit(folder: Path, *arguments: str) -> tuple[int, str, list[str]]:
    """Exit status, standard output, lines of standard error."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["toolkit", *arguments]
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.argv = before
    return status, out.getvalue(), err.getvalue().splitlines()


def everything(folder: Path) -> dict[str, str]:
    """Every file and folder with the hash of what is in it."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def one_line(folder: Path, *arguments: str) -> str:
    """Run, and see that nothing came but one line."""
    before = everything(folder)
    status, out, err = toolkit(folder, *arguments)
    assert everything(folder) == before
    assert status == 1, err
    assert out == ""
    assert len(err) == 1, err
    assert err[0].startswith("toolkit: ")
    assert len(err[0]) < 500
    return err[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        # the file
        (("nowhere.csv", "-y", "y"), ["nowhere.csv", "no such file"]),
        (("rows.cvs", "-y", "y"), ["rows.cvs", "did you mean 'rows.csv'"]),
        (("else/rows.csv", "-y", "y"), ["no folder 'else'"]),
        (("a folder", "-y", "y"), ["a folder"]),
        (("nowhere", "-y", "y"), ["unknown data set 'nowhere'"]),
        (("diamnods", "-y", "price"), ["did you mean 'diamonds'"]),
        (("picture.csv", "-y", "y"), ["picture.csv", "not a text table"]),
        (("page.csv", "-y", "y"), ["page.csv", "web page"]),
        (("page.csv.gz", "-y", "y"), ["page.csv.gz", "not a readable table"]),
        (("rows.docx", "-y", "y"), ["rows.docx", "cannot read '.docx'", ".parquet"]),
        (("book.xlsx", "-y", "y"), ["book.xlsx", "not a readable table"]),
        (("rows.parquet", "-y", "y"), ["rows.parquet", "not a readable table"]),
        (("ragged.csv", "-y", "y"), ["ragged.csv", "line 3"]),
        (("zero.csv", "-y", "y"), ["zero.csv", "empty"]),
        (("header.csv", "-y", "y"), ["header.csv", "empty", "0 rows"]),
        (("twice.csv", "-y", "y"), ["twice.csv", "two columns are called 'x'"]),
        # the target
        (("rows.csv", "-y", "yy"), ["unknown target column 'yy'", "did you mean 'y'"]),
        (("rows.csv", "-y", "same"), ["'same' is constant"]),
        (("rows.csv", "-y", "nothing"), ["'nothing' is missing in every row"]),
        (("rows.csv", "-y", "words"), ["'words'", "7 values that are no numbers"]),
        (("rows.csv", "-y", "y,y"), ["named twice"]),
        # roles and folds
        (("rows.csv", "-y", "y", "--time", "when"), ["'when'", "row 40", "'yesterday'"]),
        (("rows.csv", "-y", "y", "--groups", "lvel"), ["did you mean 'level'"]),
        (("rows.csv", "-y", "y", "--drop", "z"), ["column in drop 'z'"]),
        (("four.csv", "-y", "y"), ["4 rows are fewer than the 5 folds"]),
        # what is compared
        (("rows.csv", "-y", "y", "--arms", "naive,liner"), ["unknown arm 'liner'", "did you mean 'linear'"]),
        (("rows.csv", "-y", "y", "--metric", "rsme"), ["unknown metric 'rsme'", "did you mean 'rmse'"]),
        (("rows.csv", "-y", "y", "--metric", "auc"), ["auc", "real"]),
        (("rows.csv", "-y", "y", "--margin", "a bit"), ["margin", "'a bit'"]),
        # beyond the data
        (("rows.csv", "-y", "y", "--set", "splits.folds"), ["--set splits.folds", "key=value"]),
        (("rows.csv", "-y", "y", "--set", "splits.folds=three"), ["splits.folds", "'three'"]),
        (("rows.csv", "-y", "y", "--set", "splits.fold=3"), ["splits.fold", "did you mean folds"]),
        (("rows.csv", "-y", "y", "--set", "margin.x=1"), ["margin.x=1"]),
        (("rows.csv", "-y", "y", "--tracking-uri", "http://127.0.0.1:9"), ["127.0.0.1:9", "--tracking-uri none"]),
        (("rows.csv", "-y", "y", "--tracking-uri", "postgresql://127.0.0.1:9/x"), ["--tracking-uri none"]),
        (("rows.csv", "-y", "y", "--tracking-uri", "sqlite:///no/such/m.db"), ["--tracking-uri none"]),
        (("rows.csv", "-y", "y", "--tracking-uri", "nonsense://x"), ["nonsense", "--tracking-uri none"]),
        (("rows.csv", "-y", "y", "--out", "rows.csv/x", "--tracking-uri", "none"), ["cannot write there", "--out"]),
        (("rows.csv", "-y", "y", "--engine", "lokki", "--tracking-uri", "none"), ["lokki", "did you mean 'loky'"]),
        (("rows.csv", "-y", "y", "--save", "no/such/folder.yaml"), ["no/such/folder.yaml", "cannot be written"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_in_the_command(folder: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    quick = () if "--arms" in arguments else ("--arms", "naive,linear")
    said = one_line(folder, "compare", *arguments, *quick)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (yaml_text({"metrik": "rmse"}), [":5:1", "metrik: unknown key", "did you mean metric"]),
        (yaml_text({"splits": "{folds: 3, sheme: kfold}"}), [":2:20", "splits.sheme", "did you mean scheme"]),
        (yaml_text({"arms": "{naive: {}, linear: {kind: {}}}"}), [":3:28", "unknown key 'kind'", "'kinds'"]),
        (yaml_text({"arms": "{naive: {}, nueral: {}}"}), [":3:", "unknown arm 'nueral'", "'neural'"]),
        (yaml_text({"splits": "{folds: many}"}), [":2:10", "splits.folds", "integer", "'many'"]),
        (yaml_text({"data": "{file: [rows.csv], target: y}"}), [":1:8", "data.file", "string"]),
        (yaml_text({"margin": "{one: 1}"}), ["margin", "such as 1%"]),
        (yaml_text({"arms": "naive"}), ["arms", "expected arm names"]),
        (yaml_text({"data": "{file: rows.csv, dataset: abalone, target: y}"}), ["name one of dataset, file and sql"]),
        (yaml_text({"data": "{file: rows.csv}"}), ["data.target", "name the column"]),
        (yaml_text({"data": "{dataset: abalon}"}), ["did you mean 'abalone'"]),
        (yaml_text({"metric": "rsme"}), ["unknown metric 'rsme'", "did you mean 'rmse'"]),
        (yaml_text({"arms": "{naive: {}, formula: {formula: y ~ zz}}"}), ["no column 'zz'"]),
        (yaml_text({"arms": "{naive: {}, formula: {formula: 'y ~ x +'}}"}), ["arms.formula", "cannot read 'x +'"]),
        (yaml_text({"arms": "{naive: {}, formula: {}}"}), ["arms.formula", "formula"]),
        (yaml_text({"compare": "[naive, linea]"}), ["linea", "did you mean 'linear'"]),
        (yaml_text({"splits": "{scheme: rolling_origin}"}), ["arm 'linear' is for tables"]),
        (yaml_text({"splits": "{scheme: rolling_origin}", "arms": "[naive, drift]"}), ["horizon"]),
        (yaml_text({"splits": "{table: no.csv}"}), ["no.csv"]),
        (yaml_text({"coverage": "1.5"}), [":5:1", "coverage", "less than 1"]),
        ("data: {file: rows.csv\n", [":2:1", "not valid YAML"]),
        ("- a list\n", ["expected a mapping"]),
        ("", ["expected a mapping"]),
        ("data: {sql: {url: 'sqlite:///no.db', query: SELECT 1}, target: y}\n", ["no.db", "no such file"]),
        ("data: {sql: {url: nonsense, query: SELECT 1}, target: y}\n", ["not a database URL"]),
    ],
)
def test_a_mistake_in_the_file(folder: Path, text: str, words: list[str]) -> None:
    path = folder / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        for command in ("run", "check"):
            said = one_line(folder, command, "bad.yaml")
            for word in words:
                assert word in said
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nowhere.yaml"), ["nowhere.yaml", "no such file"]),
        (("run", "bike_sharng"), ["did you mean 'bike_sharing'"]),
        (("run", "a folder"), ["a folder"]),
        (("run", "picture.csv"), ["picture.csv", "not a text file"]),
        (("show", "no-such-run"), ["mlflow.db", "--tracking-uri"]),
        (("list", "--runs"), ["mlflow.db", "--tracking-uri"]),
        (("report", "reports/nothing"), ["mlflow.db"]),
        (("ui", "--no-browser"), ["mlflow.db"]),
        (("predict", "no-model", "rows.csv"), ["mlflow.db"]),
        (("predict", "a folder", "rows.csv"), ["a folder"]),
        (("predict", "a folder", "nowhere.csv"), ["nowhere.csv", "no such file"]),
        (("benchmark", "calibraton"), ["did you mean 'calibration'"]),
        (("judge", "nowhere.csv", "-y", "y", "--models", "a,b"), ["nowhere.csv", "no such file"]),
        (("judge", "rows.csv", "-y", "y", "--models", "x,z"), ["'z'"]),
        (("judge", "rows.csv", "-y", "y", "--models", "x"), ["two"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_elsewhere(folder: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    said = one_line(folder, *arguments)
    for word in words:
        assert word in said


def test_a_name_with_a_line_break_stays_on_one_line(folder: Path) -> None:
    assert "no such file" in one_line(folder, "compare", "two\nlines.csv", "-y", "y")


class Store(BaseHTTPRequestHandler):
    """As much of a tracking server as a look before the first fit needs."""

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def store() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_store_that_goes_away_costs_the_log_and_not_the_results(
    folder: Path, tmp_path: Path, store: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.chdir(folder)

    class Cutting(Silent):
        """Takes the store away while the fits run; keeps what it is told."""

        warnings: tuple[str, ...] = ()

        def fitted(self, label: str, done: int, total: int, seconds_left: float | None) -> None:
            if done == 1:
                store.shutdown()
                store.server_close()

        def warn(self, message: str) -> None:
            self.warnings = (*self.warnings, message)

    told = Cutting()
    uri = f"http://127.0.0.1:{store.server_address[1]}"
    done = run("good.yaml", out=tmp_path / "out", tracking_uri=uri, reporter=told)
    assert len(told.warnings) == 1
    assert uri in told.warnings[0] and "\n" not in told.warnings[0]
    assert "The report and the files are written" in told.warnings[0]
    assert "run_id" not in done.mlflow and done.mlflow["error"]
    written = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert written["verdict"]["decision"] == done.verdict.decision
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / ".unfinished").exists()


def test_an_interrupted_command_says_that_it_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.cli.terminal import Terminal

    def interrupt(self: Terminal, label: str, done: int, total: int, seconds_left: float | None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Terminal, "fitted", interrupt)
        status, out, err = toolkit(folder, "run", "good.yaml")
    assert status == 130 and out == ""
    assert err[-1] == "toolkit: interrupted. Finished fits are kept; the same command goes on from there."
    assert len(list((folder / "reports" / "good" / ".unfinished").glob("*.pickle"))) == 1
    status, _, err = toolkit(folder, "run", "good.yaml")
    assert status == 0
    assert any("1 finished fits of an earlier run are used again" in line for line in err)
    shutil.rmtree(folder / "reports")
