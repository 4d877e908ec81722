"""The properly specified regression as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from toolkit.errors import InputError, unknown
from toolkit.models.multivariate import fit_jointly
from toolkit.models.regression_facts import design_frame, facts_of_fit, facts_of_targets, summary_text
from toolkit.models.regression_inference import coefficient_table, effect_table, robust_covariance, split_table
from toolkit.models.regression_input import (
    as_target,
    check_target,
    checked_rows,
    infer_target_kind,
    numeric_frame,
    subset,
)
from toolkit.specification.basis import learn_marginal, with_room
from toolkit.specification.columns import learn_columns
from toolkit.specification.contest import settle_family
from toolkit.specification.family import FAMILIES
from toolkit.specification.formula import Specification, describe, term_table
from toolkit.specification.part import Part, specify_part
from toolkit.specification.sample import inner_folds

__all__ = ["SpecifiedRegression"]

FUNCTIONALS = {"mae": "median", "rmsle": "log_mean"}  # every other metric rewards the mean
ROWS_FOR_THREADS = 50_000  # below, the matrices are too small for threads to help
JOINT_COLUMNS = 4  # of each variable in the joint fit of several targets: a line, three bends; first levels
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
    cov : {"auto", "HC3", "cluster", "HAC"}
        Covariance behind the tables; "auto" is HC3, or cluster where `fit` gets groups. HAC takes rows in time order.
    inference : {"exploratory", "split"}
        "split" searches once more on one half of the rows and refits the chosen terms, unpenalised, on the other; its
        table is `split_terms_`. Predictions always come from all rows.
    random_state : int
        Seed of the inner folds.

    Attributes
    ----------
    family_ : str
    specification_ : Specification
        Formula, table of terms, equation.
    coefficients_ : DataFrame
        Constant and straight lines with robust standard errors, in the units of the columns.
    parts_ : tuple of Part
        One, or two for a hurdle model (any, how many).
    fit_info_ : dict
        Plain facts: formula, terms, family, family_scores, findings, ladder, parameters, notes; `frozen`: the
        settings of the arm `formula` that fit the same terms without a search; bends unpenalised, with as many
        columns as they had effective degrees of freedom.
    """

    def __init__(
        self,
        kinds: dict[str, str] | None = None,
        target_kind: str = "auto",
        metric: str = "rmse",
        family: str = "auto",
        interactions: bool = True,
        cov: str = "auto",
        inference: str = "exploratory",
        random_state: int = 0,
    ):
        self.kinds = kinds
        self.target_kind = target_kind
        self.metric = metric
        self.family = family
        self.interactions = interactions
        self.cov = cov
        self.inference = inference
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> SpecifiedRegression:
        """Specify and fit on these rows.

        Parameters
        ----------
        X : DataFrame or array, [n, p]
        y : Series, array or DataFrame, [n] or [n, targets]
            Several targets are specified one by one; `joint_` has their residual correlation and a test of each column
            for all of them, on a line and a few bends per column.
        sample_weight : array, [n], optional
        groups : array, [n], optional
            Rows of one group share inner folds and are one cluster of the covariance.

        Raises
        ------
        InputError
            For settings that are not known, a target with missing values, or no usable row.
        """
        self._check_settings()
        frame = numeric_frame(self, X, reset=True)
        y, weight, groups = checked_rows(frame, y, sample_weight, groups)
        if y.ndim == 2 and y.shape[1] > 1:
            return self._fit_several(frame, pd.DataFrame(y), weight, groups)
        target = str(y.name) if isinstance(y, pd.Series) and y.name is not None else "y"
        y = as_target(y, len(frame))
        with threadpool_limits(None if len(y) >= ROWS_FOR_THREADS else 1):
            self._fit_one(frame, y, weight, groups, target)
        return self

    def _fit_one(self, frame: pd.DataFrame, y: np.ndarray, weight: Any, groups: Any, target: str) -> None:
        self.columns_ = learn_columns(frame, self.kinds)
        data = self.columns_.encode(frame)
        kind = infer_target_kind(y) if self.target_kind == "auto" else self.target_kind
        self.target_kind_, self.findings_ = check_target(kind, y)
        marginals = {v.name: learn_marginal(v, data[v.name], MOST_KNOTS) for v in self.columns_.variables}
        self.marginals_ = with_room(marginals, len(y))
        self._choose_family(data, y, weight, groups)
        self.parts_ = self._fit_parts(data, y, weight, groups)
        self.findings_ += [f for part in self.parts_ for f in part.findings]
        cov = self.cov if self.cov != "auto" else "HC3" if groups is None else "cluster"
        self.specifications_ = tuple(
            self._describe(part, *some, cov, target) for part, some in self._rows_of_parts(data, y, weight, groups)
        )
        self.specification_: Specification = self.specifications_[-1]
        self.coefficients_ = self.specification_.coefficients
        if self.inference == "split":
            self.split_terms_ = self._split(frame, y, weight, groups)
        self.fit_info_ = facts_of_fit(
            self.family_,
            self.family_scores_,
            self.family_reason_,
            self.specifications_,
            self.parts_,
            [*self.columns_.findings, *self.findings_],
        )

    def _check_settings(self) -> None:
        for name, value, known in (
            ("family", self.family, (*FAMILIES, "hurdle", "auto")),
            ("cov", self.cov, ("auto", "HC3", "cluster", "HAC")),
            ("inference", self.inference, ("exploratory", "split")),
        ):
            if value not in known:
                raise unknown(name, value, known)

    def _fit_several(self, frame: pd.DataFrame, y: pd.DataFrame, weight: Any, groups: Any) -> SpecifiedRegression:
        self.targets_ = [str(name) for name in y.columns]
        self.models_ = [
            clone(self).fit(frame, pd.Series(y[name].to_numpy(), name=str(name)), weight, groups) for name in y.columns
        ]
        first = self.models_[0]
        data = first.columns_.encode(frame)
        blocks = {
            name: marginal.columns(data[name], min(marginal.width, JOINT_COLUMNS))
            for name, marginal in first.marginals_.items()
        }
        self.joint_ = fit_jointly(blocks, y) if len(y) > 2 * sum(b.shape[1] for b in blocks.values()) else None
        self.fit_info_ = facts_of_targets(dict(zip(self.targets_, self.models_, strict=True)), self.joint_)
        return self

    def _choose_family(self, data: dict, y: np.ndarray, weight: Any, groups: Any) -> None:
        if self.family != "auto":
            self.family_, self.family_scores_, self.family_reason_ = self.family, [], "family given by the user"
            if self.family in ("lognormal", "gamma", "gaussian_log", "truncated_nb") and y.min() <= 0:
                raise InputError(f"family '{self.family}' needs a target above 0; its smallest value is {y.min():g}")
            return
        functional = FUNCTIONALS.get(self.metric, "mean")
        self.family_, self.family_scores_, self.family_reason_ = settle_family(
            self.marginals_, data, y, self.target_kind_, self.metric, functional, weight, groups, self.interactions,
            self.random_state,
        )  # fmt: skip

    def _rows_of_parts(self, data: dict, y: np.ndarray, weight: Any, groups: Any) -> list[tuple[Part, tuple]]:
        if self.family_ != "hurdle":
            return [(self.parts_[0], (data, y, weight, groups))]
        some = np.flatnonzero(y > 0)
        return [
            (self.parts_[0], (data, (y > 0).astype(float), weight, groups)),
            (self.parts_[1], subset(some, data, y, weight, groups)),
        ]

    def _fit_parts(self, data: dict, y: np.ndarray, weight: Any, groups: Any) -> tuple[Part, ...]:
        def specify(family: str, rows: tuple) -> Part:
            return specify_part(self.marginals_, *rows[:2], family, *rows[2:], self.interactions, self.random_state)

        if self.family_ != "hurdle":
            return (specify(self.family_, (data, y, weight, groups)),)
        some = np.flatnonzero(y > 0)
        return (
            specify("logistic", (data, (y > 0).astype(float), weight, groups)),
            specify("truncated_nb", subset(some, data, y, weight, groups)),
        )

    def _describe(
        self, part: Part, data: dict, y: np.ndarray, weight: Any, groups: Any, cov: str, target: str
    ) -> Specification:
        covariance = robust_covariance(part, data, y, weight, groups, cov)
        coefficients = coefficient_table(self.columns_, part, covariance)
        return describe(self.columns_, part, target, term_table(part, covariance), coefficients)

    def _split(self, frame: pd.DataFrame, y: np.ndarray, weight: Any, groups: Any) -> pd.DataFrame:
        """Search on one half, test on the other."""
        half = inner_folds(len(y), groups, self.random_state) % 2 == 0
        search, test = np.flatnonzero(half), np.flatnonzero(~half)
        family = "logistic" if self.family_ == "hurdle" else self.family_
        chosen = clone(self).set_params(inference="exploratory", family=family)
        take = lambda values, rows: None if values is None else values[rows]  # noqa: E731
        response = (y > 0).astype(float) if self.family_ == "hurdle" else y
        chosen.fit(frame.iloc[search], response[search], take(weight, search), take(groups, search))
        data = chosen.columns_.encode(frame.iloc[test])
        return split_table(
            chosen.columns_, chosen.parts_[0], data, response[test], take(weight, test), take(groups, test)
        )

    def predict(self, X: Any) -> np.ndarray:
        """Point predictions, [n] or [n, targets], of what the metric rewards; of a binary target P(Y = 1)."""
        check_is_fitted(self)
        if hasattr(self, "models_"):
            return np.column_stack([model.predict(X) for model in self.models_])
        etas = self._etas(X)
        functional = FUNCTIONALS.get(self.metric, "mean")
        if self.family_ == "hurdle":
            return self.parts_[0].point(etas[0], "mean") * self.parts_[1].point(etas[1], "mean")
        return self.parts_[0].point(etas[0], functional)

    def predict_cdf(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """P(Y < y) and P(Y <= y) of the fitted distribution, [n] each; equal for continuous families."""
        check_is_fitted(self)
        y, etas = np.asarray(y, dtype=float), self._etas(X)
        if self.family_ != "hurdle":
            return self.parts_[0].family.cdf(y, etas[0], self.parts_[0].shape)
        some = self.parts_[0].family.mean(etas[0])
        lower, upper = self.parts_[1].family.cdf(np.maximum(y, 1), etas[1], self.parts_[1].shape)
        lower = np.where(y > 0, 1 - some + some * np.where(y > 1, lower, 0.0), 0.0)
        return lower, np.where(y > 0, 1 - some + some * upper, np.where(y < 0, 0.0, 1 - some))

    def effect(self, term: str, grid: dict[str, Any] | None = None) -> pd.DataFrame:
        """Curve or surface of one term with a pointwise 95 % band, on the scale of the linear predictor."""
        check_is_fitted(self)
        return effect_table(self.columns_, self.parts_[-1], term, grid)

    def summary(self) -> str:
        """Specification, families, coefficients and findings as text."""
        check_is_fitted(self)
        if hasattr(self, "models_"):
            return "\n\n".join(f"{n}\n{m.summary()}" for n, m in zip(self.targets_, self.models_, strict=True))
        return summary_text(
            self.specifications_,
            self.family_scores_,
            self.family_reason_,
            self.coefficients_,
            self.fit_info_["findings"],
        )

    def design_matrix(self, X: Any) -> pd.DataFrame:
        """The columns behind the coefficients, [n, coefficients], with what diagnostics need in `attrs`.

        Of a hurdle model the columns of its second part (how many), of several targets those of the first one.
        """
        check_is_fitted(self)
        if hasattr(self, "models_"):
            return self.models_[0].design_matrix(X)
        return design_frame(self.parts_[-1], self.columns_.encode(numeric_frame(self, X, reset=False)))

    def _etas(self, X: Any) -> list[np.ndarray]:
        frame = numeric_frame(self, X, reset=False)
        data = self.columns_.encode(frame)
        return [part.eta(data, len(frame)) for part in self.parts_]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()  # missing values, text and several targets are fine
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.target_tags.multi_output = True
        return tags
