"""Interactions are judged by rows that had no part in picking them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.models.regression import SpecifiedRegression
from toolkit.specification.basis import learn_marginal
from toolkit.specification.candidates import Candidates, by_turns, fitting_terms
from toolkit.specification.columns import learn_columns
from toolkit.specification.sample import FRESH_ROWS, Sample
from toolkit.specification.search import climb, main_effects


def screened(n: int, product: float) -> Candidates:
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(n, 6)), columns=list("abcdef"))
    y = product * X.a * X.b + rng.normal(size=n)
    columns = learn_columns(X, None)
    data = columns.encode(X)
    marginals = {v.name: learn_marginal(v, data[v.name], 5) for v in columns.variables}
    return Candidates.screened(marginals, data, y.to_numpy(), None, None, 0, 400)


def test_a_true_product_is_picked_without_every_fold() -> None:
    found = screened(1_500, 1.0)
    assert found.terms[found.order[0]].name == "a:b"
    assert len(found.without) == 5
    assert all(found.terms[order[0]].name == "a:b" for order in found.without)


def test_a_pair_that_other_rows_do_not_pick_has_to_do_without_them() -> None:
    """All rows pick a:b, which is true; where the other folds pick c:d in its place, the rung earns nothing."""
    rng = np.random.default_rng(2)
    X = pd.DataFrame(rng.normal(size=(800, 4)), columns=list("abcd"))
    columns = learn_columns(X, None)
    data = columns.encode(X)
    marginals = {v.name: learn_marginal(v, data[v.name], 5) for v in columns.variables}
    y = data["a"] * data["b"] + rng.normal(size=800)
    mains, found = main_effects(marginals), fitting_terms([("a", "b"), ("c", "d")], marginals, data, 400)
    sample = Sample.draw(data, y, None, None, 100, 0)
    names = {}
    for label, without in (("once", []), ("same", [[0]] * 5), ("other", [[1]] * 5)):
        result = climb(mains, Candidates(list(found.values()), [0], without), sample)
        names[label] = {term.name for term in result.terms if len(term.variables) > 1}
    assert names == {"once": {"a:b"}, "same": {"a:b"}, "other": set()}


def test_many_rows_are_screened_once() -> None:
    assert screened(FRESH_ROWS, 1.0).without == []


def test_the_picks_of_all_rows_come_first() -> None:
    lists = [[("a", "b")], [("c", "d"), ("a", "b")], [("e", "f"), ("a", "c")]]
    assert by_turns(lists) == [("a", "b"), ("c", "d"), ("e", "f"), ("a", "c")]
    assert by_turns([[]]) == []


def test_noise_with_a_weak_line_brings_no_interaction() -> None:
    """With 30 columns there are 435 pairs; whichever rows pick, others judge."""
    kept = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.normal(size=(600, 30)), columns=[f"x{i}" for i in range(30)])
        model = SpecifiedRegression(family="gaussian").fit(X, 0.3 * X.x0 + rng.normal(size=600))
        kept.append(sum(":" in term for term in model.specification_.terms.term))
    assert sum(kept) <= 1, kept


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(60), 10)])
def test_a_product_is_found_with_and_without_groups(groups: np.ndarray | None) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 8)), columns=list("abcdefgh"))
    model = SpecifiedRegression(family="gaussian").fit(X, X.a * X.b + rng.normal(size=600), groups=groups)
    assert "a:b" in set(model.specification_.terms.term)
