"""Randomised quantile residuals: where in its own predictive distribution each observation fell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.view import ArmView

__all__ = [
    "QuantileResiduals",
    "check_quantile_dispersion",
    "check_quantile_outliers",
    "check_quantile_uniformity",
    "quantile_residuals",
]

OUTER = 0.01  # share of rows that a right distribution leaves in its outer parts


class QuantileResiduals(NamedTuple):
    """Uniform on (0, 1) when the predictive distribution is right."""

    u: np.ndarray  # [n]
    source: str  # which distribution was used, in words
    standard: np.ndarray | None  # (y - mean) / promised sd where the spread was promised, not estimated from these rows


def quantile_residuals(view: ArmView, coverage: float = 0.9) -> QuantileResiduals:
    """Distribution function of the prediction at the observation; drawn uniformly within the step of a count.

    Parameters
    ----------
    view : ArmView
    coverage : float
        Nominal coverage of `lower` and `upper`. Where the arm gives intervals they define the distribution: a normal
        with one spread below and one above the prediction. Else the family does: Gaussian with the residual's own
        spread, Poisson or negative binomial, Gamma with the Pearson dispersion, Bernoulli.

    Notes
    -----
    Dunn and Smyth (1996). DHARMa simulates the same quantity; here the distribution functions are closed forms.
    """
    y, mu = view.observed, view.predicted
    rng = np.random.default_rng(view.seed)
    known = np.isfinite(view.lower) & np.isfinite(view.upper)
    if view.family == "binomial":
        p = np.clip(mu, 1e-12, 1 - 1e-12)
        u = np.where(y > 0.5, 1 - p + p * rng.random(view.n), (1 - p) * rng.random(view.n))
        return QuantileResiduals(u, "Bernoulli", None)
    if known.mean() > 0.95:
        z = stats.norm.ppf(0.5 + coverage / 2)
        tiny = 1e-12 + 1e-9 * float(np.std(y))
        below, above = np.maximum(mu - view.lower, tiny) / z, np.maximum(view.upper - mu, tiny) / z
        standard = np.where(y < mu, (y - mu) / below, (y - mu) / above)[known]
        return QuantileResiduals(stats.norm.cdf(standard), "normal with the width of the intervals", standard)
    if view.family == "poisson":
        return _count_residuals(view, rng)
    if view.family == "gamma":
        dispersion = float(np.mean(view.pearson**2))
        if view.law.startswith("log"):  # the mean of a log-normal is exp(m + s^2 / 2)
            s = np.sqrt(np.log1p(dispersion))
            return QuantileResiduals(stats.norm.cdf(np.log(np.maximum(y, 1e-300) / mu) / s + s / 2), "log-normal", None)
        u = stats.gamma.cdf(np.maximum(y, 0), 1 / dispersion, scale=mu * dispersion)
        return QuantileResiduals(u, "Gamma", None)
    sigma = float(np.sqrt(np.mean(view.residual**2)))
    return QuantileResiduals(stats.norm.cdf(view.residual / sigma), "Gaussian", None)


def _count_residuals(view: ArmView, rng: np.random.Generator) -> QuantileResiduals:
    mu = np.maximum(view.predicted, 1e-6)
    if view.alpha > 0:
        size = 1 / view.alpha
        law = stats.nbinom(size, size / (size + mu))
        name = "negative binomial"
    else:
        law, name = stats.poisson(mu), "Poisson"
    upper = law.cdf(np.floor(view.observed))
    lower = np.where(view.observed >= 1, law.cdf(np.floor(view.observed) - 1), 0.0)
    standard = (view.observed - mu) / np.sqrt(mu + view.alpha * mu**2)
    return QuantileResiduals(lower + (upper - lower) * rng.random(view.n), name, standard)


def _residuals(view: ArmView) -> QuantileResiduals:
    """Computed once per view."""
    if "quantile" not in view.extra:
        view.extra["quantile"] = quantile_residuals(view, view.extra.get("coverage", 0.9))
    return view.extra["quantile"]


def check_quantile_uniformity(view: ArmView) -> Check:
    found = _residuals(view)
    test = stats.kstest(found.u, "uniform")
    quantiles = np.quantile(found.u, np.linspace(0.01, 0.99, 99))
    said = f"promised and seen probabilities differ by up to {test.statistic:.1%} ({found.source})"
    return CATALOGUE["quantile_uniformity"].answer(
        view.arm, said, effect=float(test.statistic), statistic=float(test.statistic), p_value=float(test.pvalue),
        details={"quantiles": quantiles.tolist(), "distribution": found.source},
    )  # fmt: skip


def check_quantile_dispersion(view: ArmView) -> Check:
    entry = CATALOGUE["quantile_dispersion"]
    found = _residuals(view)
    if found.standard is None:
        why = "the variance of a 0/1 target follows from its mean" if view.family == "binomial" else (
            "the arm gives no intervals: the spread comes from the same residuals")  # fmt: skip
        return entry.not_applicable(view.arm, why)
    squared = found.standard**2
    ratio = float(squared.mean())
    t = float((ratio - 1) / (squared.std(ddof=1) / np.sqrt(len(squared))))
    said = f"residual variance is {ratio:.2f} times what is promised ({found.source})"
    advice = None if ratio > 1 else "the promised spread is too wide"
    return entry.answer(
        view.arm, said, effect=max(ratio, 1 / max(ratio, 1e-9)), statistic=t, p_value=float(2 * stats.norm.sf(abs(t))),
        advice=advice, details={"ratio": ratio},
    )  # fmt: skip


def check_quantile_outliers(view: ArmView) -> Check:
    entry = CATALOGUE["quantile_outliers"]
    if view.family == "binomial":
        return entry.not_applicable(view.arm, "a 0/1 target has no tails")
    found = _residuals(view)
    outer = int(np.sum((found.u < OUTER / 2) | (found.u > 1 - OUTER / 2)))
    n = len(found.u)
    p_value = float(stats.binom.sf(outer - 1, n, OUTER))
    said = f"{outer:,} of {n:,} rows lie in the outer 1 % of the distribution ({found.source})"
    return entry.answer(view.arm, said, effect=outer / (OUTER * n), statistic=float(outer), p_value=p_value)
