"""What counts and 0/1 targets ask: dispersion, zeros, separation."""

from __future__ import annotations

import numpy as np
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.view import ArmView

__all__ = ["check_dispersion", "check_separation", "check_zero_inflation", "dispersion_test", "zero_score"]


def dispersion_test(observed: np.ndarray, mean: np.ndarray, alpha: float = 0.0) -> tuple[float, float, float]:
    """Cameron and Trivedi's (1990) z statistic, two-sided p-value, and the Pearson dispersion.

    For a Poisson mean the statistic is that of `AER::dispersiontest`: the mean of ((y - mu)2 - y) / mu over its
    standard error. With a negative binomial `alpha` it is the mean of the squared Pearson residual minus one.
    """
    if alpha > 0:
        excess = (observed - mean) ** 2 / (mean + alpha * mean**2) - 1
    else:
        excess = ((observed - mean) ** 2 - observed) / mean
    z = float(excess.mean() / (excess.std(ddof=1) / np.sqrt(len(excess))))
    pearson = float(np.mean((observed - mean) ** 2 / (mean + alpha * mean**2)))
    return z, float(2 * stats.norm.sf(abs(z))), pearson


def check_dispersion(view: ArmView) -> Check:
    entry = CATALOGUE["dispersion"]
    if view.target_kind != "count" or view.family != "poisson":
        return entry.not_applicable(view.arm, "for counts on their own scale only")
    if np.mean(view.predicted <= 1e-6) > 0.01:
        return entry.not_applicable(view.arm, "predicts zero or less for over 1 % of the rows: no such mean")
    mean = np.maximum(view.predicted, 1e-6)
    z, p_value, ratio = dispersion_test(view.observed, mean, view.alpha)
    model = "negative binomial" if view.alpha > 0 else "Poisson"
    said = f"variance is {ratio:.2f} times what a {model} distribution expects"
    return entry.answer(
        view.arm, said, effect=max(ratio, 1 / max(ratio, 1e-9)), statistic=z, p_value=p_value,
        advice=None if ratio > 1 else "counts are more regular than Poisson: use robust standard errors",
        details={"dispersion": ratio, "alpha": _alpha(view)},
    )  # fmt: skip


def _alpha(view: ArmView) -> float:
    """Moment estimate of a negative binomial's alpha."""
    mu = view.predicted
    return float(max(0.0, np.sum((view.observed - mu) ** 2 - mu) / np.sum(mu**2)))


def zero_score(observed: np.ndarray, mean: np.ndarray) -> tuple[float, float]:
    """van den Broek's (1995) score test against zero inflation of a Poisson mean: chi-squared(1) and p-value."""
    p0 = np.exp(-np.minimum(mean, 50.0))
    score = float(np.sum(((observed == 0) - p0) / p0))
    information = float(np.sum((1 - p0) / p0) - observed.sum())
    if information <= 0:
        return np.nan, np.nan
    statistic = score**2 / information
    return statistic, float(stats.chi2.sf(statistic, 1))


def check_zero_inflation(view: ArmView) -> Check:
    entry = CATALOGUE["zero_inflation"]
    if view.target_kind != "count" or view.family != "poisson":
        return entry.not_applicable(view.arm, "for counts on their own scale only")
    mean = np.maximum(view.predicted, 1e-6)
    p0 = (1 + view.alpha * mean) ** (-1 / view.alpha) if view.alpha > 0 else np.exp(-mean)
    expected, seen = float(p0.sum()), float(np.sum(view.observed == 0))
    if max(expected, seen) < 5:
        return entry.not_applicable(view.arm, f"hardly any zeros: {seen:.0f} seen, {expected:.1f} expected")
    # Binomial variance of the number of zeros: van den Broek's weights 1 / p0 let one row with a large mean rule
    z = (seen - expected) / np.sqrt(float(np.sum(p0 * (1 - p0))))
    ratio = (seen + 0.5) / (expected + 0.5)
    said = f"{seen:,.0f} zeros, {expected:,.0f} expected"
    return entry.answer(
        view.arm, said, effect=max(ratio, 1 / ratio), statistic=z, p_value=float(2 * stats.norm.sf(abs(z))),
        details={"zeros": seen, "expected": expected, "score_test": zero_score(view.observed, mean)[0]},
    )  # fmt: skip


def check_separation(view: ArmView) -> Check:
    """Columns or levels that split the classes alone; for levels, more than the chance of a pure level allows."""
    entry = CATALOGUE["separation"]
    if view.target_kind != "binary":
        return entry.not_applicable(view.arm, "for 0/1 targets only")
    if view.kind == "neural":
        return entry.not_applicable(view.arm, "a net stops early: its weights stay finite")
    one = view.observed > 0.5
    if one.all() or not one.any():
        return entry.not_applicable(view.arm, "only one class among the judging rows")
    split = [name for name, values in view.features.raw.items() if _splits(values, one)]
    share = float(one.mean())
    chances = []
    for name, codes in view.features.codes.items():
        sizes = np.bincount(codes)
        ones = np.bincount(codes, weights=one)
        pure = (ones == 0) | (ones == sizes)
        chance = np.where(ones == 0, (1 - share) ** sizes, share**sizes) * len(sizes)
        for level in np.flatnonzero(pure & (chance < 0.05)):
            split.append(f"{name}={view.features.levels[name][level]} ({int(sizes[level])} rows)")
            chances.append(float(chance[level]))
    said = ("split by " + ", ".join(split[:5])) if split else "no column splits the classes by itself"
    return entry.answer(view.arm, said, effect=float(len(split)), p_value=min(chances, default=None) if split else None)


def _splits(values: np.ndarray, one: np.ndarray) -> bool:
    known = np.isfinite(values)
    a, b = values[known & one], values[known & ~one]
    if len(a) == 0 or len(b) == 0 or np.ptp(values[known]) == 0:
        return False
    return bool(a.max() <= b.min() or b.max() <= a.min())
