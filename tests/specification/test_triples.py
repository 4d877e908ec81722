"""Interactions of three variables, where pairs leave one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.models.regression import SpecifiedRegression
from toolkit.specification.triples import score


def test_a_product_of_three_is_found_after_the_pairs() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(2500, 4)), columns=list("abcd"))
    truth = X.a + X.a * X.b + X.b * X.c + 1.0 * X.a * X.b * X.c
    y = truth + 0.3 * rng.normal(size=2500)
    model = SpecifiedRegression(family="gaussian").fit(X[:2000], y[:2000])
    assert "a:b:c" in set(model.specification_.terms["term"])
    error = float(np.sqrt(np.mean((model.predict(X[2000:]) - truth[2000:]) ** 2)))
    assert error < 0.5  # without the product of three at least 1
    assert model.effect("a:b:c").shape[1] == 7


def test_noise_scores_like_noise() -> None:
    rng = np.random.default_rng(1)
    scores = [
        score([rng.integers(0, 5, 2000) for _ in range(3)], rng.normal(size=2000), np.ones(2000)) for _ in range(50)
    ]
    assert abs(np.mean(scores)) < 0.5 and 0.7 < np.std(scores) < 1.3
