"""Arms shown for reference: every column as it comes, gradient boosting, and any estimator of the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from toolkit.models.encoding import Encoder

__all__ = ["Boosting", "Linear", "Wrapped"]

WEAK_PENALTY = 1e4  # inverse strength in the logistic fit: keeps it finite under separation, invisible otherwise
BOOSTING_ROWS_FOR_EARLY_STOP = 500  # below this the inner validation rows are too few to stop by


class _Encoded(BaseEstimator):
    """Encode, fit, predict: what the reference arms share."""

    def _more_facts(self) -> dict[str, Any]:
        return {}

    def fit(self, X: object, y: object, sample_weight: object = None) -> _Encoded:
        y = np.asarray(y, dtype=float)
        self.encoder_ = self._encoder().fit(X)
        matrix = self.encoder_.transform(X)
        self.model_ = self._model(_is_binary(y, self.target_kind), y.ndim > 1)
        extra = {} if sample_weight is None else {"sample_weight": np.asarray(sample_weight, dtype=float)}
        self.model_.fit(matrix, y, **extra)
        self.n_features_in_ = len(self.encoder_.columns_)
        self.fit_info_ = self._more_facts()
        return self

    def predict(self, X: object) -> np.ndarray:
        """Predictions [n] or [n, targets]; for a binary target the probability of a one."""
        check_is_fitted(self)
        matrix = self.encoder_.transform(X)
        if hasattr(self.model_, "predict_proba"):
            return self.model_.predict_proba(matrix)[:, -1]
        return self.model_.predict(matrix)


def _is_binary(y: np.ndarray, target_kind: str) -> bool:
    if target_kind == "auto":
        return y.ndim == 1 and set(np.unique(y)) <= {0.0, 1.0}
    return target_kind == "binary"


class Linear(RegressorMixin, _Encoded):
    """Ordinary least squares, or a logistic fit, on every column as it comes: the strawman, shown for reference.

    No logs, no bends, no interactions; codes stored as numbers stay numbers. This is what a regression looks like when
    nobody specified it, and never the opponent of a verdict unless the user asks for it.

    Parameters
    ----------
    kinds : dict, optional
        Ignored for columns stored as numbers: as they come means as they come.
    target_kind : str
    """

    def __init__(self, kinds: dict[str, str] | None = None, target_kind: str = "auto"):
        self.kinds = kinds
        self.target_kind = target_kind

    def _encoder(self) -> Encoder:
        return Encoder(kinds={c: k for c, k in (self.kinds or {}).items() if k in ("date", "text")})

    def _model(self, binary: bool, several: bool) -> Any:
        if binary:
            return LogisticRegression(C=WEAK_PENALTY, max_iter=2_000)
        return LinearRegression(tol=1e-12)  # columns are standardised; the default cutoff drops real ones

    def _more_facts(self) -> dict[str, Any]:
        coefficients = np.atleast_2d(self.model_.coef_)
        return {"parameters": int(coefficients.size + len(coefficients))}


class Boosting(RegressorMixin, _Encoded):
    """Histogram gradient boosting from scikit-learn with early stopping inside the training rows: a yardstick.

    Parameters
    ----------
    kinds : dict, optional
        Columns called category or text are treated as such.
    target_kind : {"auto", "real", "positive", "count", "binary"}
    metric : str
        Decides the loss: squared error; absolute error for `mae`; squared error on log(1 + y) for `rmsle`; Poisson and
        Gamma for their deviances; log loss for binary targets.
    max_iter, learning_rate, max_leaf_nodes
        As in `sklearn.ensemble.HistGradientBoostingRegressor`.
    random_state : int
    """

    def __init__(
        self,
        kinds: dict[str, str] | None = None,
        target_kind: str = "auto",
        metric: str = "rmse",
        max_iter: int = 1_000,
        learning_rate: float = 0.06,
        max_leaf_nodes: int = 31,
        random_state: int = 0,
    ):
        self.kinds = kinds
        self.target_kind = target_kind
        self.metric = metric
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.random_state = random_state

    def fit(self, X: object, y: object, sample_weight: object = None) -> Boosting:
        self.early_stopping_ = len(np.asarray(y)) >= BOOSTING_ROWS_FOR_EARLY_STOP
        return super().fit(X, y, sample_weight)  # type: ignore[return-value]

    def _encoder(self) -> Encoder:
        return Encoder(kinds=self.kinds, levels="codes", impute=False, scale=False)

    def _model(self, binary: bool, several: bool) -> Any:
        common = {
            "learning_rate": self.learning_rate,
            "max_leaf_nodes": self.max_leaf_nodes,
            "max_iter": self.max_iter if self.early_stopping_ else min(self.max_iter, 100),
            "early_stopping": self.early_stopping_,
            "n_iter_no_change": 20,
            "categorical_features": self.encoder_.categorical_ or None,
            "random_state": self.random_state,
        }
        if binary:
            return HistGradientBoostingClassifier(**common)
        losses = {"mae": "absolute_error", "poisson_deviance": "poisson", "gamma_deviance": "gamma"}
        model: Any = HistGradientBoostingRegressor(loss=losses.get(self.metric, "squared_error"), **common)
        if self.metric == "rmsle":
            model = TransformedTargetRegressor(model, func=np.log1p, inverse_func=np.expm1, check_inverse=False)
        return MultiOutputRegressor(model) if several else model

    def _more_facts(self) -> dict[str, Any]:
        fitted = getattr(self.model_, "regressor_", self.model_)
        return {"trees": int(fitted.n_iter_)} if hasattr(fitted, "n_iter_") else {}


class Wrapped(RegressorMixin, BaseEstimator):
    """A scikit-learn estimator of the user's own, with levels as indicators, missing numbers imputed, numbers scaled.

    Parameters
    ----------
    estimator : estimator
        A regressor, or for a binary target a classifier; one that knows a single target is fitted to each of several.
        A `Pipeline` gets the raw frame: it prepares its columns.
    kinds : dict, optional
    """

    def __init__(self, estimator: Any, kinds: dict[str, str] | None = None):
        self.estimator = estimator
        self.kinds = kinds

    def fit(self, X: object, y: object, sample_weight: object = None) -> Wrapped:
        self.encoder_ = None if hasattr(self.estimator, "steps") else Encoder(kinds=self.kinds).fit(X)
        y = np.asarray(y)
        model = clone(self.estimator, safe=False)
        several = y.ndim > 1 and not _takes_several(model)
        extra = {} if sample_weight is None else {"sample_weight": np.asarray(sample_weight, dtype=float)}
        if extra and not has_fit_parameter(model, "sample_weight"):
            raise ValueError(f"{type(model).__name__} takes no weights")
        self.model_ = (MultiOutputRegressor(model) if several else model).fit(self._matrix(X), y, **extra)
        self.fit_info_: dict[str, Any] = {}
        return self

    def _matrix(self, X: object) -> Any:
        return X if self.encoder_ is None else self.encoder_.transform(X)

    def predict(self, X: object) -> np.ndarray:
        """Predictions [n] or [n, targets]; the probability of a one where the estimator gives probabilities."""
        check_is_fitted(self)
        if isinstance(self.model_, ClassifierMixin) or hasattr(self.model_, "predict_proba"):
            return self.model_.predict_proba(self._matrix(X))[:, -1]
        return self.model_.predict(self._matrix(X))


def _takes_several(estimator: Any) -> bool:
    """Whether an estimator says that it predicts several targets at once; one that says nothing is believed."""
    return not isinstance(estimator, BaseEstimator) or get_tags(estimator).target_tags.multi_output


def with_seed(estimator: Any, seed: int) -> Any:
    """A clone whose `random_state`, where it has one that is not set, is `seed`."""
    estimator = clone(estimator, safe=False)
    settings = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    if settings.get("random_state", seed) is None:
        estimator.set_params(random_state=seed)
    return estimator
