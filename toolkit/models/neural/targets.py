"""From a metric to a loss, and from a target in its own units to the scale on which a net learns it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.errors import InputError, unknown
from toolkit.models.neural.losses import LOSSES, Loss, Quantile

__all__ = ["TargetScale", "loss_for", "scale_target"]

# metric -> (loss, whether the target is learned as log(1 + y))
BY_METRIC = {
    "rmse": ("squared", False),
    "mse": ("squared", False),
    "r2": ("squared", False),
    "mae": ("absolute", False),
    "rmsle": ("squared", True),
    "poisson_deviance": ("poisson", False),
    "gamma_deviance": ("gamma", False),
}
DEVIANCES = {"count": "poisson_deviance", "positive": "gamma_deviance", "real": "rmse"}


@dataclass(frozen=True)
class TargetScale:
    """z = (f(y) - center) / scale with f the identity or log(1 + y); the way back is clamped to the training range."""

    center: np.ndarray  # [targets]
    scale: np.ndarray  # [targets]
    low: np.ndarray  # [targets], smallest training value, target units
    high: np.ndarray  # [targets]
    log: bool = False

    def encode(self, y: np.ndarray) -> np.ndarray:
        """[n, targets] in target units -> [n, targets] of float32."""
        return (((np.log1p(y) if self.log else y) - self.center) / self.scale).astype(np.float32)

    def clamp(self, z: np.ndarray) -> np.ndarray:
        """[..., targets], scaled, kept within the training values; members are clamped before they are averaged."""
        return np.clip(z, *(self.encode(end) for end in (self.low, self.high)))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """[..., targets] -> target units, never beyond the smallest and the largest training value."""
        y = z.astype(float) * self.scale + self.center
        return np.clip(np.expm1(y) if self.log else y, self.low, self.high)


def loss_for(metric: str, target_kind: str, quantiles: tuple[float, ...] | None) -> tuple[str, Loss, bool]:
    """Name of the loss, the loss, and whether the target is learned as log(1 + y)."""
    if quantiles is not None:
        levels = tuple(float(q) for q in quantiles)
        if not levels or any(not 0 < q < 1 for q in levels) or list(levels) != sorted(set(levels)):
            raise InputError(f"quantiles must be increasing levels between 0 and 1, got {quantiles!r}")
        return "quantile", Quantile(levels), metric == "rmsle"
    if metric == "deviance":
        metric = DEVIANCES.get(target_kind, "rmse")
    if metric in ("log_loss", "brier", "auc"):
        raise InputError(f"metric '{metric}' is for a binary target; use NeuralClassifier")
    if metric not in BY_METRIC:
        raise unknown("metric", metric, [*BY_METRIC, "deviance"])
    name, log = BY_METRIC[metric]
    return name, LOSSES[name], log


def scale_target(y: np.ndarray, weight: np.ndarray, loss: str, log: bool) -> TargetScale:
    """The scale of training targets [n, targets]: mean and standard deviation, or the mean alone for log links.

    Raises
    ------
    InputError
        For values that the loss cannot take: negative counts, gamma targets of zero, log(1 + y) of y <= -1.
    """
    if log and y.min() <= -1:
        raise InputError(f"metric 'rmsle' needs a target above -1, the smallest value is {y.min():.6g}")
    if loss == "poisson" and (y.min() < 0 or y.mean() <= 0):
        raise InputError("the Poisson loss needs a target of 0 or more that is not 0 everywhere")
    if loss == "gamma" and y.min() <= 0:
        raise InputError(f"the gamma loss needs a target above 0, the smallest value is {y.min():.6g}")
    z = np.log1p(y) if log else y
    mean = np.average(z, axis=0, weights=weight)
    spread = np.sqrt(np.average((z - mean) ** 2, axis=0, weights=weight))
    spread = np.where(spread > 1e-12 * np.maximum(np.abs(mean), 1e-300), spread, 1.0)  # constant up to rounding
    if loss in ("poisson", "gamma"):
        mean, spread = np.zeros_like(mean), mean
    if loss == "bernoulli":
        mean, spread = np.zeros_like(mean), np.ones_like(mean)
    return TargetScale(mean, spread, y.min(axis=0), y.max(axis=0), log)
