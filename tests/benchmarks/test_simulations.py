"""The simulations behind the calibration table: folds, splits, and parts that are kept."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.benchmarks._calibration_cases import JUDGED, SPLITS, simulate
from toolkit.benchmarks._kept import Kept


@pytest.mark.parametrize("noise", ["homoskedastic", "grouped"])
def test_random_splits_overlap_and_leave_no_training_row_out(noise):
    one = simulate(np.random.default_rng(0), 200, noise, "random", "blocks").paired
    assert len(one.fold_gain) == SPLITS and (one.n_judge == JUDGED * 200).all() and (one.n_train == 180).all()
    assert one.rows <= 200 < len(one.gain)  # rows judge several times
    assert one.weight.sum() == pytest.approx(1)
    assert one.weight @ one.gain == pytest.approx(one.estimate)


def test_predictions_come_from_the_other_rows():
    """Least squares by subtraction of Gram matrices is the fit on the training rows."""
    from toolkit.benchmarks._calibration_cases import _judges, _least_squares

    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    row, fold = _judges(rng, 60, "random", None)
    found = _least_squares(X, y, row, fold, 0.0)
    for j in (0, SPLITS - 1):
        judge = row[fold == j]
        train = np.setdiff1d(np.arange(60), judge)
        design = np.column_stack([np.ones(60), X])
        beta = np.linalg.lstsq(design[train], y[train], rcond=None)[0]
        assert found[fold == j] == pytest.approx(design[judge] @ beta)


def test_an_interrupted_benchmark_goes_on(tmp_path):
    calls = []

    def compute(number):
        calls.append(number)
        if number == 2 and len(calls) == 3:
            raise KeyboardInterrupt
        return number**2

    def go():
        kept = Kept("example", tmp_path)
        found = [kept.part(compute, number) for number in range(4)]
        kept.forget()
        return found

    with pytest.raises(KeyboardInterrupt):
        go()
    assert go() == [0, 1, 4, 9]
    assert calls == [0, 1, 2, 2, 3]  # nothing is computed twice
    assert not (tmp_path / "example").exists()
