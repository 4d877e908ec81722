"""From what the checks found to settings of the regression arm that answer it: only settings that it really has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator, clone

from toolkit.diagnostics.check import Check
from toolkit.models.forecasting import SeriesRegression
from toolkit.models.formula import FAMILIES as FORMULA_FAMILIES
from toolkit.models.formula import FormulaRegression
from toolkit.models.formula_design import read_formula
from toolkit.models.regression import SpecifiedRegression
from toolkit.models.reweighted import Reweighted
from toolkit.specification.family import FAMILIES

__all__ = ["COVARIANCE", "WEIGHTS", "Remedy", "propose", "treated"]

WEIGHTS, COVARIANCE = "weights", "cov"
MORE_LAGS = 7  # at least so many more: a week of days


@dataclass(frozen=True)
class Remedy:
    """One change of a setting, and why."""

    arm: str
    setting: str  # constructor parameter of the arm, or `WEIGHTS`
    value: Any
    before: Any
    checks: tuple[str, ...]  # checks that call for it
    reason: str


@dataclass(frozen=True)
class _Rule:
    checks: tuple[str, ...]
    setting: str
    value: str | bool | Callable[[_Arm], Any]
    wanted: Callable[[_Arm], bool]
    reason: str


@dataclass(frozen=True)
class _Arm:
    """What a rule may ask of the arm."""

    settings: Mapping[str, Any]
    family: str  # as fitted
    positive: bool
    count: bool
    clustered: bool
    families: frozenset[str]
    target: str
    several: bool
    in_order: bool
    found: Mapping[str, Any]  # what the fit chose by itself

    @property
    def on_its_own_scale(self) -> bool:
        """A normal family without a transform of the target."""
        formula = self.settings.get("formula")
        return self.family == "gaussian" and (not formula or read_formula(formula).scale == "")


def _log_formula(arm: _Arm) -> str:
    return f"np.log({arm.target}) ~ {read_formula(arm.settings['formula']).right}"


def _log_wanted(arm: _Arm) -> bool:
    return arm.on_its_own_scale and arm.positive and arm.settings.get("metric") != "rmsle"


_TIME = ("durbin_watson", "breusch_godfrey", "ljung_box", "innovation_ljung_box")
_SPREAD = ("breusch_pagan", "white", "log_variance")
_SHAPE = ("jarque_bera", "anderson_darling", "quantile_uniformity")
# In the order in which they are tried: of several changes of one setting the first is made
_RULES = (
    _Rule(("cluster_correlation",), "cov", "cluster",
          lambda a: a.clustered and a.settings["cov"] not in ("auto", "HC3"),
          "rows of one group are alike: one cluster each"),
    _Rule(_TIME, "cov", "HAC", lambda a: not a.clustered and a.in_order,
          "residuals follow each other: Newey-West covariance"),
    _Rule(_SPREAD, "cov", "HC3", lambda a: a.settings["cov"] == "classical",
          "the spread is not constant: robust covariance"),
    _Rule(("zero_inflation",), "family", "hurdle", lambda a: a.family in ("poisson", "negative_binomial"),
          "zeros do not follow the counts: a part of their own"),
    _Rule(("dispersion", "quantile_dispersion", "zero_inflation"), "family", "negative_binomial",
          lambda a: a.family == "poisson", "counts vary more than Poisson counts"),
    _Rule(_SPREAD, "family", "negative_binomial", lambda a: a.family == "gaussian" and a.count,
          "counts spread more where they are larger"),
    _Rule(_SHAPE, "formula", _log_formula, lambda a: _log_wanted(a) and a.target.isidentifier(),
          "a positive target with a long tail: its logarithm"),
    _Rule(_SHAPE, "family", "lognormal", lambda a: _log_wanted(a) and "formula" not in a.settings,
          "a positive target with a long tail: its logarithm"),
    _Rule(_SPREAD, "family", "gamma", _log_wanted, "a positive target whose spread grows with its mean"),
    _Rule(_SPREAD, WEIGHTS, "inverse of the predicted variance",
          lambda a: a.on_its_own_scale and not (a.positive or a.count or a.several),
          "rows of little spread tell more: weights by the predicted spread"),
    _Rule(_TIME, "lookback", lambda a: max(2 * a.found["lookback"], a.found["lookback"] + MORE_LAGS),
          lambda a: a.found.get("steps") in ("direct", "recursive"), "errors follow each other: more lags"),
    _Rule(("innovation_season",), "mean", "additive", lambda a: a.found.get("mean") == "none",
          "a season is left in the errors: a mean function of the calendar"),
    _Rule(_SPREAD, "transform", "log", lambda a: a.positive and a.found.get("transform") != "log",
          "a positive target whose spread grows with its level: its logarithm"),
    _Rule(("learnability", "reset"), "interactions", True, lambda a: not a.settings["interactions"],
          "features still tell something about the residuals: search for interactions"),
)  # fmt: skip


def propose(
    checks: Sequence[Check],
    arm: str,
    estimator: BaseEstimator,
    *,
    family: str,
    target_kind: str,
    grouped: bool = False,
    target: str = "",
    several: bool = False,
    in_order: bool = True,
    found: Mapping[str, Any] | None = None,
) -> tuple[Remedy, ...]:
    """Changes of settings that the checks of one regression arm call for.

    Parameters
    ----------
    checks : sequence of Check
        Of a whole battery; those of other arms are passed over.
    arm : str
    estimator : estimator
        The arm before the change. `SpecifiedRegression`, `FormulaRegression` and `SeriesRegression` have remedies; no
        other arm does.
    family : str
        The family that was fitted, `fit_info_["family"]`.
    target_kind : {"real", "positive", "count", "binary"}
    grouped : bool
        Whether the data name groups, without which there are no clusters.
    target : str
        Name of the target, for a formula that transforms it.
    several : bool
        Whether there are several targets: rows then have no single spread to weigh them by.
    in_order : bool
        Whether the rows of the data stand in the order of time, which a Newey-West covariance needs.
    found : mapping, optional
        Settings that a fit chose by itself: steps, lookback, transform, mean of a series regression.

    Returns
    -------
    tuple of Remedy
        At most one change per setting; empty when nothing is called for or nothing would change.
    """
    families = _families(estimator)
    if families is None:
        return ()
    about = _Arm(
        estimator.get_params(deep=False), family, target_kind == "positive", target_kind == "count", grouped, families,
        target, several, in_order, found or {},
    )  # fmt: skip
    doubts = {c.check for c in checks if c.arm == arm and c.verdict in ("notice", "poor")}
    made: dict[str, Remedy] = {}
    for rule in _RULES:
        called = tuple(name for name in rule.checks if name in doubts)
        if not called or rule.setting in made or {"formula", "family"} & {*made, rule.setting} == {"formula", "family"}:
            continue
        if not _possible(rule, about):
            continue
        before = about.found.get(rule.setting, about.settings.get(rule.setting, "none"))
        value = rule.value(about) if callable(rule.value) else rule.value
        if before != value:
            made[rule.setting] = Remedy(arm, rule.setting, value, before, called, rule.reason)
    return tuple(made.values())


def treated(estimator: BaseEstimator, remedies: Sequence[Remedy]) -> BaseEstimator:
    """The arm with its settings changed, unfitted."""
    settings = {one.setting: one.value for one in remedies if one.setting != WEIGHTS}
    made = clone(estimator).set_params(**settings)
    return Reweighted(made) if any(one.setting == WEIGHTS for one in remedies) else made


def _families(estimator: BaseEstimator) -> frozenset[str] | None:
    if isinstance(estimator, SpecifiedRegression):
        return frozenset((*FAMILIES, "hurdle"))
    if isinstance(estimator, SeriesRegression):
        return frozenset()
    return frozenset(FORMULA_FAMILIES) if isinstance(estimator, FormulaRegression) else None


def _possible(rule: _Rule, arm: _Arm) -> bool:
    if rule.setting == WEIGHTS:
        return COVARIANCE in arm.settings and rule.wanted(arm)
    if rule.setting not in arm.settings or (rule.setting == "family" and rule.value not in arm.families):
        return False
    return rule.wanted(arm)
