"""The contestants: what each arm is called, what kind it is, and which estimator it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any

from sklearn.base import BaseEstimator

from toolkit.errors import InputError, nearest, unknown
from toolkit.models.table import Wrapped, with_seed

__all__ = ["ARMS", "ArmContext", "ArmKind", "arm_kind", "build_arms", "check_arm"]


@dataclass(frozen=True)
class ArmKind:
    """One entry of the registry."""

    kind: str  # baseline, reference, regression, neural
    estimator: str  # "module:Class", imported when the arm is built
    describes: str
    for_binary: str | None = None  # another estimator for a binary target


@dataclass(frozen=True)
class ArmContext:
    """What the pipeline knows and hands to every arm whose constructor asks for it."""

    kinds: dict[str, str] | None
    target_kind: str
    metric: str
    random_state: int
    horizon: int = 0
    quick: bool = False
    coverage: float = 0.9  # of the arms' own intervals

    def parameters(self) -> dict[str, Any]:
        named = ("kinds", "target_kind", "metric", "random_state", "horizon", "coverage")
        return {name: getattr(self, name) for name in named}


OTHER = {
    "table": "forecasts of series (splits.scheme: rolling_origin)",
    "series": "tables, not for forecasts of series",
}
_MODELS = "toolkit.models"
ARMS: dict[str, dict[str, ArmKind]] = {
    "table": {
        "naive": ArmKind("baseline", f"{_MODELS}.naive:Naive", "one constant: the number that any model must beat"),
        "linear": ArmKind("reference", f"{_MODELS}.table:Linear", "every column as it comes, shown for reference"),
        "formula": ArmKind("regression", f"{_MODELS}.formula:FormulaRegression", "a formula of your own"),
        "regression": ArmKind(
            "regression", f"{_MODELS}.regression:SpecifiedRegression", "a regression specified by search"
        ),
        "boosting": ArmKind("reference", f"{_MODELS}.table:Boosting", "gradient boosted trees, a yardstick"),
        "neural": ArmKind(
            "neural",
            f"{_MODELS}.neural.regression:NeuralRegression",
            "a stack of neural nets",
            f"{_MODELS}.neural.regression:NeuralClassifier",
        ),
    },
    "series": {
        "naive": ArmKind("baseline", f"{_MODELS}.classical:Naive", "the last value"),
        "seasonal_naive": ArmKind("baseline", f"{_MODELS}.classical:SeasonalNaive", "the value one season ago"),
        "regression": ArmKind(
            "regression", f"{_MODELS}.forecasting:SeriesRegression", "a dynamic regression specified by search"
        ),
        "drift": ArmKind("baseline", f"{_MODELS}.classical:Drift", "the line through the first and the last value"),
        "arima": ArmKind("reference", f"{_MODELS}.statistical:Arima", "seasonal ARIMA for each series"),
        "ets": ArmKind("reference", f"{_MODELS}.statistical:Ets", "exponential smoothing for each series"),
        "theta": ArmKind("reference", f"{_MODELS}.statistical:Theta", "the theta model for each series"),
        "classical": ArmKind("regression", f"{_MODELS}.statistical:Classical", "median of ARIMA, CES, ETS and theta"),
        "sarimax": ArmKind(
            "regression", f"{_MODELS}.state_space:Sarimax", "regression with seasonal ARIMA errors, one series"
        ),
        "structural": ArmKind(
            "regression", f"{_MODELS}.state_space:Structural", "level, slope and season as states, one series"
        ),
        "var": ArmKind("regression", f"{_MODELS}.systems:VectorAutoregression", "all targets of a series together"),
        "neural": ArmKind("neural", f"{_MODELS}.neural.forecasting:NeuralForecaster", "one net for all series"),
        "neuralforecast": ArmKind(
            "neural", f"{_MODELS}.neural.nixtla:NixtlaForecaster", "a net of the neuralforecast package by name (extra)"
        ),
    },
}


def check_arm(face: str, name: str, settings: Mapping[str, Any]) -> None:
    """Stop on an arm or a setting that does not exist; keys are constructor parameters.

    Raises
    ------
    InputError
    """
    if name not in ARMS[face]:
        if any(name in arms for arms in ARMS.values()):
            raise InputError(f"arm '{name}' is for {OTHER[face]}. Known here: {', '.join(sorted(ARMS[face]))}")
        raise unknown("arm", name, ARMS[face])
    allowed = _keys(_load(face, name))
    for key in settings:
        if key not in allowed:
            guess = nearest(key, allowed)
            hint = f", did you mean '{guess}'?" if guess else "."
            raise InputError(f"unknown key '{key}' of arm '{name}'{hint} Known: {', '.join(sorted(allowed))}")


def build_arms(
    face: str, requested: Mapping[str, Mapping[str, Any] | BaseEstimator], context: ArmContext
) -> dict[str, BaseEstimator]:
    """Unfitted estimators, one for each requested arm.

    Parameters
    ----------
    face : {"table", "series"}
    requested : mapping
        Arm name -> settings, or -> an estimator of the user's own (`fit` and `predict`) under a name of her choice.
    context : ArmContext

    Raises
    ------
    InputError
        Something that is neither.
    """
    arms: dict[str, BaseEstimator] = {}
    for name, settings in requested.items():
        if not isinstance(settings, Mapping):
            arms[name] = Wrapped(with_seed(_own(name, settings), context.random_state), kinds=context.kinds)
            continue
        check_arm(face, name, settings)
        made_of = _load(face, name, context.target_kind)
        given = dict(settings)
        keys = _keys(made_of)
        told = {key: value for key, value in context.parameters().items() if key in keys}
        if context.quick and "preset" in keys:
            given = {**given, "preset": "quick"}
        arms[name] = made_of(**{**told, **given})
    return arms


def arm_kind(face: str, name: str) -> str:
    """baseline, reference, regression or neural; an estimator of the user's own is a reference."""
    return ARMS[face][name].kind if name in ARMS[face] else "reference"


def _own(name: str, estimator: Any) -> Any:
    """The user's own estimator, if it is one."""
    if isinstance(estimator, type):
        raise InputError(
            f"arms.{name}: {estimator.__name__} is a class; an estimator such as {estimator.__name__}() was expected"
        )
    if not (hasattr(estimator, "fit") and hasattr(estimator, "predict")):
        raise InputError(f"arms.{name}: expected settings or an estimator with fit and predict, got {estimator!r}")
    return estimator


def _load(face: str, name: str, target_kind: str = "real") -> type[BaseEstimator]:
    entry = ARMS[face][name]
    place = entry.for_binary if target_kind == "binary" and entry.for_binary else entry.estimator
    module, made_of = place.split(":")
    return getattr(import_module(module), made_of)


def _keys(made_of: type[BaseEstimator]) -> set[str]:
    return set(signature(made_of).parameters)
