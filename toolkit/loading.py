"""From the name of a pipeline to its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data.catalog import load_dataset
from toolkit.data.dataset import Dataset
from toolkit.data.places import bundled
from toolkit.data.readers import read_sql, read_table
from toolkit.errors import InputError, unknown
from toolkit.settings import Pipeline

__all__ = ["ROLES", "beside", "find_pipeline", "load", "shrink"]

QUICK_ROWS = 4_000
QUICK_FOLDS = 3
ROLES = (
    *("features", "drop", "kinds", "time", "series", "groups", "weights"),
    *("known_ahead", "past_only", "static"),
)


def find_pipeline(named: str | Path) -> Path:
    """The file itself, or a bundled pipeline of that name."""
    path = Path(named)
    if path.is_file():
        return path
    folder = bundled("pipelines")
    known = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    if path.suffix in ("", ".yaml", ".yml") and path.stem in known and (path.parent.name in ("", "pipelines")):
        return known[path.stem]
    if path.is_dir():
        raise InputError(f"{path}: a folder; a pipeline is a YAML file")
    if path.suffix or len(path.parts) > 1:
        raise InputError(f"{path}: no such file. Bundled pipelines: {', '.join(known)}")
    raise unknown("pipeline", named, known)


def load(settings: Pipeline, base: Path | None) -> Dataset:
    """The dataset that the pipeline names, with the roles that it gives."""
    data = settings.data
    roles = {key: getattr(data, key) for key in ROLES if getattr(data, key)}
    if data.target_kind != "auto":
        roles["target_kind"] = data.target_kind
    if data.dataset is not None:
        return load_dataset(data.dataset, **({"target": data.target} if data.target else {}), **roles)
    if data.target is None:
        raise InputError("data.target: name the column to predict")
    if data.sql is not None:
        return Dataset.from_frame(read_sql(data.sql.url, data.sql.query), data.target, name=settings.name, **roles)
    path = Path(beside(str(data.file), base))
    return Dataset.from_frame(read_table(path), data.target, name=path.name.split(".")[0], **roles)


def shrink(dataset: Dataset, settings: Pipeline) -> tuple[Dataset, Pipeline]:
    """Fewer rows, folds and repeats for a quick run; series keep their rows and lose origins."""
    splits = settings.splits
    if settings.face == "series":
        splits = splits.model_copy(update={"origins": min(splits.origins or QUICK_FOLDS, QUICK_FOLDS)})
        return dataset, settings.model_copy(update={"splits": splits})
    if len(dataset.frame) > QUICK_ROWS and splits.scheme != "table":
        every = np.random.default_rng(splits.seed).choice(len(dataset.frame), QUICK_ROWS, replace=False)
        dataset = dataset.take(np.sort(every))
    changes: dict[str, Any] = {"repeats": 1}
    if splits.scheme in ("auto", "kfold", "group", "time"):
        changes["folds"] = min(splits.folds or QUICK_FOLDS, QUICK_FOLDS)
    return dataset, settings.model_copy(update={"splits": splits.model_copy(update=changes)})


def beside(file: str, base: Path | None) -> Path | str:
    """A file named in a pipeline: from the working directory, or else from the folder of the pipeline."""
    if base is not None and not Path(file).exists() and (base / file).exists():
        return base / file
    return file
