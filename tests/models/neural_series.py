"""Small sets of series for the tests of the neural forecaster."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.data.series import SeriesData


def make(
    columns: dict[str, dict[str, np.ndarray]], roles: dict | None = None, horizon: int = 4, periods=(4,)
) -> SeriesData:
    """A record from series -> column -> values; time is a plain integer, and columns without a role are targets."""
    roles = roles or {}
    frames = [
        pd.DataFrame({"id": name, "t": np.arange(len(next(iter(values.values())))), **values})
        for name, values in columns.items()
    ]
    frame = pd.concat(frames, ignore_index=True)
    others = [c for role in roles.values() for c in role]
    targets = tuple(c for c in frame.columns if c not in ("id", "t", *others))
    parts = {role: tuple(roles.get(role, ())) for role in ("known_ahead", "past_only", "static")}
    frame = frame[["id", "t", *targets, *(c for part in parts.values() for c in part)]]
    return SeriesData(frame, "id", "t", targets, freq="step", periods=tuple(periods), horizon=horizon, **parts)


def seasonal(n: int, seed: int = 0, level: float = 50.0, noise: float = 1.0) -> np.ndarray:
    """A season of four, a slow wave and noise, [n]."""
    t = np.arange(n)
    return level + 5 * np.sin(np.pi * t / 2) + t / 20 + noise * np.random.default_rng(seed).normal(size=n)


def cut(data: SeriesData, horizon: int | None = None) -> tuple[SeriesData, pd.DataFrame, pd.DataFrame]:
    """Past, future without targets, and the answers: the last `horizon` rows of each series are the future."""
    horizon = horizon or data.horizon
    late = data.frame.groupby(data.series).cumcount(ascending=False).to_numpy() < horizon
    answers = data.frame[late].reset_index(drop=True)
    return data.take(np.flatnonzero(~late)), answers[[data.series, data.time, *data.known_ahead, *data.static]], answers
