"""Readable columns of a single series: covariates that are known ahead as they are, long seasons as harmonics."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from toolkit.data.calendar import HOLIDAY, is_holiday
from toolkit.models.forecasting_channels import Channel
from toolkit.models.forecasting_design import fourier

__all__ = ["Columns"]

MOST_PAIRS = 10  # sines and cosines of a long season
MOST_LEVELS = 12


@dataclass
class Columns:
    """Learned from the training rows: levels of texts and how many harmonics each long season has.

    Numbers stay in their units, so that a coefficient is the change of the (transformed) target for one more of them;
    a holiday is 0 or 1; of a text's levels the commonest is the reference.
    """

    periods: tuple[int, ...] = ()
    levels_: dict[str, list[str]] = field(default_factory=dict)
    pairs_: dict[int, int] = field(default_factory=dict)
    used_: np.ndarray | None = None
    names: list[str] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)

    def fit(self, channel: Channel, z: np.ndarray) -> Columns:
        """Learn from a channel and its transformed values z, [n]; columns that do not vary in it are left out."""
        self.levels_ = {
            column: [str(level) for level in channel.known[column].astype(str).value_counts().index[1:MOST_LEVELS]]
            for column in channel.known
            if not _is_number(channel.known[column]) and column != HOLIDAY
        }
        self.pairs_ = {period: _pairs(z, channel.ordinal[: len(z)], period) for period in self.periods}
        self.used_ = None
        X = self(channel)[: len(channel)]
        self.used_ = X.std(axis=0) > 1e-12
        self.names = [name for name, used in zip(self.names, self.used_, strict=True) if used]
        self.terms = list(dict.fromkeys(name.partition("[")[0] for name in self.names))
        return self

    def __call__(self, channel: Channel) -> np.ndarray:
        """Columns of every row of the channel and of its future, [n + ahead, p]."""
        parts: list[np.ndarray] = []
        names: list[str] = []
        for column in channel.known:
            values = channel.known[column]
            if column == HOLIDAY:
                made, labels = is_holiday(values).astype(float)[:, None], ["holiday"]
            elif _is_number(values):
                made, labels = values.to_numpy(dtype=float)[:, None], [str(column)]
            else:
                text = values.astype(str).to_numpy()
                made = np.column_stack([text == level for level in self.levels_[column]] or [np.zeros((len(text), 0))])
                labels = [f"{column}[{level}]" for level in self.levels_[column]]
            parts.append(made.astype(float))
            names += labels
        for period, pairs in self.pairs_.items():
            parts.append(fourier(channel.ordinal, period, pairs))
            names += [f"fourier({period}, {pairs})[{k}]" for k in range(parts[-1].shape[1])]
        X = np.column_stack(parts) if parts else np.zeros((len(channel.ordinal), 0))
        if self.used_ is None:
            self.names = names
            return X
        return X[:, self.used_]


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) or bool(values.isin([True, False]).all())


def _pairs(z: np.ndarray, ordinal: np.ndarray, period: int) -> int:
    """Harmonics of a season by the AICc of a regression on a straight line and them, from 1 to 10."""
    seen = np.isfinite(z)
    line = np.linspace(-1, 1, len(z))
    scores = []
    most = min(MOST_PAIRS, period // 2)
    for pairs in range(1, most + 1):
        X = np.column_stack([np.ones(len(z)), line, fourier(ordinal, period, pairs)])[seen]
        rest = z[seen] - X @ np.linalg.lstsq(X, z[seen], rcond=None)[0]
        n, k = int(seen.sum()), X.shape[1] + 1
        scores.append(n * np.log(max(float(rest @ rest), 1e-300) / n) + 2 * k * n / max(n - k - 1, 1))
    return int(np.argmin(scores)) + 1
