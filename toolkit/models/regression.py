"""The properly specified regression as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from toolkit.errors import InputError, unknown
from toolkit.specification.basis import learn_marginal
from toolkit.specification.columns import as_frame, finding, learn_columns
from toolkit.specification.evidence import choose_family
from toolkit.specification.family import FAMILIES
from toolkit.specification.likelihood import Rows
from toolkit.specification.part import Part, specify_part
from toolkit.specification.search import main_effects
from toolkit.specification.terms import Design

__all__ = ["SpecifiedRegression"]

FUNCTIONALS = {"mae": "median", "rmsle": "log_mean"}  # every other metric rewards the mean
TARGET_KINDS = ("auto", "real", "positive", "count", "binary")
MOST_KNOTS = 12  # of a bend; restricted maximum likelihood takes what it needs of them


class SpecifiedRegression(RegressorMixin, BaseEstimator):
    """The best-specified regression that the training rows support, found and fitted inside `fit`.

    Imputation with indicators, pooled and unseen levels, logs of heavy tails, date parts; family and link by inner
    out-of-fold log score; penalised bends and screened interactions with smoothing parameters by restricted maximum
    likelihood; the rung of the ladder by inner out-of-fold loss.

    Parameters
    ----------
    kinds : dict, optional
        Column -> number, category, ordinal, cyclic, date or text; columns left out are inferred.
    target_kind : {"auto", "real", "positive", "count", "binary"}
    metric : str
        The point prediction targets what this metric rewards: the median for `mae`, exp(E log(1 + y)) - 1 for `rmsle`,
        the mean (of a binary target the probability) for the others.
    family : str
        "auto", or gaussian, lognormal, log1p_normal, gamma, poisson, negative_binomial, hurdle, logistic.
    interactions : bool
        Whether interactions are screened.
    random_state : int
        Seed of the inner folds.

    Attributes
    ----------
    family_ : str
    parts_ : tuple of Part
        One, or two for a hurdle model (any, how many).
    fit_info_ : dict
        Plain facts: formula, terms, family, family_scores, findings, ladder, parameters, notes.
    """

    def __init__(
        self,
        kinds: dict[str, str] | None = None,
        target_kind: str = "auto",
        metric: str = "rmse",
        family: str = "auto",
        interactions: bool = True,
        random_state: int = 0,
    ):
        self.kinds = kinds
        self.target_kind = target_kind
        self.metric = metric
        self.family = family
        self.interactions = interactions
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> SpecifiedRegression:
        """Specify and fit on these rows, [n, p] and [n]."""
        frame = as_frame(X)
        y = as_target(y, len(frame))
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
        groups = None if groups is None else np.asarray(groups)
        self.n_features_in_ = frame.shape[1]
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.columns_ = learn_columns(frame, self.kinds)
        data = self.columns_.encode(frame)
        kind = infer_target_kind(y) if self.target_kind == "auto" else self.target_kind
        self.target_kind_, self.findings_ = check_target(kind, y)
        self.marginals_ = {v.name: learn_marginal(v, data[v.name], MOST_KNOTS) for v in self.columns_.variables}
        self._choose_family(data, y, weight, groups)
        self.parts_ = self._fit_parts(data, y, weight, groups)
        self.y_low_, self.y_high_ = float(y.min()), float(y.max())
        self.fit_info_ = self._facts()
        return self

    def _choose_family(self, data: dict, y: np.ndarray, weight: Any, groups: Any) -> None:
        if self.family != "auto":
            if self.family not in (*FAMILIES, "hurdle"):
                raise unknown("family", self.family, (*FAMILIES, "hurdle", "auto"))
            self.family_, self.family_scores_, self.family_reason_ = self.family, [], "given by the user"
            return
        rows = Rows(Design.of(main_effects(self.marginals_)), data, len(y))
        self.family_, self.family_scores_, self.family_reason_ = choose_family(
            rows, y, self.target_kind_, self.metric, weight, groups, self.random_state
        )

    def _fit_parts(self, data: dict, y: np.ndarray, weight: Any, groups: Any) -> tuple[Part, ...]:
        common = (self.interactions, self.random_state)
        if self.family_ != "hurdle":
            return (specify_part(self.marginals_, data, y, self.family_, weight, groups, *common),)
        some = np.flatnonzero(y > 0)
        any_visit = specify_part(self.marginals_, data, (y > 0).astype(float), "logistic", weight, groups, *common)
        how_many = specify_part(
            self.marginals_,
            {name: values[some] for name, values in data.items()},
            y[some],
            "truncated_nb",
            None if weight is None else weight[some],
            None if groups is None else groups[some],
            *common,
        )
        return any_visit, how_many

    def predict(self, X: Any) -> np.ndarray:
        """Point predictions [n] of what the metric rewards; for a binary target the probability of a one."""
        check_is_fitted(self)
        etas = self._etas(X)
        functional = FUNCTIONALS.get(self.metric, "mean")
        if self.family_ == "hurdle":
            return self.parts_[0].point(etas[0], "mean") * self.parts_[1].point(etas[1], "mean")
        return self.parts_[0].point(etas[0], functional)

    def _etas(self, X: Any) -> list[np.ndarray]:
        frame = as_frame(X)
        data = self.columns_.encode(frame)
        return [part.eta(data, len(frame)) for part in self.parts_]

    def _facts(self) -> dict[str, Any]:
        return {
            "family": self.family_,
            "family_scores": [vars(score) for score in self.family_scores_],
            "findings": [*self.columns_.findings, *self.findings_],
            "ladder": [vars(rung) for part in self.parts_ for rung in part.rungs],
            "parameters": int(sum(part.design.width for part in self.parts_)),
            "notes": [self.family_reason_],
        }


def as_target(y: Any, n: int) -> np.ndarray:
    """Target as float64 [n]; one clear line where it is not finite numbers."""
    name = f"target '{y.name}'" if isinstance(y, pd.Series) and y.name is not None else "the target"
    try:
        values = np.asarray(y, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be numbers; it holds {np.asarray(y).ravel()[0]!r}") from None
    values = values.reshape(len(values), -1)
    if values.shape[1] != 1:
        raise InputError(f"{name} has {values.shape[1]} columns; one was expected")
    if len(values) != n:
        raise InputError(f"X has {n} rows, {name} has {len(values)}")
    if not np.isfinite(values).all():
        raise InputError(f"{name} has {int((~np.isfinite(values)).sum())} missing or infinite values; drop those rows")
    return values[:, 0]


def infer_target_kind(y: np.ndarray) -> str:
    """binary, count, positive or real, from the values."""
    if set(np.unique(y[:1000])) <= {0.0, 1.0} and set(np.unique(y)) == {0.0, 1.0}:
        return "binary"
    if y.min() >= 0 and np.array_equal(y, np.floor(y)) and y.min() <= 10:
        return "count"
    return "positive" if y.min() > 0 else "real"


def check_target(kind: str, y: np.ndarray) -> tuple[str, list[dict[str, str]]]:
    """The kind of target that the values allow, with a finding where the user's word does not fit."""
    if kind not in TARGET_KINDS:
        raise unknown("target_kind", kind, TARGET_KINDS)
    if kind == "binary" and not set(np.unique(y)) <= {0.0, 1.0}:
        raise InputError(f"a binary target holds 0 and 1 only; this one has {len(np.unique(y))} different values")
    if kind == "count" and (y.min() < 0 or not np.array_equal(y, np.floor(y))):
        message = "the target is called a count but has negative or fractional values; it is fitted as real numbers"
        return ("positive" if y.min() > 0 else "real"), [finding("non-integer counts", "target", message, "check it")]
    if kind == "positive" and y.min() <= 0:
        message = f"the target is called positive but its smallest value is {y.min():g}; families that need y > 0 are out"
        return "real", [finding("zeros in a positive target", "target", message, "model the zeros, or add nothing to them")]
    return kind, []
