"""Logging to MLflow, and reading back what was logged.

Runs are addressed by their id through the client, so a run that the user has open is never touched. What is logged is
gathered first (`tracking_items`) and sent in batches; models are in `tracking_model`, the dashboard's process in
`tracking_server`, its saved views in `tracking_views`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from toolkit import tracking_server, tracking_views
from toolkit.comparison.record import Comparison
from toolkit.data.dataset import Dataset
from toolkit.errors import InputError
from toolkit.reporting.contract import from_contract
from toolkit.reporting.figures_residuals import residual_png
from toolkit.reporting.words import greater_is_better
from toolkit.tracking_items import Items, arm_items, batches, comparison_items, past_runs, stage_files, table_json
from toolkit.tracking_model import dataset_inputs, log_model, model_place, register
from toolkit.tracking_server import store_uri

__all__ = [
    "autolog_off",
    "check_server",
    "list_runs",
    "load_logged_model",
    "log_comparison",
    "newest_experiment",
    "read_run",
]

KIND = {"mlflow.experimentKind": "custom_model_development"}  # a fresh browser shows runs, not traces
FOLDER = "comparison"  # artifacts of the parent run


def check_server(uri: str) -> None:
    """Stop before the first fit when nothing answers at the tracking URI.

    Raises
    ------
    InputError
        With the way to run without tracking.
    """
    cause = tracking_server.unreachable(uri)
    if cause is None and not tracking_server.is_new(uri):
        try:
            with tracking_server.quiet():
                _client(uri).search_experiments(max_results=1)
        except Exception as error:  # every store raises its own kinds
            cause = _line(error)
    if cause is not None:
        raise InputError(f"no MLflow tracking at {uri}: {cause}. To run without tracking: --tracking-uri none")


def log_comparison(
    comparison: Comparison,
    *,
    models: Mapping[str, Any],
    dataset: Dataset | None,
    out_folder: Path | str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> dict[str, str]:
    """Log a comparison: a parent run, a child for each arm, files, pictures and both models.

    Parameters
    ----------
    comparison : Comparison
    models : mapping
        Arm -> estimator refitted on all rows.
    dataset : Dataset, optional
        The rows; needed for models and data set inputs.
    out_folder : path, optional
        Where `write_outputs` has written; the files are made afresh without it.
    tracking_uri, experiment : str, optional
        By default `MLFLOW_TRACKING_URI` or a SQLite file in the working directory, and the name of the comparison.

    Returns
    -------
    dict
        tracking_uri, experiment_id, run_id of the parent, link (a page of the dashboard, or the command that opens it).
    """
    uri = store_uri(tracking_uri)
    with tracking_server.quiet():
        client = _client(uri)
        home = _experiment(client, experiment or comparison.name, _views(comparison))
        parent = client.create_run(home, run_name=comparison.name, tags={"run.kind": "comparison"})
        found = {
            "tracking_uri": uri,
            "experiment_id": home,
            "run_id": parent.info.run_id,
            "link": tracking_server.link(uri, home, _view()),
        }
        with tracking_server.ending(client, parent.info.run_id):
            inputs = dataset_inputs(comparison, dataset)
            logged = {}
            for arm in comparison.arms:
                model = _log_arm(client, comparison, arm, parent, models.get(arm), dataset)
                logged |= {arm: model} if model else {}
            _send(client, parent.info.run_id, comparison_items(comparison))
            if inputs:
                client.log_inputs(parent.info.run_id, inputs)
            with tempfile.TemporaryDirectory() as stage:
                stage_files(comparison, found, dataset, out_folder, Path(stage) / FOLDER)
                client.log_artifacts(parent.info.run_id, stage)
            register(client, comparison, logged)
    return found


def _log_arm(
    client: MlflowClient,
    comparison: Comparison,
    arm: str,
    parent: Any,
    model: Any,
    dataset: Dataset | None,
) -> tuple[str, str, str] | None:
    """One child run; returns its id, that of its model and the model's place, where there is one."""
    items = arm_items(comparison, arm)
    failed = bool(comparison.arms[arm].failures) and not comparison.arms[arm].scores
    tags = {**items.tags, "mlflow.parentRunId": parent.info.run_id}
    run = client.create_run(parent.info.experiment_id, run_name=arm, tags=tags)
    items.tags = {}
    with tracking_server.ending(client, run.info.run_id, "FAILED" if failed else "FINISHED"):
        _send(client, run.info.run_id, items)
        picture = residual_png(comparison, arm, dataset)
        if picture is not None:
            client.log_image(run.info.run_id, _image(picture), key="residuals", step=0, synchronous=True)
        if model is None or dataset is None or not hasattr(model, "predict"):
            return None
        return log_model(client, run, arm, model, dataset)


def _send(client: MlflowClient, run_id: str, items: Items) -> None:
    """Metrics, parameters and tags in as few calls as the limits allow, and the tables."""
    now = int(time.time() * 1000)
    if items.tables:
        items.tags["mlflow.loggedArtifacts"] = json.dumps([{"path": name, "type": "table"} for name in items.tables])
        with tempfile.TemporaryDirectory() as folder:
            for name, table in items.tables.items():
                (Path(folder) / name).write_text(table_json(table), encoding="utf-8")
            client.log_artifacts(run_id, folder)
    for part in batches(items):
        client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, step) for name, value, step in part["metrics"]],
            params=[Param(*pair) for pair in part["params"]],
            tags=[RunTag(*pair) for pair in part["tags"]],
            synchronous=True,
        )


def _experiment(client: MlflowClient, name: str, views: dict[str, str]) -> str:
    """Id of the experiment, made if it is not there; views that it lacks, or that show other arms now, are saved."""
    found = client.get_experiment_by_name(name)
    if found is None:
        return client.create_experiment(name, tags=KIND | views)
    for key, value in views.items():
        if key not in found.tags or not tracking_views.same_view(found.tags[key], value):
            client.set_experiment_tag(found.experiment_id, key, value)
    return found.experiment_id


def _views(comparison: Comparison) -> dict[str, str]:
    """Saved views as experiment tags; none where the version has none."""
    if _view() is None:
        return {}
    asked = dict.fromkeys(check.check for check in comparison.checks_found if check.p_value is not None)
    metric, now = comparison.metric, int(time.time() * 1000)
    return tracking_views.view_tags(metric, greater_is_better(metric), list(comparison.arms), list(asked)[:12], now)


def read_run(run_id: str, uri: str | None = None) -> Comparison:
    """The comparison that a run has logged.

    Parameters
    ----------
    run_id : str
        Of the parent, or of one of its children.
    uri : str, optional
        Tracking URI.

    Raises
    ------
    InputError
        No such run, or one that holds no comparison.
    """
    with tracking_server.quiet(), tempfile.TemporaryDirectory() as folder:
        client = _client(tracking_server.existing(store_uri(uri)))
        try:
            run = client.get_run(run_id)
            parent = run.data.tags.get("mlflow.parentRunId", run_id)
            place = client.download_artifacts(parent, FOLDER, folder)
        except (mlflow.MlflowException, OSError) as error:
            raise InputError(f"no comparison in run '{run_id}': {_line(error)}") from error
        return from_contract(place)


def list_runs(uri: str | None = None, most: int = 1000) -> pd.DataFrame:
    """Past comparisons, newest first.

    Returns
    -------
    DataFrame
        run_id, name, experiment, dataset, verdict, metric, gain, lower, upper, started, status.
    """
    with tracking_server.quiet():
        client = _client(tracking_server.existing(store_uri(uri)))
        names = {one.experiment_id: one.name for one in client.search_experiments()}
        kind, newest = "tags.`run.kind` = 'comparison'", ["attributes.start_time DESC"]
        runs = client.search_runs(list(names), kind, max_results=most, order_by=newest) if names else []
    return past_runs(runs, names)


def load_logged_model(ref: str, uri: str | None = None) -> Any:
    """A logged model: `predict(frame, params={"coverage": .9})` gives a frame of predictions.

    Parameters
    ----------
    ref : str
        Run id of an arm, `NAME` (its champion), `NAME@alias`, `NAME/version`, a `models:/` address, or a folder.
    uri : str, optional
        Tracking URI.

    """
    with tracking_server.quiet():
        try:
            if Path(ref).is_dir():
                return mlflow.pyfunc.load_model(ref)
            place = model_place(_client(tracking_server.existing(store_uri(uri))), ref.removeprefix("models:/"))
            return mlflow.pyfunc.load_model(
                mlflow.artifacts.download_artifacts(artifact_uri=place, tracking_uri=store_uri(uri))
            )
        except (mlflow.MlflowException, OSError) as error:
            raise InputError(f"no model '{ref}': {_line(error)}") from error


def newest_experiment(uri: str) -> tuple[str | None, str | None]:
    """Experiment of the newest comparison, None without one, and the view to open it with."""
    check_server(uri)
    newest = list_runs(uri, most=1)
    if newest.empty:
        return None, _view()
    with tracking_server.quiet():
        return _client(uri).get_run(newest["run_id"][0]).info.experiment_id, _view()


@contextmanager
def autolog_off() -> Iterator[None]:
    """No automatic logging of fits inside."""
    from mlflow.utils.autologging_utils import disable_autologging

    with disable_autologging():
        yield


def _client(uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _view() -> str | None:
    """The view that links open; None where the version has no saved views."""
    return "Verdict" if tracking_views.supported(mlflow.__version__) else None


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _image(png: bytes) -> Any:
    from PIL import Image

    return Image.open(BytesIO(png)).convert("RGB")
