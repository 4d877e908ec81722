"""The folds of an arm trained at once, where the arm says that this is cheaper than one after the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from toolkit.evaluation.cells import Cell
from toolkit.evaluation.engine import Cache

__all__ = ["fit_together"]


def fit_together(
    cells: list[Cell],
    X: pd.DataFrame,
    y: pd.Series | pd.DataFrame,
    roles: Mapping[str, np.ndarray],
    cache: Cache | None,
) -> list[Cell]:
    """The cells, with fitted estimators for arms with `fit_folds` that ask for it (`stacks_folds`: a net on a GPU).

    Folds whose results are known are left out. When the training of all folds fails, the cells stay as they are, so
    that each is tried alone and the failure gets the name of its fold.
    """
    cells = list(cells)
    for arm in dict.fromkeys(c.arm for c in cells if getattr(c.estimator, "stacks_folds", bool)()):
        places = [
            k
            for k, c in enumerate(cells)
            if c.arm == arm and not c.keep_model and (cache is None or cache.get(c.key) is None)
        ]
        if len(places) < 2:
            continue
        begin = time.perf_counter()
        try:
            fitted = cells[places[0]].estimator.fit_folds(X, y, [cells[k].train for k in places], **roles)
        except Exception:  # as in a cell: an estimator can fail in any way, and there it is said in which fold
            continue
        share = (time.perf_counter() - begin) / len(places)
        for k, estimator in zip(places, fitted, strict=True):
            cells[k] = replace(cells[k], estimator=estimator, fitted=share)
    return cells
