"""The arm `formula`: a regression that the user wrote down, by least squares or as a generalised linear model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import norm, t
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted
from statsmodels.tools.sm_exceptions import PerfectSeparationError

from toolkit.errors import InputError, unknown
from toolkit.models.encoding import as_frame
from toolkit.models.formula_design import Design, Written, back_to_units, read_formula
from toolkit.models.least_squares import least_squares, sandwich

__all__ = ["FAMILIES", "FormulaRegression"]

FAMILIES = {
    "gaussian": None,
    "binomial": sm.families.Binomial,
    "poisson": sm.families.Poisson,
    "gamma": lambda: sm.families.Gamma(sm.families.links.Log()),
    "gaussian_log": lambda: sm.families.Gaussian(sm.families.links.Log()),
    "negative_binomial": sm.families.NegativeBinomial,
}


class FormulaRegression(RegressorMixin, BaseEstimator):
    """A formula of the user's own.

    Parameters
    ----------
    formula : str
        As in statsmodels and formulaic: `np.log1p(cnt) ~ C(hr):C(workingday) + temp + I(temp**2)`. The left side may be
        left out; log, log1p, sqrt and arcsinh of the target are transformed back, with Duan's smearing where the metric
        rewards the mean. With several targets the right side is used for each of them.
    family : {"auto", "gaussian", "binomial", "poisson", "gamma", "gaussian_log", "negative_binomial"}
        `auto`: binomial for a binary target, else gaussian; `gaussian_log` has constant variance and a log link.
    cov : {"HC3", "HC0", "HC1", "HC2", "classical", "cluster", "HAC"}
        Covariance of the coefficients; with `groups` given to `fit`, HC3 becomes cluster.
    alpha : float
        Of a negative binomial, whose variance is mean + alpha mean².
    metric, target_kind, kinds
        Told by the pipeline; the metric decides what a point prediction aims at.

    Attributes
    ----------
    coefficients_ : DataFrame
        One row per coefficient: target, column, estimate, se, statistic, p_value, lower, upper (95 %).
    fit_info_ : dict

    Notes
    -----
    Smearing: the mean of the back-transformed fitted value plus each residual, Duan, JASA 78 (1983), 605-610. HC3:
    MacKinnon and White, J. Econometrics 29 (1985), 305-325.
    """

    def __init__(
        self,
        formula: str = "",
        family: str = "auto",
        cov: str = "HC3",
        metric: str = "rmse",
        target_kind: str = "auto",
        kinds: dict[str, str] | None = None,
        alpha: float = 1.0,
    ):
        self.formula = formula
        self.alpha = alpha
        self.family = family
        self.cov = cov
        self.metric = metric
        self.target_kind = target_kind
        self.kinds = kinds

    def check_columns(self, dataset: Any) -> None:
        """Stop before the first fit on a formula that cannot be read or names a missing column.

        Raises
        ------
        InputError
        """
        written = read_formula(self.formula)
        written.check(list(dataset.features), list(dataset.targets))
        if self.family not in ("auto", *FAMILIES):
            raise unknown("family", self.family, ["auto", *FAMILIES])

    def fit(self, X: object, y: object, sample_weight: object = None, groups: object = None) -> FormulaRegression:
        """Fit on rows X [n, p] and y [n] or [n, targets].

        Raises
        ------
        InputError
            For a formula that cannot be read, a missing column, or a target that the family cannot have.
        """
        X = as_frame(X)
        written = read_formula(self.formula)
        named = list(y.columns) if isinstance(y, pd.DataFrame) else [getattr(y, "name", None)]
        names = [written.target or "y"] if named == [None] else [str(name) for name in named]
        written.check([str(column) for column in X.columns], names)
        outcomes = np.asarray(y, dtype=float).reshape(len(X), -1)
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
        self.design_ = Design(written.right).fit(X)
        matrix = self.design_.matrix(X)
        self.one_dimensional_ = np.ndim(y) == 1
        self.family_ = self._family(outcomes)
        kind = "cluster" if groups is not None and self.cov == "HC3" else self.cov
        self.fits_ = [
            self._fit_one(matrix, outcomes[:, k], weight, kind, groups, written) for k in range(outcomes.shape[1])
        ]
        self.coefficients_ = pd.concat(
            [fit["table"].assign(target=str(name)) for fit, name in zip(self.fits_, names, strict=True)]
        )
        self.n_features_in_ = X.shape[1]
        self.fit_info_ = {
            "formula": self.formula,
            "family": self._law(written.scale),
            **({"alpha": self.alpha} if self.family_ == "negative_binomial" else {}),
            "covariance": kind,
            "coefficients": self.coefficients_.to_dict("records"),
            "parameters": int(self.coefficients_["estimate"].notna().sum()),
            "findings": self.design_.findings_ + self.fits_[0]["findings"],
        }
        return self

    def predict(self, X: object) -> np.ndarray:
        """Predictions [n] or [n, targets] in units of the target; a probability for a binary one."""
        check_is_fitted(self)
        matrix = self.design_.matrix(as_frame(X))
        out = np.column_stack([self._predict_one(matrix, fit) for fit in self.fits_])
        return out[:, 0] if self.one_dimensional_ else out

    def design_matrix(self, X: object) -> pd.DataFrame:
        """The columns behind the coefficients, [n, coefficients], with what diagnostics need in `attrs`."""
        matrix = self.design_.matrix(as_frame(X))
        frame = pd.DataFrame(matrix, columns=self.design_.columns_)
        frame.attrs.update(
            terms=dict(zip(self.design_.columns_, self.design_.terms_, strict=True)),
            family=self.family_,
            scale={"": "identity"}.get(self.fits_[0]["scale"], self.fits_[0]["scale"]),
            penalised=False,
        )
        return frame

    def _made_family(self) -> sm.families.Family:
        if self.family_ == "negative_binomial":
            return sm.families.NegativeBinomial(alpha=self.alpha)
        return FAMILIES[self.family_]()  # type: ignore[misc]

    def _law(self, scale: str) -> str:
        """The distribution of the target: a normal one of its logarithm has a name of its own."""
        return {"log": "lognormal", "log1p": "log1p_normal"}.get(scale, self.family_)

    def _family(self, outcomes: np.ndarray) -> str:
        if self.family not in ("auto", *FAMILIES):
            raise unknown("family", self.family, ["auto", *FAMILIES])
        binary = self.target_kind == "binary" or (self.target_kind == "auto" and set(np.unique(outcomes)) <= {0.0, 1.0})
        family = ("binomial" if binary else "gaussian") if self.family == "auto" else self.family
        lowest = float(outcomes.min())
        if family in ("gamma", "gaussian_log") and lowest <= 0:
            raise InputError(f"family {family} needs a positive target; its smallest value is {lowest:g}")
        if family in ("poisson", "negative_binomial") and lowest < 0:
            raise InputError(f"family {family} needs a target of 0 or more; its smallest value is {lowest:g}")
        if family == "binomial" and (lowest < 0 or outcomes.max() > 1):
            raise InputError("family binomial needs a target between 0 and 1")
        return family

    def _fit_one(
        self, X: np.ndarray, y: np.ndarray, weight: Any, kind: str, groups: Any, written: Written
    ) -> dict[str, Any]:
        """Coefficients and their covariance for one target."""
        if self.family_ == "gaussian":
            response = written.transform(y)
            fit = least_squares(X, response, weight)
            covariance = sandwich(fit, X, kind, groups)
            beta, used, degrees = fit.beta, fit.used, fit.df_residual
            spread = np.quantile(fit.residual, (np.arange(200) + 0.5) / 200)
        else:
            beta, used, covariance = _fit_glm(X, y, weight, self._made_family(), kind, groups)
            degrees, spread = None, np.zeros(1)
        dropped = [name for name, kept in zip(self.design_.columns_, used, strict=True) if not kept]
        findings = [
            {
                "finding": "dependent column",
                "column": name,
                "message": f"'{name}' is a combination of other columns in the formula and got no coefficient",
                "advice": "leave it out, or drop a level",
            }
            for name in dropped
        ]
        table = _table(self.design_.columns_, beta, used, covariance, degrees)
        return {"beta": beta, "table": table, "spread": spread, "scale": written.scale, "findings": findings}

    def _predict_one(self, X: np.ndarray, fit: dict[str, Any]) -> np.ndarray:
        linear = X @ fit["beta"]
        if self.family_ == "gaussian":
            return back_to_units(linear, fit["spread"], fit["scale"], self.metric)
        family = self._made_family()
        return np.asarray(family.link.inverse(np.clip(linear, -700, 700)), dtype=float)


def _fit_glm(
    X: np.ndarray, y: np.ndarray, weight: Any, family: Any, kind: str, groups: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, used columns and covariance of a generalised linear model through statsmodels."""
    used = least_squares(X, np.zeros(len(y))).used
    scale = np.maximum(np.abs(X[:, used]).max(axis=0), 1e-300)
    model = sm.GLM(y, X[:, used] / scale, family=family, freq_weights=weight)
    if kind == "cluster":
        options = {"cov_type": "cluster", "cov_kwds": {"groups": pd.factorize(np.asarray(groups))[0]}}
    elif kind == "HAC":
        options = {"cov_type": "HAC", "cov_kwds": {"maxlags": int(4 * (len(y) / 100) ** (2 / 9))}}
    else:
        options = {"cov_type": "nonrobust" if kind == "classical" else "HC0"}  # HC0 to HC3 are the same for a GLM there
    try:
        result = model.fit(**options)
    except (np.linalg.LinAlgError, ValueError, PerfectSeparationError) as error:
        raise InputError(f"the formula could not be fitted: {str(error).splitlines()[0]}") from None
    beta, covariance = np.zeros(X.shape[1]), np.zeros((X.shape[1], X.shape[1]))
    beta[used] = result.params / scale
    covariance[np.ix_(used, used)] = result.cov_params() / np.outer(scale, scale)
    return beta, used, covariance


def _table(
    columns: list[str], beta: np.ndarray, used: np.ndarray, covariance: np.ndarray, degrees: int | None
) -> pd.DataFrame:
    """Coefficients with standard errors, tests and 95 % intervals; NaN for columns without a coefficient."""
    se = np.sqrt(np.maximum(np.diagonal(covariance), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = beta / se
    law = norm if degrees is None else t(max(degrees, 1))
    half = law.ppf(0.975) * se
    table = pd.DataFrame(
        {
            "column": columns,
            "estimate": beta,
            "se": se,
            "statistic": statistic,
            "p_value": 2 * law.sf(np.abs(statistic)),
            "lower": beta - half,
            "upper": beta + half,
        }
    )
    table.loc[~used, table.columns[1:]] = np.nan
    return table
