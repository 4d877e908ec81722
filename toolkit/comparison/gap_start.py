"""Where a ladder starts: the columns, the scale and the penalties of a fitted regression, whatever made it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from toolkit.evaluation.scores import METRICS
from toolkit.models.formula_design import SCALES, back_to_units, read_formula
from toolkit.specification.columns import quoted
from toolkit.specification.family import FAMILIES, Family
from toolkit.specification.terms import FREE

__all__ = ["START", "Start", "StartTerm", "response_scale", "start_from", "to_units"]

FOLDS, SURE = 5, 1.645  # of the choice of scale: inner folds, t statistic
START = "(start)"  # key of the columns of the starting regression among the variables
NO_FAMILY = {"sqrt": "nonnegative", "arcsinh": "real"}  # scales of a formula that are no family of the specification
SCALE_OF = {"gaussian": "", "lognormal": "log", "log1p_normal": "log1p"}


@dataclass(frozen=True)
class StartTerm:
    """All columns of the starting regression as one term; they stand ready under the key `START`."""

    groups: np.ndarray = field(repr=False)  # [k], penalty groups, -1 for none
    name: str = START
    kind: str = "start"
    variables: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return len(self.groups)

    def columns(self, data: dict[str, np.ndarray]) -> np.ndarray:
        return data[START]


@dataclass(frozen=True)
class Start:
    """A starting regression, fitted to the training rows of one fold.

    Attributes
    ----------
    model : estimator
    family : Family
        On whose scale the ladder adds terms.
    scale : str
        "" (target units), log, log1p, sqrt or arcsinh for normal families; the name of the family otherwise.
    changed : str
        The name of the scale when the metric asks for another one than the regression has; else "".
    formula : str
        How a formula writes the regression, in the user's own column names; "" when it cannot be written.
    penalised : bool
        Whether the formula leaves out shrinkage that the fit has.
    """

    model: Any = field(repr=False)
    family: Family
    scale: str
    changed: str
    term: StartTerm = field(repr=False)
    formula: str = ""
    penalised: bool = False

    def columns(self, X: pd.DataFrame) -> np.ndarray:
        """Its columns without the constant, [n, k]."""
        return _columns(self.model, X)


def start_from(
    estimator: Any, X: pd.DataFrame, y: pd.Series, metric: str, kinds: dict[str, str], fitted: Any = None
) -> Start:
    """The starting regression on these rows, fitted here where it is not `fitted` yet."""
    model = clone(estimator).fit(X, y) if fitted is None else fitted
    scale, groups = _scale_of(model, y), _groups(model, X)
    wanted = response_scale(scale, metric)
    if wanted == "" and _is_plain(model) and log_serves_better(_columns(model, X), y.to_numpy(dtype=float), metric):
        wanted = "log"
    formula, penalised = _formula(model, X, str(y.name), kinds)
    if wanted != scale and formula:
        formula = _with_response(formula, str(y.name), wanted)
    return Start(
        model, family_of(wanted), wanted, wanted if wanted != scale else "", StartTerm(groups), formula, penalised
    )


def response_scale(scale: str, metric: str) -> str:
    """The scale on which additive terms serve the metric: a regression in target units changes it for some metrics."""
    if scale == "":
        return {"rmsle": "log1p", "poisson_deviance": "poisson", "gamma_deviance": "gamma"}.get(metric, scale)
    return scale


def log_serves_better(columns: np.ndarray, y: np.ndarray, metric: str) -> bool:
    """Whether the same columns predict a positive target surely better through its logarithm, out of inner folds."""
    loss = METRICS[metric].row_loss if metric in METRICS else None
    if loss is None or not y.min() > 0:
        return False
    fold = np.random.default_rng(0).permutation(len(y)) % FOLDS
    X, gain = np.column_stack([np.ones(len(y)), columns]), np.empty(len(y))
    for one in range(FOLDS):
        train, judge = fold != one, fold == one
        beta = np.linalg.lstsq(X[train], np.column_stack([y[train], np.log(y[train])]), rcond=1e-8)[0]
        fitted, eta = X[train] @ beta[:, 1], X[judge] @ beta[:, 1]
        spread = np.quantile(np.log(y[train]) - fitted, (np.arange(200) + 0.5) / 200)
        through = back_to_units(np.clip(eta, fitted.min(), fitted.max()), spread, "log", metric)
        gain[judge] = loss(y[judge], X[judge] @ beta[:, 0]) - loss(y[judge], through)
    if METRICS[metric].greater_is_better:
        gain = -gain
    return bool(gain.mean() > SURE * np.sqrt(2 / len(y)) * gain.std())  # sqrt(2): folds share training rows


def _is_plain(model: Any) -> bool:
    """The raw linear fit, whose scale nobody chose."""
    return hasattr(model, "encoder_") and hasattr(getattr(model, "model_", None), "coef_")


def family_of(scale: str) -> Family:
    """The family whose working scale has this name."""
    for name, known in SCALE_OF.items():
        if known == scale:
            return FAMILIES[name]
    if scale in FAMILIES:
        return FAMILIES[scale]
    forward, backward = SCALES[scale]
    return Family(f"{scale}_normal", f"normal on the {scale} scale", scale, NO_FAMILY[scale], backward, forward)


def to_units(start: Start, eta: np.ndarray, spread: np.ndarray, metric: str) -> np.ndarray:
    """Linear predictors [n] -> point predictions of what the metric rewards, target units."""
    if start.family.is_normal:
        return back_to_units(eta, spread, start.scale, metric)
    return start.family.mean(eta)


def _scale_of(model: Any, y: pd.Series) -> str:
    if hasattr(model, "parts_"):  # the specified regression
        if len(model.parts_) > 1:
            return "negative_binomial"
        return SCALE_OF.get(model.family_, model.family_)
    if hasattr(model, "fits_"):  # a formula
        if model.family_ == "gaussian":
            return model.fits_[0]["scale"]
        return {"binomial": "logistic"}.get(model.family_, model.family_)
    return "logistic" if set(np.unique(y)) <= {0.0, 1.0} else ""


def _columns(model: Any, X: pd.DataFrame) -> np.ndarray:
    if hasattr(model, "parts_") and len(model.parts_) == 1:
        return model.parts_[0].design.columns(model.columns_.encode(X))[:, 1:]
    if hasattr(model, "fits_"):
        matrix = model.design_.matrix(X)
        return matrix[:, [i for i, name in enumerate(model.design_.columns_) if name != "Intercept"]]
    if _is_plain(model):
        return np.asarray(model.encoder_.transform(X), dtype=float)
    predicted = np.asarray(model.predict(X), dtype=float).ravel()  # any other estimator is one column: its prediction
    if hasattr(model, "parts_"):
        predicted = np.log(np.maximum(predicted, 1e-10))
    return predicted[:, None]


def _groups(model: Any, X: pd.DataFrame) -> np.ndarray:
    if hasattr(model, "parts_") and len(model.parts_) == 1:
        return model.parts_[0].design.groups[1:]
    count = _columns(model, X.iloc[:2]).shape[1]
    # A logistic fit on levels that separate has no finite coefficients: one ridge stands for the arm's weak penalty
    return np.zeros(count, int) if _is_plain(model) and hasattr(model.model_, "C") else np.full(count, FREE)


def _formula(model: Any, X: pd.DataFrame, target: str, kinds: dict[str, str]) -> tuple[str, bool]:
    """The regression as a formula, and whether shrinkage is lost in it."""
    if hasattr(model, "parts_"):
        written = getattr(model, "fit_info_", {}).get("formula") or ""
        return (str(written), True) if isinstance(written, str) else ("", True)
    if hasattr(model, "fits_"):
        written = read_formula(model.formula)
        return (model.formula if written.target else f"{quoted(target)} ~ {written.right}"), False
    if _is_plain(model):
        pieces = [
            quoted(str(name))
            if pd.api.types.is_numeric_dtype(X[name].dtype) and kinds.get(name) not in ("text", "date")
            else f"C({quoted(str(name))})"
            for name in X.columns
            if not pd.api.types.is_datetime64_any_dtype(X[name].dtype) and kinds.get(name) != "date"
        ]
        return f"{quoted(target)} ~ {' + '.join(pieces)}", False
    return "", False


def _with_response(formula: str, target: str, scale: str) -> str:
    """The formula with the target on another scale; families of counts keep the target and are named as the family."""
    right = formula.partition("~")[2].strip()
    return f"np.{scale}({quoted(target)}) ~ {right}" if scale in SCALES and scale else f"{quoted(target)} ~ {right}"
