"""Inner origins: where the candidates of a series regression are judged, inside the training rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from toolkit.data.series import SeriesData
from toolkit.errors import InputError
from toolkit.models.forecasting_candidates import Candidate, losses
from toolkit.models.forecasting_channels import Channel

__all__ = ["Inner", "fit_candidate", "judge_candidate", "padded"]

SEARCH_WINDOWS = 6_000  # of a channel, evenly spread, while candidates are compared
INNER_ORIGINS = 3_000  # at most, of all channels together
JUDGED = 3  # horizons that decide at least, of all channels together, as far as half of a history allows


class Inner:
    """Inner origins: the last part of every channel, on which candidates are judged."""

    def __init__(self, fit_until: list[int], origins: list[np.ndarray], observed: np.ndarray, scale: np.ndarray,
                 reason: str, blocks: int):  # fmt: skip
        self.fit_until, self.origins, self.observed, self.scale, self.reason, self.blocks = (
            fit_until, origins, observed, scale, reason, blocks,
        )  # fmt: skip

    def loss(self, metric: str, forecasts: np.ndarray) -> float:
        """Mean loss over the observed values."""
        return float(np.nanmean(losses(metric, self.observed, forecasts, self.scale)))

    def half_widths(self, path: np.ndarray, horizon: int, coverage: float) -> np.ndarray:
        """Half-widths of intervals in units of each series' scale, [horizon]: a quantile of the errors of a forecast.

        Errors of overlapping origins say little more than those of the stretches that do not overlap: with few of
        these the quantile is widened as Student's t of so many degrees of freedom is beside the normal distribution.
        """
        error = ((self.observed - path) / self.scale).reshape(-1, horizon)
        spread = np.sqrt(np.nanmean(error**2, axis=0))
        if len(error) < 50:  # too few for each step: a straight line in the root of the step through all
            root = np.sqrt(np.arange(1, horizon + 1))
            slope = np.polynomial.Polynomial.fit(root, spread, 1).convert().coef if horizon > 2 else [spread.mean()]
            spread = np.maximum(sum(c * root**k for k, c in enumerate(slope)), spread.min())
        spread = np.maximum(spread, 1e-12)
        sizes = np.abs(error / spread).ravel()
        sizes = np.sort(sizes[np.isfinite(sizes)])
        rank = min(int(np.ceil(coverage * (len(sizes) + 1))), len(sizes)) - 1
        tail = 0.5 + coverage / 2
        return spread * sizes[rank] * t.ppf(tail, self.blocks) / norm.ppf(tail)

    @classmethod
    def of(cls, channels: list[Channel], horizon: int, lag: int, day: int) -> Inner:
        """Judge on a fifth of each channel, at least one horizon, or three in all; too short channels are left out."""
        fit_until, origins, observed, scale = [], [], [], []
        most = int(np.clip(INNER_ORIGINS // len(channels), 8, 200))  # of one channel
        wanted = -(-JUDGED // len(channels)) * horizon
        for channel in channels:
            n = int(np.flatnonzero(channel.seen)[-1]) + 1  # a hole at the end has nothing to judge by
            block = max(horizon, n // 5, min(wanted, n // 2))
            if n - block < max(horizon // 2, 3):
                block = 0
            step = max(1, (block - horizon) // most + 1)
            # At one time of day where regressions differ by it, else through all of them.
            step = -(-step // day) * day if day > 1 else step
            at = np.sort(np.arange(n - horizon, n - block - 1, -step)) if block else np.array([], dtype=int)
            fit_until.append(n - block if block else n)
            origins.append(at)
            values = np.where(channel.seen, channel.values, np.nan)[at[:, None] + np.arange(horizon)]
            observed.append(values.ravel())
            scale.append(np.full(values.size, channel.until(fit_until[-1]).scale(lag)))
        if sum(len(at) for at in origins) == 0:
            raise InputError(f"horizon {horizon} is too long for the history: no inner origin can be judged")
        flat, unit = np.concatenate(observed), np.concatenate(scale)
        if not np.isfinite(flat).any():
            raise InputError("no value is observed in the last part of the history, on which the form would be chosen")
        count, judged = sum(len(at) for at in origins), sum(len(at) > 0 for at in origins)
        blocks = sum((int(at[-1] - at[0]) + horizon) // horizon for at in origins if len(at))
        reason = f"{count} inner origins of {judged} series, horizon {horizon}"
        return cls(fit_until, origins, flat, unit, reason, blocks)


def fit_candidate(candidate: Candidate, data: SeriesData, channels: list[Channel], most: int = 40_000) -> Any:
    return candidate.build(data, channels, most).fit(channels)


def judge_candidate(candidate: Candidate, data: SeriesData, channels: list[Channel], inner: Inner, mean: bool) -> Any:
    """Forecasts at the inner origins, flat, or the cause why there are none."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            training = [channel.until(n) for channel, n in zip(channels, inner.fit_until, strict=True)]
            model = fit_candidate(candidate, data, training, SEARCH_WINDOWS)
            parts = [
                model.predict(channel, at, mean=mean).ravel()
                for channel, at in zip(channels, inner.origins, strict=True)
                if len(at)
            ]
    except (ValueError, np.linalg.LinAlgError) as error:
        return str(error)
    flat = np.concatenate(parts)
    return flat if np.isfinite(flat).all() else "forecasts are not finite numbers"


def padded(channel: Channel, horizon: int) -> Channel:
    """The channel with `horizon` rows ahead: the last one repeated where the future is shorter."""
    short = horizon - (len(channel.ordinal) - len(channel))
    if short <= 0:
        return channel
    more = np.arange(1, short + 1) + channel.ordinal[-1]
    known = pd.concat([channel.known, channel.known.iloc[[-1] * short]], ignore_index=True)
    return replace(channel, ordinal=np.r_[channel.ordinal, more], known=known)
