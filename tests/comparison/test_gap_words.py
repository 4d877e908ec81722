"""The ledger in one line, branch by branch."""

from toolkit.comparison.gap_words import HIGH_ORDER, gap_sentence
from toolkit.comparison.record import Gap, GapEntry


def said(lower: float, left: float = 0.09) -> str:
    entries = (
        GapEntry("hr:workingday", "interaction", 0.1 - left, 0.002, 0.02, {"words": "hr:workingday"}),
        GapEntry(HIGH_ORDER, "remainder", left, -0.1, 0.2),
    )
    details = {"metric": "rmse", "start_score": 1.0}
    return gap_sentence(Gap(0.1, lower, 0.2, entries, {}, "", "regression", "neural", "", details))


def test_a_gap_that_may_be_nothing_says_so_and_blames_no_combination():
    sentence = said(lower=-0.02)
    assert "neural is 10 % better than regression: 1.0 points from hr:workingday, 9.0 unexplained" in sentence
    assert "the gap itself may be nothing: its interval includes 0" in sentence
    assert "more than half" not in sentence


def test_a_sure_gap_says_where_most_of_it_stays():
    sentence = said(lower=0.02)
    assert "more than half of the gap stays in combinations of three columns or more" in sentence
    assert "may be nothing" not in sentence
    assert "more than half" not in said(lower=0.02, left=0.02)
