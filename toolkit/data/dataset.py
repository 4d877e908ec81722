"""A dataset: a frame plus the roles of its columns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from toolkit.errors import InputError, unknown

__all__ = ["KINDS", "TARGET_KINDS", "Dataset"]

KINDS = ("number", "category", "ordinal", "cyclic", "date", "text")
TARGET_KINDS = ("real", "positive", "count", "binary")


@dataclass(frozen=True)
class Dataset:
    """A table and what its columns are for.

    Attributes
    ----------
    frame : DataFrame, [n, columns]
        Every usable row, in the order of the source, with a fresh RangeIndex: row i of the predictions table is row i here.
    targets : tuple of str
        One column, or several numeric ones. A binary target is stored as 0.0 / 1.0; `levels` keeps its labels.
    features : tuple of str
        The columns that every arm sees, in this order.
    kinds : dict
        Column -> one of `KINDS`, for every feature.
    target_kind : {"real", "positive", "count", "binary"}
    """

    frame: pd.DataFrame = field(repr=False)
    targets: tuple[str, ...]
    features: tuple[str, ...]
    kinds: dict[str, str]
    target_kind: str
    name: str = "data"
    time: str | None = None
    series: str | None = None
    groups: str | None = None
    weights: str | None = None
    known_ahead: tuple[str, ...] = ()
    past_only: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    levels: tuple[Any, ...] = ()  # labels of a binary target: (zero, one)
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> number of rows left out at load
    card: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def X(self) -> pd.DataFrame:
        """Features, [n, p], raw: missing values and text levels as they came."""
        return self.frame[list(self.features)]

    @property
    def y(self) -> pd.Series | pd.DataFrame:
        """Target, [n], or targets, [n, k]."""
        return self.frame[self.targets[0]] if len(self.targets) == 1 else self.frame[list(self.targets)]

    @property
    def sha256(self) -> str:
        """Hash of the values, names and order of every column that an arm can see."""
        columns = list(dict.fromkeys([*self.targets, *self.features, *self._role_columns()]))
        digest = hashlib.sha256(repr(columns).encode())
        for column in columns:
            digest.update(np.ascontiguousarray(pd.util.hash_pandas_object(self.frame[column], index=False)))
        return digest.hexdigest()

    def _role_columns(self) -> list[str]:
        return [c for c in (self.time, self.series, self.groups, self.weights) if c is not None]
