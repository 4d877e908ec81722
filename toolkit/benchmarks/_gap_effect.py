"""Coverage of the coefficient of interest when a neural net controls for the other columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.benchmarks._kept import Kept
from toolkit.comparison.effects import effect_under_control
from toolkit.data.dataset import Dataset
from toolkit.evaluation.engine import available_cores
from toolkit.models.neural.regression import NeuralRegression

__all__ = ["coefficient_coverage"]

EFFECT, ROWS, DRAWS = 0.5, 500, 100


def coefficient_coverage(kept: Kept, draws: int = DRAWS) -> list[dict[str, Any]]:
    """How often the intervals of both methods hold the true coefficient, where straight lines miss the confounding."""
    found = kept.parts(effect_draw, [(seed,) for seed in range(draws)], available_cores())
    note = f"{draws} draws, n = {ROWS}, net: quick preset; folds as by default"
    rows = []
    for name, of in (("cross-fitted, net in control", "flexible"), ("least squares on every column", "regression")):
        inside = float(np.mean([one[of]["lower"] < EFFECT < one[of]["upper"] for one in found]))
        estimates = np.array([one[of]["estimate"] for one in found])
        row: dict[str, Any] = {"metric": f"coverage of 95 % intervals, {name}", "value": inside, "note": note}
        if of == "flexible":
            row |= {"se": float(np.sqrt(inside * (1 - inside) / draws)), "bar": 0.93, "holds": 0.93 <= inside <= 0.97}
            row["note"] += "; bar 0.93 to 0.97"
        error = float(estimates.std(ddof=1) / np.sqrt(draws))
        truth = f"true coefficient {EFFECT}; {note}"
        rows += [
            row,
            {"metric": f"mean estimate, {name}", "value": float(estimates.mean()), "se": error, "note": truth},
        ]
    return rows


def effect_draw(seed: int) -> dict[str, Any]:
    """Treatment and outcome share a wave of one column: a partially linear model with constant variance."""
    rng = np.random.default_rng(50_000 + seed)
    a, b, c = rng.normal(size=(3, ROWS))
    d = np.sin(2 * a) + 0.5 * b + rng.normal(size=ROWS)
    y = EFFECT * d + 2 * np.sin(2 * a) + 0.5 * b * c + rng.normal(size=ROWS)
    data = Dataset.from_frame(pd.DataFrame({"y": y, "d": d, "a": a, "b": b, "c": c}), "y")
    net = NeuralRegression(preset="quick", random_state=seed)
    return effect_under_control(data, "d", net, seed=seed)
