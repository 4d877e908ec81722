"""Plain count models of a textbook, every column as it comes: what the specified regression must not lose to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.discrete.discrete_model import NegativeBinomial
from statsmodels.discrete.truncated_model import HurdleCountModel

__all__ = ["CountModel"]


class CountModel:
    """Poisson, negative binomial or (Poisson) hurdle regression on straight lines and levels, by statsmodels.

    Parameters
    ----------
    kind : {"poisson", "negative binomial", "hurdle"}
    """

    def __init__(self, kind: str):
        self.kind = kind

    def fit(self, X: pd.DataFrame, y: pd.Series) -> CountModel:
        """Maximum likelihood on rows X [n, p] and counts y [n]."""
        self.columns = self.dummies(X).columns
        design, counts = self.design(X), y.to_numpy()
        poisson = sm.Poisson(counts, design).fit(disp=0, maxiter=200)
        if self.kind == "poisson":
            self.result = poisson
        elif self.kind == "negative binomial":
            start = np.r_[poisson.params, 1.0]
            self.result = NegativeBinomial(counts, design).fit(start_params=start, disp=0, maxiter=500)
        else:
            self.result = HurdleCountModel(counts, design, dist="poisson", zerodist="poisson").fit(disp=0, maxiter=500)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Expected counts, [n]."""
        return np.asarray(self.result.predict(self.design(X)), dtype=float)

    def dummies(self, X: pd.DataFrame) -> pd.DataFrame:
        return pd.get_dummies(X, drop_first=True, dtype=float)

    def design(self, X: pd.DataFrame) -> np.ndarray:
        """Constant, numbers and indicators, [n, k]; a level that was not seen counts as the first one."""
        known = self.dummies(X).reindex(columns=self.columns, fill_value=0.0)
        return sm.add_constant(known, has_constant="add").to_numpy()
