"""From what the checks found to settings of the regression arm that answer it: only settings that it really has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator

from toolkit.diagnostics.check import Check
from toolkit.models.formula import FAMILIES as FORMULA_FAMILIES
from toolkit.models.formula import FormulaRegression
from toolkit.models.regression import SpecifiedRegression
from toolkit.specification.family import FAMILIES

__all__ = ["Remedy", "propose"]


@dataclass(frozen=True)
class Remedy:
    """One change of a setting, and why."""

    arm: str
    setting: str  # constructor parameter of the arm
    value: Any
    before: Any
    checks: tuple[str, ...]  # checks that call for it
    reason: str


@dataclass(frozen=True)
class _Rule:
    checks: tuple[str, ...]
    setting: str
    value: str | bool
    wanted: Callable[[_Arm], bool]
    reason: str


@dataclass(frozen=True)
class _Arm:
    """What a rule may ask of the arm."""

    settings: Mapping[str, Any]
    family: str  # as fitted
    positive: bool
    clustered: bool
    families: frozenset[str]


_TIME = ("durbin_watson", "breusch_godfrey", "ljung_box")
_SPREAD = ("breusch_pagan", "white", "log_variance")
# In the order in which they are tried: of several changes of one setting the first is made
_RULES = (
    _Rule(("cluster_correlation",), "cov", "cluster",
          lambda a: a.clustered and a.settings["cov"] not in ("auto", "HC3"),
          "rows of one group are alike: one cluster each"),
    _Rule(_TIME, "cov", "HAC", lambda a: not a.clustered,
          "residuals follow each other: Newey-West covariance"),
    _Rule(_SPREAD, "cov", "HC3", lambda a: a.settings["cov"] == "classical",
          "the spread is not constant: robust covariance"),
    _Rule(("zero_inflation",), "family", "hurdle", lambda a: a.family in ("poisson", "negative_binomial"),
          "zeros do not follow the counts: a part of their own"),
    _Rule(("dispersion", "quantile_dispersion", "zero_inflation"), "family", "negative_binomial",
          lambda a: a.family == "poisson", "counts vary more than Poisson counts"),
    _Rule((*_SPREAD, "jarque_bera", "anderson_darling", "quantile_uniformity"), "family", "gamma",
          lambda a: a.family == "gaussian" and a.positive, "a positive target whose spread grows with its mean"),
    _Rule(("learnability", "reset"), "interactions", True, lambda a: not a.settings["interactions"],
          "features still tell something about the residuals: search for interactions"),
)  # fmt: skip


def propose(
    checks: Sequence[Check], arm: str, estimator: BaseEstimator, *, family: str, target_kind: str, grouped: bool = False
) -> tuple[Remedy, ...]:
    """Changes of settings that the checks of one regression arm call for.

    Parameters
    ----------
    checks : sequence of Check
        Of a whole battery; those of other arms are passed over.
    arm : str
    estimator : estimator
        The arm before the change. `SpecifiedRegression` and `FormulaRegression` have remedies; no other arm does.
    family : str
        The family that was fitted, `fit_info_["family"]`.
    target_kind : {"real", "positive", "count", "binary"}
    grouped : bool
        Whether the data name groups, without which there are no clusters.

    Returns
    -------
    tuple of Remedy
        At most one change per setting; empty when nothing is called for or nothing would change. Weights and lags are
        no settings of these arms and are never proposed.
    """
    families = _families(estimator)
    if families is None:
        return ()
    about = _Arm(estimator.get_params(deep=False), family, target_kind == "positive", grouped, families)
    doubts = {c.check for c in checks if c.arm == arm and c.verdict in ("notice", "poor")}
    found: dict[str, Remedy] = {}
    for rule in _RULES:
        called = tuple(name for name in rule.checks if name in doubts)
        if not called or rule.setting in found or not _possible(rule, about):
            continue
        before = about.settings[rule.setting]
        if before != rule.value:
            found[rule.setting] = Remedy(arm, rule.setting, rule.value, before, called, rule.reason)
    return tuple(found.values())


def _families(estimator: BaseEstimator) -> frozenset[str] | None:
    if isinstance(estimator, SpecifiedRegression):
        return frozenset((*FAMILIES, "hurdle"))
    return frozenset(FORMULA_FAMILIES) if isinstance(estimator, FormulaRegression) else None


def _possible(rule: _Rule, arm: _Arm) -> bool:
    if rule.setting not in arm.settings or (rule.setting == "family" and rule.value not in arm.families):
        return False
    return rule.wanted(arm)
