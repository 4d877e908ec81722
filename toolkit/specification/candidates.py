"""The interactions that a search may take: screened on all rows, and again without each inner fold.

The rows that pick the best of a thousand pairs cannot judge them afterwards, out of fold or not. So a rung with so many
interactions is judged by the pairs that the other folds pick, which are not always those that all rows pick.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from toolkit.specification.basis import Marginal
from toolkit.specification.sample import FRESH_ROWS, LEAST_ROWS, inner_folds
from toolkit.specification.screening import screen_pairs
from toolkit.specification.terms import Term, product_term

__all__ = ["MOST_COLUMNS", "Candidates", "pair_widths"]

MOST_COLUMNS = 1_600  # of the widest design: its Cholesky factor takes half a second
PAIR_COLUMNS = 36  # of one interaction, about
FEW_COLUMNS = 25  # the same with fewer than LEAST_ROWS rows
CHANCE = 0.5  # share of the screened pairs that may be there by chance


@dataclass(frozen=True)
class Candidates:
    """Interaction terms, and which of them a screening takes, strongest first.

    Attributes
    ----------
    terms : list of Term
    order : list of int
        Those of all rows, as positions in `terms`.
    without : list of list of int
        Those of the rows without each inner fold; empty where the rows are so many that a fold changes nothing.
    """

    terms: list[Term]
    order: list[int]
    without: list[list[int]]

    @classmethod
    def screened(
        cls,
        marginals: dict[str, Marginal],
        data: dict[str, np.ndarray],
        residual: np.ndarray,
        weight: np.ndarray | None,
        groups: np.ndarray | None,
        seed: int,
        room: int,
    ) -> Candidates:
        """Screen the residuals of the main effects; `room` is how many columns all terms may have."""
        n = len(residual)
        lists = [ordered_pairs(marginals, data, residual, weight)]
        if n < FRESH_ROWS:
            folds = inner_folds(n, groups, seed)
            for fold in range(folds.max() + 1):
                rows = np.flatnonzero(folds != fold)
                some = {name: values[rows] for name, values in data.items()}
                lists.append(ordered_pairs(marginals, some, residual[rows], None if weight is None else weight[rows]))
        made = fitting_terms(by_turns(lists), marginals, data, room)
        place = {pair: position for position, pair in enumerate(made)}
        order, *without = ([place[pair] for pair in pairs if pair in place] for pairs in lists)
        return cls(list(made.values()), order, without)


def by_turns(lists: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    """The pairs of the first list, then those that only others have, the strongest of each before the next ones."""
    return list(dict.fromkeys([*lists[0], *(pair for turn in zip_longest(*lists[1:]) for pair in turn if pair)]))


def ordered_pairs(
    marginals: dict[str, Marginal], data: dict[str, np.ndarray], residual: np.ndarray, weight: np.ndarray | None
) -> list[tuple[str, str]]:
    """Pairs that the screening finds, strongest first.

    Only those enter of which at most half are expected to be chance (Benjamini and Hochberg, JRSS B 57, 1995, 289-300).
    """
    scores = screen_pairs(tuple(m.variable for m in marginals.values()), data, residual, weight)
    p = np.sort([pair.p_value for pair in scores])
    passed = np.flatnonzero(p <= CHANCE * np.arange(1, len(p) + 1) / len(p))
    threshold = p[passed[-1]] if len(passed) else -1.0
    return [(pair.first, pair.second) for pair in scores if pair.p_value <= threshold]


def fitting_terms(
    pairs: list[tuple[str, str]], marginals: dict[str, Marginal], data: dict[str, np.ndarray], room: int
) -> dict[tuple[str, str], Term]:
    """Interaction terms of the first pairs, as many as have room for their columns."""
    n = len(next(iter(data.values()))) if data else 0
    terms: dict[tuple[str, str], Term] = {}
    for first, second in pairs:
        pair = (marginals[first], marginals[second])
        term = product_term(pair, pair_widths(*pair, FEW_COLUMNS if n < LEAST_ROWS else PAIR_COLUMNS), data)
        if term is None:
            continue
        room -= term.width
        if room < 0:
            break
        terms[first, second] = term
    return terms


def pair_widths(a: Marginal, b: Marginal, most: int) -> tuple[int, int]:
    """Columns taken of each marginal: about equal, more of one where the other has few."""
    side = int(np.sqrt(most)) - 1
    wide = [min(m.width, side) for m in (a, b)]
    for one, other in ((0, 1), (1, 0)):
        if wide[other] < side:
            wide[one] = min((a, b)[one].width, max(side, most // max(wide[other], 1)))
    return wide[0], wide[1]
