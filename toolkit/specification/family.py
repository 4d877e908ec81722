"""Families of the response: what is assumed of the target given the columns.

A family maps the linear predictor eta to a distribution of the target. Normal families work on a transformed target
with constant variance there; the others are generalised linear models with a log or logit link, fitted by weighted
least
squares on a working response (McCullagh and Nelder, Generalized Linear Models, 2nd ed. 1989, section 2.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import expit, gammaln, log1p

__all__ = ["FAMILIES", "Family", "candidates"]

ETA_MOST = 30.0  # beyond this exp() of a linear predictor is no longer a number to work with
SHAPE_RANGE = (-9.0, 6.0)  # log of the dispersion of a negative binomial
TINY = 1e-10


@dataclass(frozen=True)
class Family:
    """A family, its link and its likelihood.

    Attributes
    ----------
    name, link : str
    forward, backward : callable
        Normal families: target -> working scale and back. Others: None and the inverse link.
    fixed_scale : bool
        Whether the dispersion is known (1).
    support : {"real", "positive", "nonnegative", "count", "binary"}
    """

    name: str
    label: str
    link: str
    support: str
    backward: Callable[[np.ndarray], np.ndarray]
    forward: Callable[[np.ndarray], np.ndarray] | None = None
    slope: Callable[[np.ndarray], np.ndarray] | None = None  # log |d forward / dy|
    fixed_scale: bool = False

    @property
    def is_normal(self) -> bool:
        return self.forward is not None

    def mean(self, eta: np.ndarray) -> np.ndarray:
        """Inverse link; for normal families the median of the target."""
        return self.backward(np.clip(eta, -ETA_MOST, ETA_MOST) if self.link != "identity" else eta)

    def start(self, y: np.ndarray) -> np.ndarray:
        """First linear predictor, [n]."""
        if self.link == "logit":
            p = (y + 0.5) / 2
            return np.log(p / (1 - p))
        return np.log(np.maximum(0.5 * (y + y.mean()), TINY))

    def working(self, y: np.ndarray, eta: np.ndarray, shape: float) -> tuple[np.ndarray, np.ndarray]:
        """Working response and weight, [n] each, by Fisher scoring."""
        mu = self.mean(eta)
        if self.name == "logistic":
            weight = np.maximum(mu * (1 - mu), 1e-6)
            return eta + (y - mu) / weight, weight
        if self.name == "truncated_nb":
            return truncated_working(y, eta, mu, shape)
        variance = {
            "poisson": mu,
            "negative_binomial": mu + shape * mu**2,
            "gamma": mu**2,
            "gaussian_log": np.ones_like(mu),
        }[self.name]
        weight = mu**2 / np.maximum(variance, TINY)
        return eta + (y - mu) / np.maximum(mu, TINY), np.maximum(weight, 1e-8)

    def estimate_shape(self, y: np.ndarray, eta: np.ndarray, edf: float, weight: np.ndarray | None = None) -> float:
        """The dispersion: variance of the working residuals, 1/shape of a Gamma, alpha of a negative binomial."""
        w = np.ones(len(y)) if weight is None else weight
        if self.is_normal:
            return float(w @ (self.forward(y) - eta) ** 2 / max(w.sum() - edf, 1.0))
        if self.name == "gaussian_log":
            return float(w @ (y - self.mean(eta)) ** 2 / max(w.sum() - edf, 1.0))
        if self.name == "gamma":
            mu = self.mean(eta)
            return float(max(w @ ((y - mu) / mu) ** 2 / max(w.sum() - edf, 1.0), 1e-6))
        if self.name in ("negative_binomial", "truncated_nb"):
            best = minimize_scalar(
                lambda log_alpha: -float(w @ self.log_density(y, eta, np.exp(log_alpha))),
                bounds=SHAPE_RANGE, method="bounded", options={"xatol": 1e-3},
            )  # fmt: skip
            return float(np.exp(best.x))
        return 1.0

    def log_density(self, y: np.ndarray, eta: np.ndarray, shape: float) -> np.ndarray:
        """Log density or log probability of each y, on the scale of the target, [n]."""
        if self.is_normal:
            return stats.norm.logpdf(self.forward(y), eta, np.sqrt(max(shape, 1e-300))) + self.slope(y)
        mu = np.maximum(self.mean(eta), TINY)
        if self.name == "gaussian_log":
            return stats.norm.logpdf(y, mu, np.sqrt(max(shape, 1e-300)))
        if self.name == "logistic":
            mu = np.clip(mu, 1e-15, 1 - 1e-15)
            return y * np.log(mu) + (1 - y) * np.log1p(-mu)
        if self.name == "gamma":
            k = 1 / shape
            return k * np.log(k / mu) + (k - 1) * np.log(y) - k * y / mu - gammaln(k)
        if self.name == "poisson":
            return y * np.log(mu) - mu - gammaln(y + 1)
        full = nb_log_density(y, mu, shape)
        return full if self.name == "negative_binomial" else full - np.log(-np.expm1(nb_log_zero(mu, shape)))

    def cdf(self, y: np.ndarray, eta: np.ndarray, shape: float) -> tuple[np.ndarray, np.ndarray]:
        """P(Y < y) and P(Y <= y), [n] each; equal for continuous families."""
        if self.is_normal:
            safe = self.forward(np.maximum(y, TINY)) if self.support == "positive" else self.forward(y)
            both = stats.norm.cdf(safe, eta, np.sqrt(shape))
            return both, both
        mu = np.maximum(self.mean(eta), TINY)
        if self.name == "gaussian_log":
            both = stats.norm.cdf(y, mu, np.sqrt(shape))
            return both, both
        if self.name == "gamma":
            both = stats.gamma.cdf(y, 1 / shape, scale=mu * shape)
            return both, both
        if self.name == "logistic":
            return np.where(y > 0.5, 1 - mu, 0.0), np.where(y > 0.5, 1.0, 1 - mu)
        law = stats.poisson(mu) if self.name == "poisson" else stats.nbinom(1 / shape, 1 / (1 + shape * mu))
        lower, upper = law.cdf(y - 1), law.cdf(y)
        if self.name == "truncated_nb":
            zero = np.exp(nb_log_zero(mu, shape))
            lower, upper = (np.clip((p - zero) / (1 - zero), 0, 1) for p in (lower, upper))
        return lower, upper

    def truncated_mean(self, eta: np.ndarray, shape: float) -> np.ndarray:
        """Mean given a positive count, [n]."""
        mu = np.maximum(self.mean(eta), TINY)
        return mu / -np.expm1(nb_log_zero(mu, shape))


def nb_log_zero(mu: np.ndarray, alpha: float) -> np.ndarray:
    """log P(Y = 0) of a negative binomial with variance mu + alpha mu²."""
    return -log1p(alpha * mu) / alpha


def nb_log_density(y: np.ndarray, mu: np.ndarray, alpha: float) -> np.ndarray:
    k = 1 / alpha
    return gammaln(y + k) - gammaln(k) - gammaln(y + 1) + y * np.log(mu / (mu + k)) - k * log1p(mu / k)


def truncated_working(y: np.ndarray, eta: np.ndarray, mu: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Working response and expected information of a negative binomial given Y >= 1, log link."""
    mu = np.maximum(mu, TINY)
    zero = np.exp(nb_log_zero(mu, alpha))
    positive = np.maximum(1 - zero, TINY)
    share = mu / (1 + alpha * mu)
    score = (y - mu) / (1 + alpha * mu) - share * zero / positive
    mean = mu / positive
    variance = (mu + (1 + alpha) * mu**2) / positive - mean**2
    information = np.maximum(variance / (1 + alpha * mu) ** 2, 1e-6 * np.minimum(mu, 1) + 1e-8)
    return eta + np.clip(score / information, -5, 5), information


def _zero(y: np.ndarray) -> np.ndarray:
    return np.zeros(len(y))


def _same(y: np.ndarray) -> np.ndarray:
    return y


def _log_jacobian(y: np.ndarray) -> np.ndarray:
    return -np.log(y)


def _log1p_jacobian(y: np.ndarray) -> np.ndarray:
    return -np.log1p(y)


FAMILIES: dict[str, Family] = {
    f.name: f
    for f in (
        Family("gaussian", "Gaussian", "identity", "real", _same, _same, _zero),
        Family("lognormal", "log-normal", "log", "positive", np.exp, np.log, _log_jacobian),
        Family("log1p_normal", "normal on log(1 + y)", "log1p", "nonnegative", np.expm1, np.log1p, _log1p_jacobian),
        Family("gaussian_log", "Gaussian with a log link", "log", "positive", np.exp),
        Family("gamma", "Gamma", "log", "positive", np.exp),
        Family("poisson", "Poisson", "log", "count", np.exp, fixed_scale=True),
        Family("negative_binomial", "negative binomial", "log", "count", np.exp, fixed_scale=True),
        Family("truncated_nb", "zero-truncated negative binomial", "log", "count", np.exp, fixed_scale=True),
        Family("logistic", "logistic", "logit", "binary", expit, fixed_scale=True),
    )
}


def interval_log_probability(family: Family, y: np.ndarray, eta: np.ndarray, shape: float) -> np.ndarray:
    """log P(y - 1/2 < Y < y + 1/2) of a continuous family: comparable with the probability of a count, [n]."""
    sd = np.sqrt(max(shape, 1e-300))
    low = np.where(y > 0, family.forward(np.maximum(y - 0.5, -0.5)), -np.inf)
    high = family.forward(y + 0.5)
    a, b = (low - eta) / sd, (high - eta) / sd
    upper_tail = a > 0
    a, b = np.where(upper_tail, -b, a), np.where(upper_tail, -a, b)
    return np.log(np.maximum(stats.norm.cdf(b) - stats.norm.cdf(a), 1e-300))


def candidates(target_kind: str, y: np.ndarray) -> list[str]:
    """Families that the target can have, simplest first."""
    if target_kind == "binary":
        return ["logistic"]
    if target_kind == "count":
        names = ["poisson", "negative_binomial"]
        if np.mean(y == 0) > 0.02:
            names.append("hurdle")
        return [*names, "gaussian", "log1p_normal"]
    if y.min() > 0:
        return ["gaussian", "lognormal", "gamma", "gaussian_log"]
    if y.min() == 0:
        return ["gaussian", "log1p_normal"]
    return ["gaussian"]
