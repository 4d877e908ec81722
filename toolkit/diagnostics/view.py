"""One arm's judging rows, ready for the checks: residuals on the right scale, weights, order, groups, features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset
from toolkit.diagnostics.features import Features
from toolkit.diagnostics.least_squares import basis, variance_of
from toolkit.evaluation.scores import METRICS, Metric

__all__ = ["ArmView", "family_of", "in_order", "make_view", "metric_of", "thin"]

ROWS = 200_000  # judging rows that the residual checks use; more change no verdict and cost memory
# Words that fits use for their family -> the family whose variance function the residual checks standardise by
_FAMILIES = {
    "poisson": "poisson", "negative": "poisson", "nb": "poisson", "zero": "poisson", "hurdle": "poisson",
    "quasi": "poisson", "gamma": "gamma", "binomial": "binomial", "logit": "binomial", "bernoulli": "binomial",
    "logistic": "binomial", "tweedie": "poisson", "log": "gamma",
}  # fmt: skip


@dataclass(frozen=True)
class ArmView:
    """What the checks know of one arm and one target.

    Residuals are observed minus predicted on the scale that the metric rewards (log(1 + y) for RMSLE). All arrays share
    the first axis, n judging rows, one per row of the data; in the order of time where there is one.
    """

    arm: str
    kind: str  # baseline, regression, neural, reference
    target: str
    target_kind: str
    metric: str
    family: str  # gaussian, poisson, gamma, binomial: variance function of the residuals
    alpha: float  # of a negative binomial, 0 without
    scale: str  # identity or log1p
    observed: np.ndarray
    predicted: np.ndarray
    raw_observed: np.ndarray
    raw_predicted: np.ndarray
    rows: np.ndarray  # positions in Dataset.frame
    fold: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    ordered: bool  # the rows stand in the order of time
    series: np.ndarray | None  # integer codes
    groups: np.ndarray | None  # integer codes
    features: Features
    n_all: int  # judging rows before thinning
    facts: tuple[dict[str, Any], ...] = ()
    obstacle: str = ""  # why residual checks cannot be asked
    seed: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def law(self) -> str:
        """The word that the fits use for their family, or an empty string."""
        return next((str(fact["family"]).lower() for fact in self.facts if fact.get("family")), "")

    @property
    def n(self) -> int:
        return len(self.observed)

    @cached_property
    def residual(self) -> np.ndarray:
        return self.observed - self.predicted

    @cached_property
    def variance(self) -> np.ndarray:
        """Variance function at the prediction, up to the dispersion."""
        return variance_of(self.family, self.predicted, self.alpha)

    @cached_property
    def pearson(self) -> np.ndarray:
        """Residual over its expected standard deviation, up to the dispersion."""
        return self.residual / np.sqrt(self.variance)

    @cached_property
    def weight(self) -> np.ndarray:
        """Slope of the mean in the linear predictor over the standard deviation: turns features into score columns."""
        mu = self.predicted
        slope = {"gaussian": np.ones_like(mu), "binomial": mu * (1 - mu)}.get(self.family, mu)
        return slope / np.sqrt(self.variance)

    @cached_property
    def eta(self) -> np.ndarray:
        """Linear predictor that the family's usual link makes of the prediction."""
        if self.family == "gaussian":
            return self.predicted
        mu = np.maximum(self.predicted, 1e-9)
        return np.log(mu / np.maximum(1 - self.predicted, 1e-9)) if self.family == "binomial" else np.log(mu)

    @cached_property
    def base(self) -> np.ndarray:
        """Orthonormal basis of the weighted constant and linear features, [n, k]."""
        if self.family == "gaussian":
            return self.features.base
        return basis(self.features.base * self.weight[:, None])

    @cached_property
    def loss(self) -> np.ndarray:
        """Row loss of the metric, or squared error where the metric has none."""
        row_loss = metric_of(self.metric).row_loss or METRICS["rmse"].row_loss
        return row_loss(self.raw_observed, self.raw_predicted)

    @property
    def distinct(self) -> bool:
        """Whether the arm predicts more than one value."""
        return bool(np.ptp(self.predicted) > 1e-9 * (np.abs(self.predicted).max() + 1e-300))


def metric_of(name: str) -> Metric:
    """The metric, or the absolute error for metrics of series, which need more than a row's two numbers."""
    return METRICS.get(name, METRICS["mae"])


def in_order(table: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """Rows in the order of (series and) time, where there is one; else by position."""
    if "time" in table and table["time"].notna().all():
        series = "series" in table and table["series"].nunique(dropna=True) > 1
        table = table.sort_values(["series", "time", "row"] if series else ["time", "row"], kind="stable")
        return table, True
    return table.sort_values("row", kind="stable"), False


def thin(table: pd.DataFrame, ordered: bool, seed: int) -> pd.DataFrame:
    """At most `ROWS` rows: the latest where they have an order, a random part otherwise."""
    if len(table) <= ROWS:
        return table
    if ordered:
        return table.iloc[-ROWS:]
    return table.iloc[np.sort(np.random.default_rng(seed).choice(len(table), ROWS, replace=False))]


def family_of(target_kind: str, metric: str, facts: Sequence[Mapping[str, Any]]) -> tuple[str, float, str]:
    """Family, negative binomial alpha and residual scale of an arm.

    The fit's own word (`fit_info_["family"]`) counts first; an arm that names none is judged as Poisson for counts,
    as Bernoulli for 0/1, as Gamma under the Gamma deviance and as constant variance for everything else.
    """
    if metric_of(metric).functional == "log_mean":
        return "gaussian", 0.0, "log1p"
    if target_kind == "binary":
        return "binomial", 0.0, "identity"
    words = [str(fact.get("family") or "").lower() for fact in facts]
    words = [word for word in words if word]
    if words and (known := next((f for key, f in _FAMILIES.items() if key in words[0]), None)):
        alphas = [fact.get("alpha") for fact in facts if isinstance(fact.get("alpha"), (int, float))]
        alpha = float(np.mean(alphas)) if alphas and "neg" in words[0] else 0.0
        return known, alpha, "identity"
    if words:
        return "gaussian", 0.0, "identity"
    default = {"count": "poisson"}.get(target_kind, "gamma" if metric == "gamma_deviance" else "gaussian")
    return default, 0.0, "identity"


def make_view(
    table: pd.DataFrame,
    features: Features,
    *,
    arm: str,
    kind: str,
    target: str,
    dataset: Dataset | Any,
    metric: str,
    facts: Sequence[Mapping[str, Any]],
    ordered: bool,
    n_all: int,
    seed: int,
) -> ArmView:
    """The view of one arm from its part of the predictions table (already one line per row, sorted)."""
    target_kind = getattr(dataset, "target_kind", "real")
    family, alpha, scale = family_of(target_kind, metric, facts)
    observed = table["observed"].to_numpy(dtype=float)
    predicted = table["predicted"].to_numpy(dtype=float)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        on_scale = [_scaled(values, scale) for values in (observed, predicted)]
        bounds = [
            _scaled(table[name].to_numpy(dtype=float), scale) if name in table else np.full(len(table), np.nan)
            for name in ("lower", "upper")
        ]
    if family in ("poisson", "gamma"):
        on_scale[1] = np.maximum(on_scale[1], 1e-9)
    elif family == "binomial":
        on_scale[1] = np.clip(on_scale[1], 1e-9, 1 - 1e-9)
    return ArmView(
        arm, kind, target, target_kind, metric, family, alpha, scale, *on_scale, observed, predicted,
        table["row"].to_numpy(), table["fold"].to_numpy(), *bounds, ordered, _codes(table, "series"),
        _codes(table, "group"), features, n_all, tuple(dict(fact) for fact in facts), _obstacle(*on_scale), seed,
    )  # fmt: skip


def _scaled(values: np.ndarray, scale: str) -> np.ndarray:
    return np.log1p(np.maximum(values, 0.0)) if scale == "log1p" else values


def _codes(table: pd.DataFrame, column: str) -> np.ndarray | None:
    if column not in table or table[column].isna().all():
        return None
    codes = pd.factorize(table[column])[0]
    return codes if codes.max() > 0 else None


def _obstacle(observed: np.ndarray, predicted: np.ndarray) -> str:
    n = len(observed)
    if n < 10:
        return f"only {n} judging rows"
    residual = observed - predicted
    if not np.isfinite(residual).all():
        return "some residuals are not finite"
    if float(np.std(residual)) <= 1e-9 * (float(np.std(observed)) + float(np.abs(observed).max()) * 1e-3 + 1e-300):
        return "all residuals are zero (a perfect fit: look for the target among the features)"
    return ""
