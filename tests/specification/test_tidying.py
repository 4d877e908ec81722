"""Interactions that chance alone put forward do not stay."""

import numpy as np
import pandas as pd

from toolkit.models.regression import SpecifiedRegression


def chosen_interactions(n, p, product, seed):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, p)), columns=[f"x{i}" for i in range(p)])
    y = X["x0"] + product * X["x2"] * X["x3"] + rng.normal(size=n)
    terms = SpecifiedRegression().fit(X, y).parts_[0].design.terms
    return [set(term.variables) for term in terms if len(term.variables) > 1]


def test_one_true_product_among_hundreds_of_pairs():
    found = [chosen_interactions(4_000, 30, 0.5, seed) for seed in range(3)]
    assert all({"x2", "x3"} in one for one in found)
    assert np.median([len(one) for one in found]) == 1  # chance puts a few more forward now and then


def test_no_product_at_all():
    assert all(chosen_interactions(4_000, 30, 0.0, seed) == [] for seed in range(3))
