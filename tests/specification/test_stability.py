"""How often each term was chosen over folds."""

from __future__ import annotations

import pandas as pd

from toolkit.specification.stability import term_stability, with_stability


def row(term: str, edf: float, partial: float, kind: str = "smooth") -> dict:
    return {"term": term, "kind": kind, "edf": edf, "partial_r2": partial}


FACTS = (
    {"terms": [row("age", 3.0, 0.4), row("age:bmi", 2.0, 0.1, "surface")]},
    {"terms": [row("age", 5.0, 0.2), row("bmi", 0.05, 0.0)]},
    {"terms": [row("age", 4.0, 0.3), row("age:bmi", 4.0, 0.3, "surface")]},
)


def test_counts_folds_and_averages_over_them() -> None:
    table = term_stability(FACTS).set_index("term")
    assert table.loc["age", ["chosen", "folds", "edf"]].tolist() == [3, 3, 4.0]
    assert table.loc["age:bmi", "share"] == 2 / 3
    assert table.loc["age:bmi", "partial_r2"] == 0.2
    assert list(table.index) == ["age", "age:bmi"]  # a term that carries nothing counts as not chosen


def test_two_parts_of_a_hurdle_model_are_told_apart() -> None:
    parts = [{**row("age", 1.0, 0.1), "part": part} for part in ("any", "how many")]
    assert term_stability([{"terms": parts}] * 2)["part"].tolist() == ["any", "how many"]


def test_arms_without_terms_have_no_table() -> None:
    assert term_stability([{"formula": "y ~ x"}, {}]).empty
    assert with_stability(pd.DataFrame(), FACTS).empty


def test_joins_the_count_to_the_terms_of_one_fold() -> None:
    shown = with_stability(pd.DataFrame(FACTS[1]["terms"]), FACTS)
    assert shown["chosen in folds"].tolist() == ["3 of 3", "0 of 3"]
    one_fold = pd.DataFrame(FACTS[0]["terms"])
    assert with_stability(one_fold, FACTS[:1]).equals(one_fold)
