"""From a raw frame to a numeric matrix, for the arms that have no preparation of their own."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

__all__ = ["Encoder", "as_frame", "split_kinds"]

LEVELS_SHOWN = 50  # rarer levels of a column with more than this many are pooled
LEVELS_OF_A_TREE = 250  # HistGradientBoosting takes at most 255 categories


def as_frame(X: object) -> pd.DataFrame:
    """X as a DataFrame; columns of an array are called x0, x1, ..."""
    if isinstance(X, pd.DataFrame):
        return X
    X = np.asarray(X)
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


def split_kinds(X: pd.DataFrame, kinds: dict[str, str] | None) -> tuple[list[str], list[str], list[str]]:
    """Names of the number-like, category-like and date columns of X."""
    kinds = kinds or {}
    numbers, categories, dates = [], [], []
    for column in X.columns:
        dtype = X[column].dtype
        if pd.api.types.is_datetime64_any_dtype(dtype) or kinds.get(column) == "date":
            dates.append(column)
        elif pd.api.types.is_numeric_dtype(dtype) and kinds.get(column) not in ("category", "text"):
            numbers.append(column)
        else:
            categories.append(column)
    return numbers, categories, dates


class Encoder(TransformerMixin, BaseEstimator):
    """Numbers as they come, levels as indicators or codes, dates as days; learned on the rows of `fit`.

    Parameters
    ----------
    kinds : dict, optional
        Column -> kind; inferred from the dtype when left out. Codes stored as numbers stay numbers unless named here.
    levels : {"indicators", "codes"}
        One-hot columns, or integer codes for trees.
    impute : bool
        Replace missing numbers by the training mean (trees need no imputation).
    scale : bool
        Centre and scale the numbers; a linear fit is unchanged by it and gains accuracy.
    """

    def __init__(
        self,
        kinds: dict[str, str] | None = None,
        levels: str = "indicators",
        impute: bool = True,
        scale: bool = True,
    ):
        self.kinds = kinds
        self.levels = levels
        self.impute = impute
        self.scale = scale

    def fit(self, X: object, y: object = None) -> Encoder:
        X = as_frame(X)
        numbers, categories, dates = split_kinds(X, self.kinds)
        self.columns_ = list(X.columns)
        # A column without a single value in these rows says nothing, and the bins of a tree cannot hold it.
        numbers, dates = ([name for name in names if X[name].notna().any()] for names in (numbers, dates))
        self.categorical_ = list(range(len(numbers) + len(dates), len(numbers) + len(dates) + len(categories)))
        number_steps = [FunctionTransformer(_finite, feature_names_out="one-to-one")]
        if self.impute:
            number_steps.append(SimpleImputer(keep_empty_features=True))
        if self.scale:
            number_steps.append(StandardScaler())
        if self.levels == "indicators":
            coder = OneHotEncoder(
                drop="first", handle_unknown="infrequent_if_exist", sparse_output=False, max_categories=LEVELS_SHOWN
            )
        else:
            coder = OrdinalEncoder(
                handle_unknown="use_encoded_value",
                unknown_value=np.nan,
                encoded_missing_value=np.nan,
                max_categories=LEVELS_OF_A_TREE,
            )
        self.transformer_ = ColumnTransformer(
            [
                ("numbers", make_pipeline(*number_steps), numbers),
                ("dates", make_pipeline(FunctionTransformer(_days), *number_steps), dates),
                ("levels", make_pipeline(FunctionTransformer(_text), coder), categories),
            ]
        ).fit(X)
        return self

    def transform(self, X: object) -> np.ndarray:
        """Matrix [n, columns], numbers first, then dates, then levels."""
        return np.asarray(self.transformer_.transform(as_frame(X)[self.columns_]), dtype=float)


def _finite(values: pd.DataFrame) -> pd.DataFrame:
    """Numbers with infinities as missing."""
    return values.astype(float).replace([np.inf, -np.inf], np.nan)


def _days(dates: pd.DataFrame) -> pd.DataFrame:
    """Dates as days since 1970."""
    epoch = pd.Timestamp(0)
    return dates.apply(
        lambda column: (
            (pd.to_datetime(column, errors="coerce", utc=True).dt.tz_localize(None) - epoch).dt.total_seconds() / 86_400
        )
    )


def _text(levels: pd.DataFrame) -> pd.DataFrame:
    """Levels as text, a missing one as a level of its own."""
    return levels.astype(object).where(levels.notna(), "(missing)").astype(str)
