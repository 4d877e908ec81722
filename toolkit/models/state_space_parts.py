"""Parts of the state space models: orders found by search, and what a fit says about its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.errors import InputError
from toolkit.models.forecast_frames import fill_missing
from toolkit.models.forecasting_channels import Channel

__all__ = ["coefficients", "newest", "search_orders", "seen_values", "three_orders", "written"]


def search_orders(
    z: np.ndarray, X: np.ndarray, season: int, order: tuple[int, ...] | None, seasonal: tuple[int, ...] | None
) -> tuple[tuple[int, ...], str]:
    """((p, d, q, P, D, Q), trend) by AICc; differences that are given are kept."""
    from statsforecast.models import AutoARIMA

    given = {**({"d": order[1]} if order else {}), **({"D": seasonal[1]} if seasonal else {})}
    search = AutoARIMA(season_length=max(season, 1), **given)
    found = search.fit(fill_missing(z, max(season, 1)), X if X.shape[1] else None).model_
    p, q, P, Q, _, d, D = (int(v) for v in found["arma"])
    names = list(found["coef"])
    trend = "t" if "drift" in names else "c" if "intercept" in names else "n"
    return (p, d, q, P, D, Q), trend


def three_orders(value: str | Sequence[int], name: str) -> tuple[int, int, int] | None:
    """The orders as given; None for "auto"."""
    if value == "auto":
        return None
    good = (
        not isinstance(value, str)
        and len(value) == 3
        and all(isinstance(v, (int, np.integer)) and v >= 0 for v in value)
    )
    if not good:
        raise InputError(f"{name}: expected auto or three whole numbers such as [0, 1, 1], got {value!r}")
    return tuple(int(v) for v in value)  # type: ignore[return-value]


def seen_values(channel: Channel) -> np.ndarray:
    """Values as observed, NaN where there was none, [n]."""
    return np.where(channel.seen, channel.values, np.nan)


def newest(channel: Channel, count: int) -> Channel:
    """The last `count` values, with everything that is known ahead of them."""
    first = len(channel) - count
    return Channel(
        channel.key, channel.values[first:], channel.seen[first:], channel.ordinal[first:],
        channel.known.iloc[first:].reset_index(drop=True), channel.past.iloc[first:].reset_index(drop=True),
    )  # fmt: skip


def coefficients(result: Any, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Estimate, standard error, 95 % interval and p-value of every parameter."""
    limits, names = np.asarray(result.conf_int()), list(result.model.param_names)
    shown: Mapping[str, str] = {f"beta.x{k + 1}": name for k, name in enumerate(columns)} | {
        f"x{k + 1}": name for k, name in enumerate(columns)
    }
    return [
        {
            "term": shown.get(name, name), "estimate": float(result.params[k]), "se": float(result.bse[k]),
            "lower": float(limits[k, 0]), "upper": float(limits[k, 1]),
            # No p-value for a variance: its null, 0, lies on the edge of what is possible.
            "p_value": None if name.startswith("sigma2") else float(result.pvalues[k]),
        }
        for k, name in enumerate(names)
    ]  # fmt: skip


def written(orders: Sequence[int]) -> str:
    return ",".join(str(v) for v in orders)
