"""Predictions tables whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd


def folds_table(
    n: int = 400,
    gain: float = 0.0,
    seed: int = 0,
    folds: int = 5,
    repeats: int = 1,
    targets: tuple[str, ...] = ("y",),
    arms: tuple[str, str] = ("regression", "neural"),
    noise: float = 0.1,
) -> pd.DataFrame:
    """Cross-validated predictions of two arms; the errors of the second are `gain` smaller, in proportion."""
    rng = np.random.default_rng(seed)
    parts = []
    for target in targets:
        y, error = 3 * rng.normal(size=n), rng.normal(size=n)
        for repeat in range(repeats):
            fold = rng.permutation(n) % folds
            for arm, share in zip(arms, (1.0, 1.0 - gain), strict=True):
                parts.append(
                    pd.DataFrame(
                        {
                            "arm": arm,
                            "repeat": repeat,
                            "fold": fold,
                            "row": np.arange(n),
                            "series": None,
                            "time": pd.NaT,
                            "origin": pd.NaT,
                            "horizon": 0,
                            "target": target,
                            "observed": y,
                            "predicted": y - share * error - noise * rng.normal(size=n),
                            "lower": np.nan,
                            "upper": np.nan,
                            "n_train": n - n // folds,
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def origins_table(origins: int = 60, steps: int = 4, series: int = 1, gain: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Forecasts from rolling origins that do not overlap."""
    rng = np.random.default_rng(seed)
    parts, start = [], pd.Timestamp("2024-01-01")
    for number in range(series):
        n = origins * steps
        origin = np.repeat(np.arange(origins), steps)
        y, error = rng.normal(size=n), rng.normal(size=n)
        for arm, share in (("regression", 1.0), ("neural", 1.0 - gain)):
            parts.append(
                pd.DataFrame(
                    {
                        "arm": arm,
                        "repeat": 0,
                        "fold": origin,
                        "row": np.arange(n) + number * n,
                        "series": f"s{number}",
                        "time": start + pd.to_timedelta(np.arange(n), unit="h"),
                        "origin": start + pd.to_timedelta(origin * steps - 1, unit="h"),
                        "horizon": np.tile(np.arange(1, steps + 1), origins),
                        "target": "y",
                        "observed": y,
                        "predicted": y - share * error - 0.1 * rng.normal(size=n),
                        "lower": np.nan,
                        "upper": np.nan,
                        "n_train": 500,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)
