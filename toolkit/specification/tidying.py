"""After the climb: which interactions can be left out.

The climb takes interactions by the handful, in the order of a screening. The fit knows better what each one is worth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolkit.specification.penalised import fit_sums
from toolkit.specification.result import FEW_STEPS, NEGLIGIBLE, Rung, SearchResult, carried
from toolkit.specification.sample import added, out_of_fold_loss
from toolkit.specification.terms import Design

__all__ = ["pruned", "tidied"]

NOTHING = 0.1  # effective degrees of freedom under which an interaction is left out of the final terms


def pruned(found: SearchResult) -> SearchResult:
    """Without the interactions that the penalties have shrunk to nothing."""
    design = found.design
    edf = np.bincount(design.owner[1:], found.edf[1:], minlength=len(found.terms))
    kept = [i for i, term in enumerate(found.terms) if len(term.variables) == 1 or edf[i] >= NOTHING]
    if len(kept) == len(found.terms):
        return found
    columns = design.positions(kept)
    terms = tuple(found.terms[i] for i in kept)
    return replace(
        found,
        terms=terms,
        penalty=carried(found.penalty, design, columns, Design.of(terms)),
        edf=found.edf[columns],
        sums=tuple(fold.take(columns) for fold in found.sums),
    )


def tidied(found: SearchResult) -> SearchResult:
    """The same with the fewest interactions that predict as well out of fold.

    Main effects stay. The strongest 0, 1, 2, 4, 8, ... interactions are tried, until the loss is not above that of all
    of them by more than `NEGLIGIBLE` standard errors of the difference.
    """
    if all(len(term.variables) == 1 for term in found.terms):
        return found
    total, null, pairs = added(found.sums), found.null_loss, by_strength(found)
    mains = [i for i, term in enumerate(found.terms) if len(term.variables) == 1]
    count = 0
    while count < len(pairs):
        kept = sorted([*mains, *pairs[:count]])
        columns, terms = found.design.positions(kept), tuple(found.terms[i] for i in kept)
        design, sums = Design.of(terms), tuple(fold.take(columns) for fold in found.sums)
        start = carried(found.penalty, found.design, columns, design)
        fit = fit_sums(total.take(columns), design.groups, start, steps=FEW_STEPS)
        losses = out_of_fold_loss(sums, np.arange(design.width), design.groups, fit.penalty)
        difference = losses - found.losses
        noise = float(difference.std(ddof=1) * np.sqrt(len(losses)))
        if difference.sum() <= NEGLIGIBLE * noise:
            name = f"the strongest {count} of {len(pairs)} interactions" if count else "without interactions"
            rung = Rung(name, len(terms), float(fit.edf.sum()), float(losses.sum() / null), noise / null)
            rungs = (*found.rungs, rung)
            return SearchResult(terms, fit.penalty, rungs, name, fit.edf, null, losses, sums, found.sample)
        count = max(1, 2 * count)
    return found


def by_strength(found: SearchResult) -> list[int]:
    """Positions of the interactions, those first whose part of the predictor varies most."""
    design, total = found.design, added(found.sums)
    beta = fit_sums(total, design.groups, found.penalty, steps=FEW_STEPS).beta

    def variation(position: int) -> float:
        columns = np.flatnonzero(design.owner == position)
        part, weight = beta[columns], total.xx[0, 0]
        return float(part @ total.xx[np.ix_(columns, columns)] @ part - (total.xx[0, columns] @ part) ** 2 / weight)

    pairs = [i for i, term in enumerate(found.terms) if len(term.variables) > 1]
    return sorted(pairs, key=variation, reverse=True)
