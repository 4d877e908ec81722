"""The columns of an interaction are finite numbers, however the rounding of the eigenvalues falls."""

import numpy as np
import pytest

from toolkit.specification import terms


@pytest.mark.parametrize("isotropic", [False, True])
def test_a_smallest_roughness_below_zero_leaves_finite_columns(monkeypatch, isotropic):
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(400, 4)), rng.normal(size=(400, 3))]
    exact = terms.eigh

    def rounded(*matrices):
        values, vectors = exact(*matrices)
        if len(matrices) == 2:  # the roughness: a flat direction comes out as rounding error
            values = values.copy()
            values[0] = -1e-17 * values[-1]
        return values, vectors

    monkeypatch.setattr(terms, "eigh", rounded)
    mix = terms.joint_basis(parts, isotropic)
    assert np.isfinite(mix).all()
    assert np.abs(mix).max() > 0
