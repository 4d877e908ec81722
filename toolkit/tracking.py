"""Logging to MLflow: the only room that imports it.

Runs are addressed by their id through the client, so a run that the user has open is never touched. Everything is
gathered first (`tracking_items`) and sent in batches.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Dataset as LoggedDataset
from mlflow.entities import DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunTag
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

from toolkit import tracking_server, tracking_views
from toolkit.comparison.record import Comparison
from toolkit.data.dataset import Dataset
from toolkit.errors import InputError
from toolkit.reporting.contract import from_contract, to_contract
from toolkit.reporting.figures_residuals import residual_png
from toolkit.reporting.outputs import write_outputs
from toolkit.tracking_items import Items, arm_items, comparison_items, table_json
from toolkit.tracking_model import COVERAGE, FittedArm, requirements, save_arm

__all__ = [
    "DEFAULT_URI",
    "autolog_off",
    "check_server",
    "list_runs",
    "load_logged_model",
    "log_comparison",
    "read_run",
    "serve_ui",
]

DEFAULT_URI = "sqlite:///mlflow.db"
FOLDER = "comparison"  # artifacts of the parent run
BATCH = {"metrics": 1_000, "params": 100, "tags": 100}  # limits of one call
FILES = (
    "report.html",
    "report.md",
    "comparison.json",
    "details.json",
    "checks.csv",
    "scores.csv",
    "predictions.parquet",
    "members.parquet",
    "figures",
)
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def check_server(uri: str) -> None:
    """Stop before the first fit when nothing answers at the tracking URI.

    Raises
    ------
    InputError
        With the way to run without tracking.
    """
    cause = tracking_server.unreachable(uri)
    if cause is None:
        try:
            with _quiet():
                _client(uri).search_experiments(max_results=1)
        except Exception as error:  # every store raises its own kinds
            cause = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
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

    Returns
    -------
    dict
        tracking_uri, experiment_id, run_id of the parent, link (a page of the dashboard, or how to open it).
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    with _quiet():
        client = _client(uri)
        home = _experiment(client, experiment or comparison.name)
        parent = client.create_run(home.experiment_id, run_name=comparison.name, tags={"run.kind": "comparison"})
        found = {
            "tracking_uri": uri,
            "experiment_id": home.experiment_id,
            "run_id": parent.info.run_id,
            "link": tracking_server.link(uri, home.experiment_id, _view()),
        }
        with _ending(client, parent.info.run_id):
            inputs = _inputs(comparison, dataset)
            versions = {}
            for arm in comparison.arms:
                logged = _log_arm(client, comparison, arm, parent, models.get(arm), dataset, inputs)
                versions |= {arm: logged} if logged else {}
            _send(client, parent.info.run_id, comparison_items(comparison))
            client.log_inputs(parent.info.run_id, inputs)
            _log_files(client, comparison, found, dataset, out_folder)
            _register(client, comparison, versions)
            _save_views(client, home, comparison)
    return found


def _log_arm(
    client: MlflowClient,
    comparison: Comparison,
    arm: str,
    parent: Any,
    model: Any,
    dataset: Dataset | None,
    inputs: list,
) -> tuple[str, str] | None:
    """One child run; returns (child run id, model id) where a model was logged."""
    items = arm_items(comparison, arm)
    items.tags["mlflow.parentRunId"] = parent.info.run_id
    failed = bool(comparison.arms[arm].failures) and not comparison.arms[arm].scores
    run = client.create_run(parent.info.experiment_id, run_name=arm, tags=items.tags)
    items.tags = {}
    with _ending(client, run.info.run_id, "FAILED" if failed else "FINISHED"):
        picture = residual_png(comparison, arm, dataset)
        if items.tables:
            items.tags["mlflow.loggedArtifacts"] = json.dumps(
                [{"path": name, "type": "table"} for name in items.tables]
            )
        _send(client, run.info.run_id, items)
        with tempfile.TemporaryDirectory() as folder:
            for name, table in items.tables.items():
                (Path(folder) / name).write_text(table_json(table), encoding="utf-8")
            if items.tables:
                client.log_artifacts(run.info.run_id, folder)
        if picture is not None:
            client.log_image(run.info.run_id, _image(picture), key="residuals", step=0, synchronous=True)
        if model is None or dataset is None or not hasattr(model, "predict"):
            return None
        client.log_inputs(run.info.run_id, inputs)
        return run.info.run_id, _log_model(client, run, arm, model, dataset)


def _send(client: MlflowClient, run_id: str, items: Items) -> None:
    """Metrics, parameters and tags in as few calls as the limits allow."""
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value, step in items.metrics]
    params = [Param(key, value) for key, value in items.params.items()]
    tags = [RunTag(key, value) for key, value in items.tags.items()]
    while metrics or params or tags:
        batch = {"params": params[: BATCH["params"]], "tags": tags[: BATCH["tags"]]}
        batch["metrics"] = metrics[: BATCH["metrics"] - len(batch["params"]) - len(batch["tags"])]
        client.log_batch(run_id, **batch, synchronous=True)
        params, tags, metrics = (
            rest[len(sent) :]
            for rest, sent in ((params, batch["params"]), (tags, batch["tags"]), (metrics, batch["metrics"]))
        )


def _log_files(
    client: MlflowClient, comparison: Comparison, found: dict[str, str], dataset: Dataset | None, out_folder: Any
) -> None:
    """The files of the run, with comparison.json naming this run."""
    with tempfile.TemporaryDirectory() as stage:
        place = Path(stage) / FOLDER
        if out_folder is None:
            write_outputs(comparison, place, dataset)
        else:
            place.mkdir()
            for name in FILES:
                source = Path(out_folder) / name
                if source.is_dir():
                    shutil.copytree(source, place / name)
                elif source.exists():
                    shutil.copy2(source, place / name)
        document = to_contract(comparison) | {
            "mlflow": {key: found[key] for key in ("tracking_uri", "experiment_id", "run_id")}
        }
        (place / "comparison.json").write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
        client.log_artifacts(found["run_id"], stage)


def _log_model(client: MlflowClient, run: Any, arm: str, estimator: Any, dataset: Dataset) -> str:
    """The refitted arm as a logged model that `mlflow.pyfunc.load_model` reads; returns its id."""
    fitted = FittedArm(estimator, dataset.features, dataset.targets, dataset.target_kind)
    example = dataset.X.head(5)
    signature = ModelSignature(
        inputs=Schema([ColSpec(_column_type(example[name]), str(name)) for name in example]),
        outputs=Schema([ColSpec(DataType.double, name) for name in fitted.predict(example)]),
        params=ParamSchema([ParamSpec("coverage", DataType.double, COVERAGE)]),
    )
    model = client.create_logged_model(
        run.info.experiment_id, name=_safe(arm), source_run_id=run.info.run_id, model_type="regression-neural-toolkit"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "arm.pkl"
        save_arm(fitted, file)
        mlflow.pyfunc.save_model(
            str(Path(folder) / "model"),
            loader_module="toolkit.tracking_model",
            data_path=str(file),
            signature=signature,
            pip_requirements=requirements(file),
            mlflow_model=mlflow.models.Model(model_id=model.model_id, run_id=run.info.run_id),
        )
        client.log_model_artifacts(model.model_id, str(Path(folder) / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
    return model.model_id


def _column_type(values: pd.Series) -> Any:
    """Text and times are checked by MLflow; numbers are not, because it refuses whole numbers for a decimal column."""
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        return DataType.string
    return DataType.datetime if pd.api.types.is_datetime64_any_dtype(values) else AnyType()


def _register(client: MlflowClient, comparison: Comparison, logged: Mapping[str, tuple[str, str]]) -> None:
    """Both models as versions of one registered model; the winner is its champion, the other its challenger.

    Without a winner the arm that plays the regression, the simpler one, stays the champion.
    """
    name, winner = _safe(comparison.name), comparison.verdict.winner or comparison.verdict.arms[0]
    pair = [arm for arm in comparison.verdict.arms if arm in logged]
    if not pair:
        return
    try:
        client.create_registered_model(name, description=comparison.question)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for arm in pair:
        run_id, model_id = logged[arm]
        version = client.create_model_version(
            name,
            f"models:/{model_id}",
            run_id=run_id,
            model_id=model_id,
            tags={"arm": arm},
            description=comparison.verdict.sentence,
        )
        client.set_registered_model_alias(name, "champion" if arm == winner else "challenger", version.version)


def _save_views(client: MlflowClient, home: Any, comparison: Comparison) -> None:
    if _view() is None:
        return
    asked = dict.fromkeys(check.check for check in comparison.checks_found if check.p_value is not None)
    views = tracking_views.view_tags(
        comparison.metric, list(comparison.arms), list(asked)[:12], int(time.time() * 1000)
    )
    for key, value in views.items():
        if key not in home.tags or not tracking_views.same_view(home.tags[key], value):
            client.set_experiment_tag(home.experiment_id, key, value)


def _inputs(comparison: Comparison, dataset: Dataset | None) -> list[DatasetInput]:
    if dataset is None:
        return []
    shape = {"num_rows": len(dataset.frame), "num_elements": int(dataset.frame.size)}
    schema = {
        "mlflow_colspec": [
            {"name": str(c), "type": str(dataset.frame[c].dtype)} for c in (*dataset.features, *dataset.targets)
        ]
    }
    entity = LoggedDataset(
        name=dataset.name[:500],
        digest=dataset.sha256[:32],
        source_type="local",
        source=json.dumps({"uri": dataset.name}),
        profile=json.dumps(shape),
        schema=json.dumps(schema)[:60_000],
    )
    return [
        DatasetInput(entity, [InputTag("mlflow.data.context", f"{comparison.splits.get('scheme')} cross-validation")])
    ]


def read_run(run_id: str, uri: str | None = None) -> Comparison:
    """The comparison that a run has logged."""
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        client = _client(uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)
        try:
            run = client.get_run(run_id)
            parent = run.data.tags.get("mlflow.parentRunId", run_id)
            place = client.download_artifacts(parent, FOLDER, folder)
        except (mlflow.MlflowException, OSError) as error:
            raise InputError(f"no comparison in run '{run_id}': {str(error).splitlines()[0][:200]}") from error
        return from_contract(place)


def list_runs(uri: str | None = None, most: int = 1000) -> pd.DataFrame:
    """Past comparisons, newest first: run_id, name, experiment, dataset, verdict, metric, gain, lower, upper, started."""
    with _quiet():
        client = _client(uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)
        names = {one.experiment_id: one.name for one in client.search_experiments()}
        runs = (
            client.search_runs(
                list(names), "tags.`run.kind` = 'comparison'", max_results=most, order_by=["attributes.start_time DESC"]
            )
            if names
            else []
        )
    rows = [
        {
            "run_id": run.info.run_id,
            "name": run.info.run_name,
            "experiment": names[run.info.experiment_id],
            "dataset": run.data.tags.get("dataset.name"),
            "verdict": run.data.tags.get("verdict"),
            "metric": run.data.tags.get("metric"),
            **{name: run.data.metrics.get(f"compare/{name}") for name in ("gain", "lower", "upper")},
            "started": pd.Timestamp(run.info.start_time, unit="ms", tz="UTC"),
            "status": run.info.status,
        }
        for run in runs
    ]
    columns = [
        "run_id",
        "name",
        "experiment",
        "dataset",
        "verdict",
        "metric",
        "gain",
        "lower",
        "upper",
        "started",
        "status",
    ]
    return pd.DataFrame(rows, columns=columns)


def load_logged_model(ref: str, uri: str | None = None) -> Any:
    """A logged model by run id of an arm, `NAME@champion`, `NAME/VERSION`, a `models:/` or `runs:/` address, or a path."""
    with _quiet():
        client = _client(uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)
        before = mlflow.get_tracking_uri()
        try:
            mlflow.set_tracking_uri(uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)
            return mlflow.pyfunc.load_model(_model_uri(client, ref))
        except (mlflow.MlflowException, OSError) as error:
            raise InputError(f"no model '{ref}': {str(error).splitlines()[0][:200]}") from error
        finally:
            mlflow.set_tracking_uri(before)


def _model_uri(client: MlflowClient, ref: str) -> str:
    if "://" in ref or ref.startswith(("models:/", "runs:/")) or Path(ref).exists():
        return ref
    if len(ref) == 32 and all(letter in "0123456789abcdef" for letter in ref):
        outputs = client.get_run(ref).outputs
        found = outputs.model_outputs if outputs else []
        if not found:
            raise InputError(f"run '{ref}' holds no model: name the run of an arm, or NAME@champion")
        return f"models:/{found[0].model_id}"
    return f"models:/{ref}" if "@" in ref or "/" in ref else f"models:/{ref}@champion"


def serve_ui(uri: str | None = None, port: int = 5000, open_browser: bool = True) -> None:
    """Serve the dashboard until Ctrl-C and open it on the newest comparison."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    check_server(uri)
    with _quiet():
        newest = list_runs(uri, most=1)
        experiment = None if newest.empty else _client(uri).get_run(newest["run_id"][0]).info.experiment_id
    tracking_server.serve(uri, port, experiment, _view(), open_browser)


@contextmanager
def autolog_off() -> Iterator[None]:
    """No automatic logging of fits inside."""
    from mlflow.utils.autologging_utils import disable_autologging

    with disable_autologging():
        yield


@contextmanager
def _ending(client: MlflowClient, run_id: str, status: str = "FINISHED") -> Iterator[None]:
    """Every run ends, whatever happens inside."""
    try:
        yield
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        try:
            client.set_terminated(run_id, status)
        except Exception:  # the store may be what failed; its error is the one to show
            logging.getLogger(__name__).debug("run %s could not be ended", run_id)
        raise
    client.set_terminated(run_id, status)


@contextmanager
def _quiet() -> Iterator[None]:
    """Short patience with a server that is gone, and no log lines of set-up work."""
    loggers = {name: logging.getLogger(name).level for name in ("mlflow", "alembic")}
    before = {name: os.environ.get(name) for name in PATIENCE}
    os.environ.update({name: value for name, value in PATIENCE.items() if name not in os.environ})
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(?s).*input example was not provided")
            yield
    finally:
        for name, level in loggers.items():
            logging.getLogger(name).setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _client(uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _experiment(client: MlflowClient, name: str) -> Any:
    found = client.get_experiment_by_name(name)
    return found or client.get_experiment(client.create_experiment(name))


def _view() -> str | None:
    return "Verdict" if tracking_views.supported(mlflow.__version__) else None


def _safe(name: str) -> str:
    """A name for the registry, which takes no slashes, colons or dots."""
    return "".join("_" if letter in "/:.%\"'" else letter for letter in name) or "comparison"


def _image(png: bytes) -> Any:
    from PIL import Image

    return Image.open(BytesIO(png)).convert("RGB")
