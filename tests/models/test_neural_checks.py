"""The checks that scikit-learn makes of every estimator."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from toolkit.models.neural.regression import NeuralClassifier, NeuralRegression

STOCHASTIC = "mini-batches are drawn by position, so a row of weight 2 is not the same as two rows"
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": STOCHASTIC,
}
CHEAP = {"preset": "quick", "members": 2, "epochs": 2, "width": 8}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [NeuralRegression(**CHEAP), NeuralClassifier(**CHEAP)], expected_failed_checks=lambda estimator: EXPECTED
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
