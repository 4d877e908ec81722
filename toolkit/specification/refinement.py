"""Finer surfaces where the rows carry them: a saturated surface of two numbers gets a basis of many more columns."""

from __future__ import annotations

import numpy as np

from toolkit.specification.basis import Marginal, learn_marginal
from toolkit.specification.terms import Design, Term, product_term

__all__ = ["finer_terms"]

SATURATED = 0.55  # share of its columns that a surface uses before a finer one is tried
ROWS_PER_COLUMN = 20
SIDE = 26  # most columns of each variable of a fine surface
MOST = 2  # surfaces that are refined


def finer_terms(
    design: Design, edf: np.ndarray, marginals: dict[str, Marginal], data: dict[str, np.ndarray]
) -> tuple[Term, ...] | None:
    """The terms with the most saturated surfaces replaced by finer ones; None when none is saturated.

    Parameters
    ----------
    edf : ndarray, [P]
        Effective degrees of freedom of each column of the design.
    """
    n = len(next(iter(data.values()))) if data else 0
    side = int(min(SIDE, np.sqrt(n / ROWS_PER_COLUMN)))
    used = np.bincount(design.owner[1:], edf[1:], minlength=len(design.terms))
    share = {
        i: used[i] / term.width
        for i, term in enumerate(design.terms)
        if term.kind == "surface" and len(term.widths) == 2 and min(term.widths) >= 4 and max(term.widths) < side
    }
    chosen = [i for i in sorted(share) if share[i] > SATURATED][:MOST]  # terms stand in the order of the screening
    if not chosen:
        return None
    terms = list(design.terms)
    for i in chosen:
        fine = tuple(learn_marginal(m.variable, data[m.variable.name], side + 1) for m in terms[i].marginals)
        made = product_term(fine, tuple(min(m.width, side) for m in fine), data, isotropic=True)
        if made is not None and made.width > terms[i].width:
            terms[i] = made
    return tuple(terms)
