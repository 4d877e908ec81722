"""The search: a ladder of nested specifications, each fitted by restricted maximum likelihood, judged out of fold.

All rungs are sub-matrices of one cross-product matrix, kept for each inner fold, so that fitting and judging a rung
touches no row. The rungs are: straight lines and levels; bends; then interactions in the order of the screening.
"""

from __future__ import annotations

import numpy as np

from toolkit.specification.basis import Marginal
from toolkit.specification.family import Family
from toolkit.specification.penalised import STEPS, Sums, fit_sums
from toolkit.specification.refinement import finer_terms
from toolkit.specification.result import FEW_STEPS, NEGLIGIBLE, Rung, SearchResult, carried
from toolkit.specification.sample import LEAST_ROWS, Sample, added, out_of_fold_loss
from toolkit.specification.screening import screen_pairs
from toolkit.specification.terms import SHARED, Design, Term, main_terms, product_term
from toolkit.specification.tidying import pruned, tidied

__all__ = ["main_effects", "search"]

MOST_COLUMNS = 1_600  # of the widest rung: its Cholesky factor takes half a second
PAIR_COLUMNS = 36  # of one interaction, about
FEW_COLUMNS = 25  # the same with fewer than LEAST_ROWS rows
BENT = 1.0  # the same for leaving straight lines: there the simpler rung is the one with honest textbook inference
CHANCE = 0.5  # share of the screened pairs that may be there by chance
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
    pairs = ordered_pairs(marginals, data, z - eta, w) if interactions else []
    terms = mains + fitting_pairs(pairs, mains, marginals, data)
    design = Design.of(terms)
    sample = Sample.draw(data, z, w, groups, design.width, seed)
    found = tidied(climb(design, terms, len(mains), sample))
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


def ordered_pairs(
    marginals: dict[str, Marginal], data: dict[str, np.ndarray], residual: np.ndarray, weight: np.ndarray | None
) -> list[tuple[str, str]]:
    """Pairs that the screening finds, strongest first.

    The rows that pick the best of a thousand pairs cannot judge them afterwards, out of fold or not. So only those
    enter of which at most half are expected to be chance (Benjamini and Hochberg, JRSS B 57, 1995, 289-300).
    """
    scores = screen_pairs(tuple(m.variable for m in marginals.values()), data, residual, weight)
    p = np.sort([pair.p_value for pair in scores])
    passed = np.flatnonzero(p <= CHANCE * np.arange(1, len(p) + 1) / len(p))
    threshold = p[passed[-1]] if len(passed) else -1.0
    return [(pair.first, pair.second) for pair in scores if pair.p_value <= threshold]


def fitting_pairs(
    pairs: list[tuple[str, str]], mains: list[Term], marginals: dict[str, Marginal], data: dict[str, np.ndarray]
) -> list[Term]:
    """Interaction terms of the strongest pairs that fit into the widest rung."""
    n = len(next(iter(data.values()))) if data else 0
    room = min(MOST_COLUMNS, n) - 1 - sum(term.width for term in mains)
    terms = []
    for first, second in pairs:
        pair = (marginals[first], marginals[second])
        term = product_term(pair, pair_widths(*pair, FEW_COLUMNS if n < LEAST_ROWS else PAIR_COLUMNS), data)
        if term is None:
            continue
        room -= term.width
        if room < 0:
            break
        terms.append(term)
    return terms


def pair_widths(a: Marginal, b: Marginal, most: int) -> tuple[int, int]:
    """Columns taken of each marginal: about equal, more of one where the other has few."""
    side = int(np.sqrt(most)) - 1
    wide = [min(m.width, side) for m in (a, b)]
    for one, other in ((0, 1), (1, 0)):
        if wide[other] < side:
            wide[one] = min((a, b)[one].width, max(side, most // max(wide[other], 1)))
    return wide[0], wide[1]


def climb(design: Design, terms: list[Term], mains: int, sample: Sample) -> SearchResult:
    """Fit every rung, judge it out of fold, and take the simplest that is as good as the best."""
    folds = sample.sums(design)
    total = added(folds)
    null = out_of_fold_loss(folds, np.array([0]), np.array([-1]), np.zeros(0))
    rungs, fits, losses = [], [], []
    for name, chosen in ladder(terms, mains):
        columns = design.positions(chosen)
        groups, used = compact(design.groups[columns])
        fit = fit_sums(total.take(columns), groups)
        losses.append(out_of_fold_loss(folds, columns, groups, fit.penalty))
        fits.append((chosen, expand(fit.penalty, used, design), fit))
        rungs.append((name, len(chosen), float(fit.edf.sum())))
        if len(losses) - 1 - int(np.sum(losses, axis=1).argmin()) >= PATIENCE:
            break
    table = np.array(losses)  # [rungs, folds]
    best = int(table.sum(axis=1).argmin())
    differences = table - table[best]
    noise = differences.std(axis=1, ddof=1) * np.sqrt(table.shape[1])
    gain = differences.sum(axis=1)
    taken = next(i for i in range(best + 1) if gain[i] <= (BENT if rungs[i][0] == "linear" else NEGLIGIBLE) * noise[i])
    chosen, penalty, fit = fits[taken]
    kept = [i for i in chosen if alive(design, i, penalty)]
    final = Design.of([terms[i] for i in kept])
    start = carried(penalty, design, design.positions(kept), final)
    ladder_table = tuple(
        Rung(*rung, float(table[i].sum() / null.sum()), float(noise[i] / null.sum())) for i, rung in enumerate(rungs)
    )
    columns = design.positions(chosen)
    edf = fit.edf[np.isin(design.owner[columns], [-1, *kept])]
    sums = tuple(fold.take(design.positions(kept)) for fold in folds)
    return SearchResult(
        final.terms, start, ladder_table, rungs[taken][0], edf, float(null.sum()), table[taken], sums, sample
    )


def ladder(terms: list[Term], mains: int):
    """(name, positions of the terms) of each rung, simplest first.

    Where rows are too few for the lines, it is a question whether they tell more than the mean: so that is a rung.
    """
    if any(SHARED in terms[i].groups for i in range(mains)):
        yield "constant", []
    yield "linear", [i for i in range(mains) if terms[i].kind in ("linear", "factor")]
    if any(terms[i].kind in ("smooth", "cyclic") for i in range(mains)):
        yield "additive", list(range(mains))
    count, step = 0, 3
    while mains + count < len(terms):
        count = min(count + step, len(terms) - mains)
        step *= 3
        yield f"{count} interactions", list(range(mains + count))


def compact(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups numbered without gaps, and the numbers they had."""
    used = np.unique(groups[groups >= 0])
    return np.where(groups >= 0, np.searchsorted(used, groups), -1), used


def expand(penalty: np.ndarray, used: np.ndarray, design: Design) -> np.ndarray:
    """Penalties at the numbers that groups have in the whole design, inf elsewhere."""
    full = np.full(int(design.groups.max()) + 1, np.inf)
    full[used] = penalty
    return full


def term_groups(design: Design, position: int) -> np.ndarray:
    """Numbers of the penalty groups of one term in the whole design."""
    groups = np.unique(design.groups[design.owner == position])
    return groups[groups >= 0]


def alive(design: Design, position: int, penalty: np.ndarray) -> bool:
    """Whether a term kept any column."""
    free = (design.groups[design.owner == position] < 0).any()
    return bool(free or np.isfinite(penalty[term_groups(design, position)]).any())
