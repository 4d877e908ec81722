"""Linear truth: the specified regression against trained nets, fold by fold."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from toolkit.benchmarks._calibration_cases import FOLDS, pair_arrays
from toolkit.benchmarks._kept import Kept
from toolkit.comparison.bayes import decide
from toolkit.comparison.estimate import p_value, probabilities, with_seeds
from toolkit.comparison.seeds import member_variance
from toolkit.comparison.tests import clustered_clt, corrected_t, judge_to_train, row_test

__all__ = ["SETTINGS", "linear_truth_verdicts"]

ROWS = 200
SLOPES = (1.0, 0.5, 0.25, 0.0, 0.0)
MEMBERS = 2
SETTINGS = f"n = {ROWS}, {FOLDS} folds, quick nets of {MEMBERS} members"


def linear_truth_verdicts(
    replications: int, margin: float, kept: Kept, progress: Callable[[str], None]
) -> tuple[dict[str, list[str]], float]:
    """Decisions of each test in each replication, and the processor seconds that they took.

    y = x1 + x2 / 2 + x3 / 4 + noise, two more inputs that do nothing; 200 rows, five folds. The regression is
    `SpecifiedRegression` with its defaults, the net `NeuralRegression(preset="quick", members=2)`: trained nets, but
    short and narrow ones, so that a replication takes seconds. Every replication is kept as soon as it is there.
    """
    said: dict[str, list[str]] = {}
    seconds = 0.0
    for number in range(replications):
        decisions, spent = kept.part(one_replication, number, margin)
        seconds += spent
        for name, decision in decisions.items():
            said.setdefault(name, []).append(decision)
        if (number + 1) % 20 == 0:
            so_far = {name: words.count("neural") for name, words in said.items()}
            progress(f"linear truth: {number + 1} of {replications}, neural {so_far}")
    return said, seconds


def one_replication(number: int, margin: float) -> tuple[dict[str, str], float]:
    """Decision of each test on the data set with this number, and processor seconds."""
    from toolkit.models.neural.regression import NeuralRegression
    from toolkit.models.regression import SpecifiedRegression

    start, rng = time.process_time(), np.random.default_rng([9, number])
    X = pd.DataFrame(rng.normal(size=(ROWS, len(SLOPES))), columns=[f"x{k + 1}" for k in range(len(SLOPES))])
    y = X.to_numpy() @ np.array(SLOPES) + rng.normal(size=ROWS)
    fold = rng.permutation(ROWS) % FOLDS
    predicted, members = np.empty((ROWS, 2)), np.empty((MEMBERS, ROWS))
    for j in range(FOLDS):
        train, judge = fold != j, fold == j
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regression = SpecifiedRegression(random_state=number).fit(X[train], y[train])
            net = NeuralRegression(preset="quick", members=MEMBERS, threads=1, random_state=number)
            net.fit(X[train], y[train])
            predicted[judge] = np.column_stack([regression.predict(X[judge]), net.predict(X[judge])])
            members[:, judge] = net.predict_members(X[judge])
    paired, design = pair_arrays(y, predicted, fold)
    seeds, width = member_variance(paired, members, 1), margin * paired.scores[0]
    found = [corrected_t(paired.fold_gain, judge_to_train(paired))]
    found += [with_seeds(test(paired, design), seeds, MEMBERS - 1) for test in (clustered_clt, row_test)]
    decisions = {one.name: decide(probabilities(one, width), p_value(one), one, width)[0] for one in found}
    return decisions, time.process_time() - start
