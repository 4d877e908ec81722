"""The search: a ladder of nested specifications, each fitted by restricted maximum likelihood, judged out of fold.

All rungs are sub-matrices of one cross-product matrix, kept for each inner fold, so that fitting and judging a rung
touches no row. The rungs are: straight lines and levels; bends; then interactions in the order of the screening.
"""

from __future__ import annotations

import numpy as np

from toolkit.specification.basis import Marginal
from toolkit.specification.candidates import MOST_COLUMNS, Candidates
from toolkit.specification.family import Family
from toolkit.specification.penalised import STEPS, Sums, fit_sums
from toolkit.specification.refinement import finer_terms
from toolkit.specification.result import FEW_STEPS, NEGLIGIBLE, Rung, SearchResult, carried
from toolkit.specification.sample import Sample, added, loss_of_fold, out_of_fold_loss
from toolkit.specification.terms import SHARED, Design, Term, main_terms
from toolkit.specification.tidying import pruned, tidied

__all__ = ["main_effects", "search"]

BENT = 1.0  # NEGLIGIBLE for leaving straight lines: there the simpler rung is the one with honest textbook inference
PATIENCE = 2  # rungs without improvement after which the climb ends


def main_effects(marginals: dict[str, Marginal], bends: bool = True) -> list[Term]:
    """Main effects of all variables."""
    terms = [term for marginal in marginals.values() for term in main_terms(marginal)]
    return terms if bends else [term for term in terms if term.kind in ("linear", "factor")]


def search(
    marginals: dict[str, Marginal],
    data: dict[str, np.ndarray],
    y: np.ndarray,
    family: Family,
    weight: np.ndarray | None,
    additive: tuple[np.ndarray, float],
    groups: np.ndarray | None,
    interactions: bool,
    seed: int,
    fine: bool = True,
) -> SearchResult:
    """Choose the terms.

    Parameters
    ----------
    additive : (eta [n], shape)
        Linear predictor of the additive fit on these rows; working responses and screening start from it.
    groups : ndarray, [n], optional
        Rows of one group share an inner fold.
    fine : bool
        Whether finer surfaces are tried.
    """
    eta, shape = additive
    z, w = (family.forward(y), None) if family.is_normal else family.working(y, eta, shape)
    w = weight if w is None else w if weight is None else w * weight
    mains = main_effects(marginals)
    found = Candidates([], [], [])
    if interactions:
        room = min(MOST_COLUMNS, len(z)) - 1 - sum(term.width for term in mains)
        found = Candidates.screened(marginals, data, z - eta, w, groups, seed, room)
    sample = Sample.draw(data, z, w, groups, Design.of(mains + found.terms).width, seed)
    found = tidied(climb(mains, found, sample))
    return pruned(refined(found, marginals, data) if fine else found)


def refined(found: SearchResult, marginals: dict[str, Marginal], data: dict[str, np.ndarray]) -> SearchResult:
    """The same with finer surfaces, where they predict better out of fold."""
    terms = finer_terms(found.design, found.edf, marginals, data)
    if terms is None:
        return found
    finer = Design.of(terms)
    return better_of(found, terms, found.sample.sums(finer), f"{found.chosen}, finer surfaces")


def better_of(
    found: SearchResult,
    terms: tuple[Term, ...],
    sums: tuple[Sums, ...],
    name: str,
    start: np.ndarray | None = None,
    sure: float = NEGLIGIBLE,
) -> SearchResult:
    """The result with these terms if they predict better out of fold, by `sure` standard errors; else the one before.

    Parameters
    ----------
    start : ndarray, [groups], optional
        Penalties that need little change.
    """
    design = Design.of(terms)
    fit = fit_sums(added(sums), design.groups, start, steps=STEPS if start is None else FEW_STEPS)
    losses = out_of_fold_loss(sums, np.arange(design.width), design.groups, fit.penalty)
    difference = losses - found.losses
    noise = difference.std(ddof=1) * np.sqrt(len(losses))
    if difference.sum() > -sure * noise:
        return found
    null = found.null_loss
    rung = Rung(name, len(terms), float(fit.edf.sum()), float(losses.sum() / null), float(noise / null))
    rungs = (*found.rungs, rung)
    return SearchResult(terms, fit.penalty, rungs, name, fit.edf, null, losses, sums, found.sample)


def climb(mains: list[Term], pairs: Candidates, sample: Sample) -> SearchResult:
    """Fit every rung, judge it out of fold, and take the simplest that is as good as the best."""
    terms = mains + pairs.terms
    design = Design.of(terms)
    folds = sample.sums(design)
    total = added(folds)
    null = out_of_fold_loss(folds, np.array([0]), np.array([-1]), np.zeros(0))
    rungs, fits, losses = [], [], []
    for name, chosen, elsewhere in ladder(mains, pairs):
        columns = design.positions(chosen)
        groups, used = compact(design.groups[columns])
        fit = fit_sums(total.take(columns), groups)
        penalty = expand(fit.penalty, used, design)
        losses.append(rung_loss(folds, design, chosen, elsewhere, penalty))
        fits.append((chosen, elsewhere, penalty, fit))
        rungs.append((name, len(chosen), float(fit.edf.sum())))
        if len(losses) - 1 - int(np.sum(losses, axis=1).argmin()) >= PATIENCE:
            break
    table = np.array(losses)  # [rungs, folds]
    best = int(table.sum(axis=1).argmin())
    differences = table - table[best]
    noise = differences.std(axis=1, ddof=1) * np.sqrt(table.shape[1])
    gain = differences.sum(axis=1)
    taken = next(i for i in range(best + 1) if gain[i] <= (BENT if rungs[i][0] == "linear" else NEGLIGIBLE) * noise[i])
    chosen, elsewhere, penalty, fit = fits[taken]
    kept = [i for i in chosen if alive(design, i, penalty)]
    final = Design.of([terms[i] for i in kept])
    start = carried(penalty, design, design.positions(kept), final)
    ladder_table = tuple(
        Rung(*rung, float(table[i].sum() / null.sum()), float(noise[i] / null.sum())) for i, rung in enumerate(rungs)
    )
    columns = design.positions(chosen)
    edf = fit.edf[np.isin(design.owner[columns], [-1, *kept])]
    sums = tuple(fold.take(design.positions(kept)) for fold in folds)
    # Later steps keep these terms in every fold, and are held against a loss of the same kind
    own = rung_loss(folds, design, chosen, [], penalty) if elsewhere else table[taken]
    return SearchResult(final.terms, start, ladder_table, rungs[taken][0], edf, float(null.sum()), own, sums, sample)


def ladder(mains: list[Term], pairs: Candidates):
    """(name, positions of the terms, those without each inner fold if they differ) of each rung, simplest first.

    Where rows are too few for the lines, it is a question whether they tell more than the mean: so that is a rung.
    """
    every = list(range(len(mains)))
    if any(SHARED in term.groups for term in mains):
        yield "constant", [], []
    yield "linear", [i for i in every if mains[i].kind in ("linear", "factor")], []
    if any(term.kind in ("smooth", "cyclic") for term in mains):
        yield "additive", every, []
    count, step = 0, 3
    while count < len(pairs.order):
        count = min(count + step, len(pairs.order))
        step *= 3
        chosen, *elsewhere = (
            every + sorted(len(mains) + i for i in order[:count]) for order in (pairs.order, *pairs.without)
        )
        yield f"{count} interactions", chosen, elsewhere


def rung_loss(
    folds: tuple[Sums, ...], design: Design, chosen: list[int], elsewhere: list[list[int]], penalty: np.ndarray
) -> np.ndarray:
    """Squared error on each fold of the fit to the others, [folds], by the terms that the others pick."""
    if not elsewhere:
        columns = design.positions(chosen)
        groups, used = compact(design.groups[columns])
        return out_of_fold_loss(folds, columns, groups, penalty[used])
    own = set(term_groups(design, *chosen))
    finite = penalty[np.isfinite(penalty)]
    typical = float(np.median(finite)) if len(finite) else 1.0  # of terms that all rows do not pick
    losses = []
    for fold, positions in enumerate(elsewhere):
        columns = design.positions(positions)
        groups, used = compact(design.groups[columns])
        start = np.array([penalty[g] if g in own else typical for g in used])
        losses.append(loss_of_fold(folds, fold, columns, groups, start))
    return np.array(losses)


def compact(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups numbered without gaps, and the numbers they had."""
    used = np.unique(groups[groups >= 0])
    return np.where(groups >= 0, np.searchsorted(used, groups), -1), used


def expand(penalty: np.ndarray, used: np.ndarray, design: Design) -> np.ndarray:
    """Penalties at the numbers that groups have in the whole design, inf elsewhere."""
    full = np.full(int(design.groups.max()) + 1, np.inf)
    full[used] = penalty
    return full


def term_groups(design: Design, *positions: int) -> np.ndarray:
    """Numbers of the penalty groups of some terms in the whole design."""
    groups = np.unique(design.groups[np.isin(design.owner, positions)])
    return groups[groups >= 0]


def alive(design: Design, position: int, penalty: np.ndarray) -> bool:
    """Whether a term kept any column."""
    free = (design.groups[design.owner == position] < 0).any()
    return bool(free or np.isfinite(penalty[term_groups(design, position)]).any())
