"""The numbers behind the pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.reporting.smooth import by_level, feature_telling, limits, smooth, thin
from toolkit.reporting.words import duration, number, p_text


def test_smooth_of_a_line_is_the_line():
    """Local linear regression reproduces a straight line exactly, whatever the design (Fan and Gijbels 1996, 3.2)."""
    x = np.linspace(0, 1, 400)
    grid, mean, lower, upper = smooth(x, 3 + 2 * x)
    np.testing.assert_allclose(mean, 3 + 2 * grid, atol=5e-3)
    assert (lower <= mean).all() and (mean <= upper).all()


def test_band_covers_the_truth_and_a_bend_leaves_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    flat = smooth(x, rng.normal(size=x.size))
    assert np.mean((flat[2] <= 0) & (flat[3] >= 0)) > 0.85
    bend = smooth(x, 0.5 * x**2 + rng.normal(size=x.size))
    assert np.mean((bend[2] <= 0.5) & (bend[3] >= 0.5)) < 0.5


@pytest.mark.parametrize("x", [np.ones(50), np.arange(5.0)])
def test_no_smooth_without_a_spread_of_x(x):
    assert smooth(x, x) is None


def test_thin_is_seeded_and_sorted():
    rows = thin(10_000, 100)
    assert len(set(rows)) == 100 and (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, thin(10_000, 100))
    np.testing.assert_array_equal(thin(5, 100), np.arange(5))


def test_limits_never_collapse():
    assert limits(np.array([np.nan, np.inf])) == (-1.0, 1.0)
    low, high = limits(np.zeros(9))
    assert low < 0 < high


def test_by_level_keeps_frequent_levels_and_names_missing_ones():
    labels = pd.Series(["a"] * 5 + ["b"] * 3 + [None] * 4 + ["c"])
    table = by_level(labels, np.arange(13.0), most=3)
    assert dict(zip(table["level"], table["mean"], strict=True)) == {"a": 2.0, "b": 6.0, "(missing)": 9.5}


def test_the_telling_feature_is_the_one_in_the_residual():
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=3_000), rng.choice(list("abc"), 3_000)
    residual = np.abs(x) + rng.normal(size=3_000) * 0.5
    assert feature_telling(pd.Series(x), residual) > 0.3
    assert abs(feature_telling(pd.Series(z), residual)) < 0.01


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.567, "1,235"), (0.012345, "0.01235"), (-2.5, "−2.500"), (1e12, "1.000e+12"), (None, "–"),
     (float("nan"), "–"), (1e-7, "1.000e−07")],
)  # fmt: skip
def test_numbers_in_four_digits(value, text):
    assert number(value) == text


def test_words_for_times_and_p_values():
    assert [duration(value) for value in (0.5, 61, 600)] == ["0.50 s", "61 s", "10.0 min"]
    assert [p_text(value) for value in (0.0001, 0.04, None)] == ["< .001", "0.040", "–"]
