"""A fitted arm as a model that MLflow loads: one raw frame in, one frame of predictions with intervals out.

Also what stands beside a model: the rows it has seen and its place in the registry.
"""

from __future__ import annotations

import json
import pickle
import pickletools
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Dataset as LoggedDataset
from mlflow.entities import DatasetInput, InputTag, LoggedModelOutput
from mlflow.models import ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

from toolkit.comparison.record import Comparison
from toolkit.data.dataset import Dataset
from toolkit.errors import InputError, nearest

__all__ = [
    "COVERAGE",
    "FittedArm",
    "dataset_inputs",
    "log_model",
    "model_place",
    "predict_rows",
    "register",
    "requirements",
    "save_arm",
]

COVERAGE = 0.9
DISTRIBUTION = "regression-neural-toolkit"
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "toolkit": DISTRIBUTION,
    "interpret": "interpret-core",
}  # import name -> name


class FittedArm:
    """Predicts with one refitted arm.

    Parameters
    ----------
    estimator : estimator with `predict`, and `predict_proba` or `predict_interval` where it has them
    features : tuple of str
        Columns that the estimator needs, in its order.
    targets : tuple of str
    target_kind : str
        A binary target gives the column `probability` instead of `mean`.
    """

    def __init__(self, estimator: Any, features: tuple[str, ...], targets: tuple[str, ...], target_kind: str) -> None:
        self.estimator = estimator
        self.features = tuple(features)
        self.targets = tuple(targets)
        self.target_kind = target_kind

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predictions for raw rows.

        Parameters
        ----------
        model_input : DataFrame, [n, at least the features]
            As in the source of the data: missing values and text levels as they come.
        params : dict, optional
            `coverage` of the intervals, between 0 and 1.

        Returns
        -------
        DataFrame, [n, 3] with the index of the input
            mean, lower, upper in units of the target (`mean_NAME` and so on with several targets); `probability` for
            a binary target. Limits are missing where the arm gives no intervals.
        """
        frame = pd.DataFrame(model_input)
        missing = [column for column in self.features if column not in frame]
        if missing:
            raise InputError(f"columns missing in the data: {', '.join(missing[:10])}")
        X, index = frame[list(self.features)].reset_index(drop=True), frame.index
        if self.target_kind == "binary":
            return pd.DataFrame({"probability": self._probability(X)}, index=index)
        mean = self._columns(self.estimator.predict(X))
        lower, upper = self._interval(X, float((params or {}).get("coverage", COVERAGE)), mean)
        if len(self.targets) == 1:
            return pd.DataFrame({"mean": mean[:, 0], "lower": lower[:, 0], "upper": upper[:, 0]}, index=index)
        parts = {
            f"{part}_{target}": values[:, k]
            for k, target in enumerate(self.targets)
            for part, values in (("mean", mean), ("lower", lower), ("upper", upper))
        }
        return pd.DataFrame(parts, index=index)

    def _probability(self, X: pd.DataFrame) -> np.ndarray:
        if hasattr(self.estimator, "predict_proba"):
            return np.asarray(self.estimator.predict_proba(X), dtype=float)[:, 1]
        return np.asarray(self.estimator.predict(X), dtype=float)

    def _interval(self, X: pd.DataFrame, coverage: float, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not 0 < coverage < 1:
            raise InputError(f"coverage: expected a number between 0 and 1, got {coverage}")
        if not hasattr(self.estimator, "predict_interval"):
            return np.full_like(mean, np.nan), np.full_like(mean, np.nan)
        lower, upper = self.estimator.predict_interval(X, coverage=coverage)
        return self._columns(lower), self._columns(upper)

    def _columns(self, values: Any) -> np.ndarray:
        return np.asarray(values, dtype=float).reshape(len(values), len(self.targets))


def save_arm(arm: FittedArm, path: Path) -> None:
    """Write the arm to one file."""
    path.write_bytes(cloudpickle.dumps(arm))


def _load_pyfunc(path: str) -> FittedArm:
    """What MLflow calls to load the model."""
    file = Path(path)
    with (next(file.iterdir()) if file.is_dir() else file).open("rb") as stored:
        return pickle.load(stored)


def requirements(path: Path) -> list[str]:
    """Pinned distributions that the stored arm refers to, this one first."""
    strings = (value for _, value, _ in pickletools.genops(path.read_bytes()) if isinstance(value, str))
    packages = {text.split(".")[0] for text in strings if text.split(".")[0] in sys.modules}
    names = {DISTRIBUTIONS.get(package, package.replace("_", "-")) for package in packages}
    found = []
    for name in dict.fromkeys([DISTRIBUTION, *sorted(names | {"pandas", "numpy", "cloudpickle"})]):
        with suppress(PackageNotFoundError):  # the standard library, and parts of other distributions
            found.append(f"{name}=={version(name).split('+')[0]}")
    return found


def log_model(client: MlflowClient, run: Any, arm: str, estimator: Any, dataset: Dataset) -> tuple[str, str, str]:
    """The refitted arm as a model that `mlflow.pyfunc.load_model` reads; returns run id, model id and place."""
    fitted = FittedArm(estimator, dataset.features, dataset.targets, dataset.target_kind)
    example = dataset.X.head(5)
    signature = ModelSignature(
        inputs=Schema([ColSpec(column_type(example[name]), str(name)) for name in example]),
        outputs=Schema([ColSpec(DataType.double, name) for name in fitted.predict(example)]),
        params=ParamSchema([ParamSpec("coverage", DataType.double, COVERAGE)]),
    )
    model = client.create_logged_model(
        run.info.experiment_id,
        name=registry_name(arm),
        source_run_id=run.info.run_id,
        model_type="regression-neural-toolkit",
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
        files = get_artifact_repository(model.artifact_location, tracking_uri=client.tracking_uri)
        files.log_artifacts(str(Path(folder) / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
    return run.info.run_id, model.model_id, model.artifact_location


def column_type(values: pd.Series) -> Any:
    """Text and times are checked by MLflow; numbers are not, because it refuses whole numbers for a decimal column."""
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        return DataType.string
    return DataType.datetime if pd.api.types.is_datetime64_any_dtype(values) else AnyType()


def register(client: MlflowClient, comparison: Comparison, logged: Mapping[str, tuple[str, str, str]]) -> None:
    """Both models as versions of one registered model; the winner is its champion, the other its challenger.

    Without a winner the arm that plays the regression, the simpler one, stays the champion.
    """
    name, winner = registry_name(comparison.name), comparison.verdict.winner or comparison.verdict.arms[0]
    pair = [arm for arm in comparison.verdict.arms if arm in logged]
    if not pair:
        return
    try:
        client.create_registered_model(name, description=comparison.question)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for arm in pair:
        run_id, model, place = logged[arm]
        # A server resolves the id itself; without one the client would look for it at the global tracking address.
        source = f"models:/{model}" if client.tracking_uri.startswith("http") else place
        version = client.create_model_version(
            name,
            source,
            run_id=run_id,
            model_id=model,
            tags={"arm": arm},
            description=comparison.verdict.sentence,
        )
        client.set_registered_model_alias(name, "champion" if arm == winner else "challenger", version.version)


def dataset_inputs(comparison: Comparison, dataset: Dataset | None) -> list[DatasetInput]:
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


def registry_name(name: str) -> str:
    """A name for the registry, which takes no slashes, colons or dots."""
    return "".join("_" if letter in "/:.%\"'" else letter for letter in name) or "comparison"


def predict_rows(model: Any, frame: pd.DataFrame, coverage: float) -> pd.DataFrame:
    """What a logged model says of new rows; columns that it does not know are left aside.

    Raises
    ------
    InputError
        A column is missing, or holds what the model cannot read.
    """
    schema = model.metadata.get_input_schema()
    names = list(frame.columns) if schema is None else schema.input_names()
    for name in names:
        if name not in frame.columns:
            guess = nearest(name, frame.columns)
            hint = f", did you mean '{guess}'?" if guess else ""
            raise InputError(f"the model needs a column '{name}', which the data has not{hint}")
    try:
        return model.predict(frame[names], params={"coverage": coverage})
    except (mlflow.MlflowException, ValueError, TypeError, KeyError) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"the model cannot predict these rows: {cause}") from error


def model_place(client: MlflowClient, ref: str) -> str:
    """Where the files of the logged model are that `ref` names."""
    if len(ref) == 32 and all(letter in "0123456789abcdef" for letter in ref):
        outputs = client.get_run(ref).outputs
        if not outputs or not outputs.model_outputs:
            raise InputError(f"run '{ref}' holds no model: name the run of an arm of the verdict, or NAME@champion")
        ref = outputs.model_outputs[0].model_id
    elif not ref.startswith("m-"):
        name, _, alias = ref.partition("@")
        version = (
            client.get_model_version(*ref.rsplit("/", 1))
            if "/" in ref
            else client.get_model_version_by_alias(name, alias or "champion")
        )
        if not version.source.startswith("models:/"):
            return version.source
        ref = version.source.removeprefix("models:/")
    return client.get_logged_model(ref).artifact_location
