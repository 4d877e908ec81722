"""Tables of the regression benchmark: target, columns left out, folds, and the bar of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

__all__ = ["TABLES", "Table", "load"]


@dataclass(frozen=True)
class Table:
    """One data set as the benchmark uses it."""

    name: str
    target: str
    folds: int
    metric: str
    bar: float | None
    target_kind: str = "auto"
    drop: tuple[str, ...] = ()
    repeats: int = 1
    unit: float = 1.0  # the target is divided by it
    log: bool = False
    kinds: dict[str, str] = field(default_factory=dict)
    keep_text: tuple[str, ...] | None = None  # marks of missing values where the default ones are levels
    rivals: tuple[str, ...] = ()  # plain count models on the same folds, see `_regression_counts`

    @property
    def score_name(self) -> str:
        return f"{self.metric} of the logarithm" if self.log else self.metric

    def score(self, observed: np.ndarray, predicted: np.ndarray) -> float:
        """Score of one fold, by toolkit.evaluation.scores."""
        from toolkit.evaluation.scores import score

        return score(self.metric, observed, predicted)


IDENTIFIERS = ("instant", "dteday", "casual", "registered", "datetime")
COUNT_MODELS = ("poisson", "negative binomial", "hurdle")
OUTCOMES = ("nvisits", "ovisits", "novisits", "emergency")
# `lbweight` is the target below 2,500 g; the others repeat a column as numbers
BIRTHWEIGHT_COPIES = ("lbweight", "mbsmoke_", "mmarried_", "fbaby_", "prenatal1_", "mage2")
IN_STATSMODELS = {"birthweight": "treatment/tests/results/cataneo2.csv"}  # 4,642 births, Cattaneo (2010)
TABLES = {
    "california_housing": Table("california_housing", "median_house_value", 5, "rmse", 0.49, unit=1e5),
    "bike_sharing_hourly": Table("bike_sharing_hourly", "cnt", 5, "rmsle", 0.30, "count", IDENTIFIERS),
    "diamonds": Table("diamonds", "price", 3, "rmse", 565, "positive"),
    "insurance_charges": Table("insurance_charges", "charges", 3, "rmse", 4_420, "positive", repeats=3),
    "ames_housing": Table(
        "ames_housing", "price", 10, "rmse", 0.125, "real", ("order", "pid"), log=True,
        kinds={"ms_sub_class": "category"}, keep_text=("",),
    ),
    "adult_income": Table(
        "adult_income", "income", 5, "log_loss", 0.31, "binary", ("fnlwgt", "split"), keep_text=("?",)
    ),
    "airfoil_noise": Table("airfoil_noise", "sound_pressure_level", 5, "rmse", 2.2, "real"),
    "abalone": Table("abalone", "rings", 5, "rmse", 2.13, "count"),
    "diabetes": Table("diabetes", "target", 5, "r2", 0.475, "real", repeats=4),
    "log wage": Table("cps1985_wages", "wage", 5, "r2", 0.26, "real", repeats=4, log=True),
    "birthweight": Table("birthweight", "bweight", 5, "r2", 0.115, "real", BIRTHWEIGHT_COPIES, repeats=4),
    "doctor_visits": Table("doctor_visits", "visits", 5, "poisson_deviance", None, "count", rivals=COUNT_MODELS),
    "nmes1988_visits": Table(
        "nmes1988_visits", "visits", 5, "poisson_deviance", None, "count", OUTCOMES, rivals=COUNT_MODELS
    ),
}  # fmt: skip


def load(table: Table, folder: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Features and target; `diabetes` comes with scikit-learn, `birthweight` with the tests of statsmodels."""
    if table.name == "diabetes":
        return load_diabetes(return_X_y=True, as_frame=True)
    if table.name in IN_STATSMODELS:
        path = Path(str(files("statsmodels"))) / IN_STATSMODELS[table.name]
    else:
        path = next((folder / table.name).glob(f"{table.name}.csv*"))
    options = {} if table.keep_text is None else {"keep_default_na": False, "na_values": list(table.keep_text)}
    frame = pd.read_csv(path, **options).drop(columns=list(table.drop))
    y = frame.pop(table.target)
    if table.target_kind == "binary":
        y = y.astype(str).str.contains(">").astype(float)
    y = np.log(y) if table.log else y / table.unit
    return frame, y.astype(float)
