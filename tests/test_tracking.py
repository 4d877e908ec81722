"""Tracking on a SQLite file, a live local server and, where there is one, a server with PostgreSQL."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from mlflow.tracking import MlflowClient
from reporting.browser import open_page
from reporting.example import make_comparison, make_dataset
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression

from toolkit import dashboard, tracking, tracking_server
from toolkit.benchmarks._postgres import free_port, postgres
from toolkit.errors import InputError
from toolkit.reporting.first_screen import first_screen
from toolkit.reporting.outputs import write_outputs
from toolkit.tracking_items import Items, arm_items, batches
from toolkit.tracking_model import FittedArm, predict_rows
from toolkit.tracking_views import VIEWS, supported, view_link


class Straight(RegressorMixin, BaseEstimator):
    """Least squares on two columns, with an interval: small enough to log in no time."""

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Straight:
        self.line_ = LinearRegression().fit(X[["temp", "hr"]], y)
        self.sd_ = float(np.std(y - self.line_.predict(X[["temp", "hr"]])))
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.line_.predict(X[["temp", "hr"]])

    def predict_interval(self, X: pd.DataFrame, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        half = self.sd_ * 2 * coverage
        return self.predict(X) - half, self.predict(X) + half


DATASET = make_dataset(400)


@pytest.fixture(scope="module")
def models() -> dict:
    return {arm: Straight().fit(DATASET.X, DATASET.y) for arm in ("regression", "neural")}


@pytest.fixture(scope="module")
def comparison():
    return make_comparison(DATASET)


@pytest.fixture(scope="module")
def outputs(comparison, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    write_outputs(comparison, folder, DATASET)
    return folder


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture(scope="module", params=["sqlite", "server", "postgres"])
def store(request, tmp_path_factory) -> Iterator[str]:
    """A tracking URI of each kind, for the whole module."""
    folder = tmp_path_factory.mktemp(request.param)
    with inside(folder), ExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{folder / 'mlflow.db'}"
        elif request.param == "server":
            with tracking_server.server(f"sqlite:///{folder / 'mlflow.db'}", free_port()) as (address, _):
                yield address
        else:
            try:
                running = stack.enter_context(postgres(tmp_path_factory.mktemp("pg")))
            except InputError as error:
                pytest.skip(str(error))
            with tracking_server.server(running, free_port()) as (address, _):
                yield address


@pytest.fixture(scope="module")
def requests_sent(store) -> list[str]:
    """Method and path of what `logged` has sent."""
    return []


@pytest.fixture(scope="module")
def logged(store, comparison, models, outputs, requests_sent) -> dict:
    tracking.check_server(store)
    send = requests.Session.send

    def counted(self, request, **kwargs):
        requests_sent.append(f"{request.method} {request.path_url}")
        return send(self, request, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "send", counted)
        return tracking.log_comparison(
            comparison, models=models, dataset=DATASET, out_folder=outputs, tracking_uri=store, experiment="demand"
        )


@pytest.fixture(scope="module")
def client(store) -> MlflowClient:
    return MlflowClient(store, store)


@pytest.fixture(scope="module")
def children(client, logged) -> dict:
    found = client.search_runs([logged["experiment_id"]], f"tags.`mlflow.parentRunId` = '{logged['run_id']}'")
    return {run.info.run_name: run for run in found}


def test_parent_holds_the_verdict(client, logged, comparison):
    run = client.get_run(logged["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["run.kind"] == "comparison"
    assert run.data.tags["verdict"] == "regression"
    assert run.data.tags["mlflow.note.content"].splitlines()[0] == comparison.verdict.sentence
    assert run.data.metrics["compare/gain"] == -0.2
    assert run.data.metrics["compare/p_regression"] == 0.95
    assert run.inputs.dataset_inputs[0].dataset.name == "demand_example"


def test_one_child_for_each_arm(children, comparison):
    assert set(children) == set(comparison.arms)
    for name, run in children.items():
        assert run.info.status == "FINISHED"
        assert run.data.tags["run.kind"] == "model"
        assert run.data.metrics["test/rmse"] == pytest.approx(comparison.arms[name].scores["rmse"]["mean"])
        assert run.data.tags["mlflow.runColor"].startswith("#")
    assert children["regression"].data.tags["model.role"] == "baseline"
    assert children["neural"].data.tags["model.role"] == "challenger"
    assert children["regression"].data.tags["formula"].startswith("demand ~")


def test_folds_and_epochs_are_steps(client, children, comparison):
    folds = client.get_metric_history(children["neural"].info.run_id, "cv/rmse")
    values = {point.step: point.value for point in folds}
    assert values == pytest.approx(dict(enumerate(comparison.arms["neural"].scores["rmse"]["per_fold"])))
    losses = client.get_metric_history(children["neural"].info.run_id, "val/loss")
    assert sorted(point.step for point in losses) == list(range(40))
    assert children["regression"].data.metrics["diag/rainbow_p"] == 0.2


def test_files_of_the_run(client, logged, children):
    names = {item.path for item in client.list_artifacts(logged["run_id"], "comparison")}
    assert {"comparison/report.html", "comparison/comparison.json", "comparison/predictions.parquet"} <= names
    assert "comparison/figures" in names
    images = [item.path for item in client.list_artifacts(children["neural"].info.run_id, "images")]
    assert any("residuals" in path and path.endswith(".png") for path in images)
    assert "checks.json" in [item.path for item in client.list_artifacts(children["neural"].info.run_id)]


def test_models_predict_from_a_raw_frame(store, logged, children, models):
    raw = DATASET.frame.head(7)[["load", "when", "season", "hr", "temp"]]
    found = tracking.load_logged_model("demand_example@champion", store).predict(raw)
    np.testing.assert_allclose(found["mean"], models["regression"].predict(DATASET.X.head(7)))
    assert list(found) == ["mean", "lower", "upper"]
    narrow = tracking.load_logged_model(children["regression"].info.run_id, store).predict(
        raw, params={"coverage": 0.5}
    )
    assert ((narrow["upper"] - narrow["lower"]) < (found["upper"] - found["lower"])).all()
    whole = raw.assign(temp=[1, 2, 3, 4, 5, 6, 7])  # whole numbers in a column of decimals
    model = tracking.load_logged_model("demand_example", store)
    assert len(model.predict(whole)) == 7
    extra = predict_rows(model, raw.assign(note="a column of which the model knows nothing"), 0.9)
    pd.testing.assert_frame_equal(extra, found)
    for wrong, words in (
        (raw.rename(columns={"temp": "temps"}), "needs a column 'temp', which the data has not, did you mean 'temps'"),
        (raw.assign(temp="warm"), "cannot predict these rows: "),
    ):
        with pytest.raises(InputError, match=words):
            predict_rows(model, wrong, 0.9)


def test_champion_is_the_winner(client, logged, children):
    for alias, arm in (("champion", "regression"), ("challenger", "neural")):
        version = client.get_model_version_by_alias("demand_example", alias)
        assert version.run_id == children[arm].info.run_id
        assert version.tags["arm"] == arm


def test_a_run_reads_back_as_the_same_comparison(store, logged, children, comparison):
    back = tracking.read_run(logged["run_id"], store)
    assert first_screen(back) == first_screen(comparison)
    assert back.mlflow["run_id"] == logged["run_id"]
    assert len(back.shown) == len(DATASET.frame) and "temp" in back.shown  # the report can be built again
    assert tracking.read_run(children["naive"].info.run_id, store).verdict == comparison.verdict


def test_runs_are_listed(store, logged):
    runs = tracking.list_runs(store)
    row = runs[runs["run_id"] == logged["run_id"]].iloc[0]
    assert (row["name"], row["experiment"], row["verdict"], row["gain"]) == (
        "demand_example",
        "demand",
        "regression",
        -0.2,
    )


def test_saved_views_are_experiment_tags(client, logged):
    tags = client.get_experiment(logged["experiment_id"]).tags
    assert {f"mlflow.sharedViewState.{key}" for key in VIEWS.values()} <= set(tags)
    assert all(len(value) < 20_000 for value in tags.values())


def test_a_past_run_that_is_not_there(store, logged):
    with pytest.raises(InputError, match="no comparison in run"):
        tracking.read_run("0" * 32, store)
    with pytest.raises(InputError, match="no model 'nothing'"):
        tracking.load_logged_model("nothing", store)


def test_a_browser_shows_the_verdict_view(store, logged):
    if not tracking_server.is_server(store) or not supported(mlflow.__version__):
        pytest.skip("needs a server and a version with saved views")
    shown = open_page(view_link(store, logged["experiment_id"], "Verdict"), wait=60_000)
    assert shown.complaints == []
    for piece in ("demand_example", "compare/gain", "tags.`run.kind` = 'comparison'", "matching run"):
        assert piece in shown.html, piece
    assert "boosting" not in re.sub(r"score/\w+", "", shown.html)  # children are filtered out


@pytest.mark.parametrize(
    ("view", "pieces"),
    [
        ("Residuals", ("Residual panels", "images%2Fresiduals", "neural", "boosting")),
        ("Assumptions", ("Effect sizes", "diag/rainbow_effect", "regression")),
        ("Training curves", ("Loss by epoch", "train/loss", "Score by fold")),
    ],
)
def test_a_browser_shows_the_other_views(request, store, logged, view, pieces):
    if request.node.callspec.params["store"] != "server" or not supported(mlflow.__version__):
        pytest.skip("the page is the same for every server")
    shown = open_page(view_link(store, logged["experiment_id"], view), wait=60_000)
    assert shown.complaints == []
    for piece in ("tags.`run.kind` = 'model'", *pieces):
        assert piece in shown.html, piece


def test_few_requests(store, logged, requests_sent):
    """Everything but artifacts, counted where a client's requests leave."""
    if not tracking_server.is_server(store):
        pytest.skip("a file needs no requests")
    sent = [one for one in requests_sent if "artifact" not in one]
    print(f"{len(sent)} tracking requests")
    assert 20 < len(sent) <= 40, "\n".join(sent)


def test_an_open_run_and_the_global_address_are_left_alone(tmp_path, comparison):
    uri, other = f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'b.db'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(other)
    try:
        with inside(tmp_path), mlflow.start_run() as mine:
            tracking.log_comparison(replace(comparison, arms={}), models={}, dataset=None, tracking_uri=uri)
            assert mlflow.active_run().info.run_id == mine.info.run_id
            assert mlflow.get_tracking_uri() == other
        after = MlflowClient(other).get_run(mine.info.run_id)
        assert after.data.metrics == {} and after.data.params == {}
    finally:
        mlflow.set_tracking_uri(before)


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("gone"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_runs_end_when_logging_fails(tmp_path, comparison, monkeypatch, error, status):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def broken(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(tracking, "stage_files", broken)
    with inside(tmp_path), pytest.raises(type(error)):
        tracking.log_comparison(comparison, models={}, dataset=None, tracking_uri=uri)
    client = MlflowClient(uri)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert {run.info.status for run in runs if run.data.tags["run.kind"] == "comparison"} == {status}
    assert "RUNNING" not in {run.info.status for run in runs}


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:9", "sqlite:////nowhere/at/all/mlflow.db", "postgresql://127.0.0.1:9/mlflow", "http://["]
)
def test_unreachable_is_said_in_one_line(uri):
    with pytest.raises(InputError, match=r"no MLflow tracking at .* --tracking-uri none$") as caught:
        tracking.check_server(uri)
    assert "\n" not in str(caught.value)


def test_a_taken_port_is_said(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(InputError, match=f"port {port} is taken"),
            tracking_server.server(f"sqlite:///{tmp_path}/x.db", port),
        ):
            pass


def test_long_texts_are_cut_before_mlflow_cuts_them(comparison):
    arm = replace(comparison.arms["regression"], formula="x + " * 5000)
    settings = {"arms": {"regression": {"formula": "x + " * 5000}}}
    items = arm_items(replace(comparison, arms={"regression": arm}, settings=settings), "regression")
    assert max(map(len, items.tags.values())) < 8000
    assert max(map(len, items.params.values())) < 6000


def test_batches_keep_the_limits_and_everything():
    items = Items(metrics=[(f"m{i}", 1.0, 0) for i in range(2500)])
    items.params = {f"p{i}": "x" for i in range(230)}
    items.tags = {f"t{i}": "x" for i in range(120)}
    parts = list(batches(items))
    assert all(len(part["params"]) <= 100 and len(part["tags"]) <= 100 for part in parts)
    assert all(sum(map(len, part.values())) <= 1000 for part in parts)
    assert [sum(len(part[key]) for part in parts) for key in ("metrics", "params", "tags")] == [2500, 230, 120]
    assert list(batches(Items())) == []


def test_fitted_arm_faces(models):
    binary = FittedArm(models["neural"], DATASET.features, ("demand",), "binary")
    assert list(binary.predict(DATASET.X.head(2))) == ["probability"]

    class Two:
        def predict(self, X):
            return np.column_stack([X["temp"], X["hr"]])

    several = FittedArm(Two(), DATASET.features, ("a", "b"), "real").predict(DATASET.X.head(3))
    assert list(several) == ["mean_a", "lower_a", "upper_a", "mean_b", "lower_b", "upper_b"]
    assert several["lower_a"].isna().all()
    arm = FittedArm(models["neural"], DATASET.features, ("demand",), "real")
    with pytest.raises(InputError, match="columns missing in the data: temp"):
        arm.predict(DATASET.X.drop(columns="temp"))
    with pytest.raises(InputError, match="coverage"):
        arm.predict(DATASET.X, params={"coverage": 90})


@pytest.mark.slow
def test_a_model_loads_without_lightning(tmp_path, comparison):
    """A server for predictions need not carry the training library."""
    from toolkit.models.neural.regression import NeuralRegression

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    net = NeuralRegression(preset="quick", epochs=1, members=1, width=8).fit(DATASET.X, DATASET.y)
    few = replace(comparison, arms={"neural": comparison.arms["neural"]})
    with inside(tmp_path):
        tracking.log_comparison(few, models={"neural": net}, dataset=DATASET, tracking_uri=uri)
    DATASET.X.head(3).to_parquet(tmp_path / "rows.parquet")
    script = (
        "import sys; sys.modules['pytorch_lightning'] = sys.modules['lightning'] = None\n"
        "import pandas as pd\nfrom toolkit.tracking import load_logged_model\n"
        f"model = load_logged_model('demand_example@challenger', {uri!r})\n"
        f"found = model.predict(pd.read_parquet({str(tmp_path / 'rows.parquet')!r}))\n"
        "assert found['mean'].notna().all()\nprint('predicted', len(found))"
    )
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert "predicted 3" in ran.stdout, ran.stderr[-2000:]


def test_autolog_is_off_inside(tmp_path):
    from mlflow.utils import autologging_utils

    with tracking.autolog_off():
        assert autologging_utils._AUTOLOGGING_GLOBALLY_DISABLED
    assert not autologging_utils._AUTOLOGGING_GLOBALLY_DISABLED


def test_dashboard_opens_on_the_newest_comparison(store, logged, monkeypatch):
    if not tracking_server.is_server(store):
        pytest.skip("the server itself is tested by the other stores")
    opened: list[str] = []
    monkeypatch.setattr(dashboard.webbrowser, "open", opened.append)
    dashboard.serve_ui(store, open_browser=True)
    assert opened == [logged["link"]]


def test_versions_without_saved_views_get_the_plain_link(monkeypatch):
    assert not supported("3.10.1") and supported("3.17.2") and not supported("4.0.0")
    monkeypatch.setattr(mlflow, "__version__", "2.22.0")
    assert tracking._view() is None
    assert view_link("http://x/", "3", None) == "http://x/#/experiments/3/runs?workflowType=machine_learning"
