"""The search: a ladder of nested specifications, each fitted by restricted maximum likelihood, judged out of fold.

All rungs are sub-matrices of one cross-product matrix, kept for each inner fold, so that fitting and judging a rung
touches no row. The rungs are: straight lines and levels; bends; then interactions in the order of the screening.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from toolkit.specification.basis import Marginal
from toolkit.specification.family import Family
from toolkit.specification.penalised import Sums, accumulate, fit_sums, held_out_loss
from toolkit.specification.refinement import finer_terms
from toolkit.specification.screening import screen_pairs
from toolkit.specification.terms import Design, Term, main_terms, product_term

__all__ = ["Rung", "SearchResult", "main_effects", "search"]

INNER_FOLDS = 5
MOST_COLUMNS = 1_600  # of the widest rung: its Cholesky factor takes half a second
WORK = 4e10  # multiplications allowed for one cross-product matrix of the search
LEAST_ROWS = 5_000  # the search looks at this many rows or more, where there are
PAIR_COLUMNS = 36  # of one interaction, about
FEW_COLUMNS = 25  # the same with fewer than LEAST_ROWS rows
NEGLIGIBLE = 0.25  # a simpler rung is kept while the gain of the richer one is under this many standard errors
BENT = 1.0  # the same for leaving straight lines: there the simpler rung is the one with honest textbook inference
FRESH_ROWS = 12_000  # with fewer rows the penalties are chosen anew without each inner fold
FRESH_STEPS = 25
PATIENCE = 2  # rungs without improvement after which the climb ends


@dataclass(frozen=True)
class Rung:
    """One specification of the ladder and its inner out-of-fold loss."""

    name: str
    terms: int
    edf: float
    loss: float  # mean squared working residual out of fold, in units of the null model's
    se: float  # of the difference to the best rung


@dataclass(frozen=True)
class SearchResult:
    """The chosen terms, the penalties they start the final fit from, and the whole ladder."""

    terms: tuple[Term, ...]
    penalty: np.ndarray = field(repr=False)
    rungs: tuple[Rung, ...] = ()
    chosen: str = ""
    edf: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)  # [P], of the columns of the terms
    null_loss: float = 1.0


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
) -> SearchResult:
    """Choose the terms.

    Parameters
    ----------
    additive : (eta [n], shape)
        Linear predictor of the additive fit on these rows; working responses and screening start from it.
    groups : ndarray, [n], optional
        Rows of one group share an inner fold.
    """
    eta, shape = additive
    z, w = (family.forward(y), None) if family.is_normal else family.working(y, eta, shape)
    w = weight if w is None else w if weight is None else w * weight
    mains = main_effects(marginals)
    pairs = ordered_pairs(marginals, data, z - eta, w) if interactions else []
    terms = mains + fitting_pairs(pairs, mains, marginals, data)
    design = Design.of(terms)
    rows = search_rows(len(y), design.width)
    folds = inner_folds(len(rows), None if groups is None else groups[rows], seed)
    sums = fold_sums(design, data, rows, z, w, folds)
    found, loss = climb(design, terms, len(mains), sums)
    return refined(found, loss, marginals, data, rows, z, w, folds)


def refined(
    found: SearchResult,
    loss: np.ndarray,
    marginals: dict[str, Marginal],
    data: dict[str, np.ndarray],
    rows: np.ndarray,
    z: np.ndarray,
    w: np.ndarray | None,
    folds: np.ndarray,
) -> SearchResult:
    """The same with finer surfaces, where they predict better out of fold than `loss`, [folds]."""
    terms = finer_terms(Design.of(found.terms), found.edf, marginals, data)
    if terms is None:
        return found
    design = Design.of(terms)
    sums = fold_sums(design, data, rows, z, w, folds)
    fit = fit_sums(added(sums), design.groups)
    fine = out_of_fold_loss(sums, added(sums), np.arange(design.width), design.groups, fit.penalty)
    noise = (fine - loss).std(ddof=1) * np.sqrt(len(fine))
    if (fine - loss).sum() > -NEGLIGIBLE * noise:
        return found
    null = found.null_loss
    rung = Rung(
        f"{found.chosen}, finer surfaces",
        len(terms),
        float(fit.edf.sum()),
        float(fine.sum() / null),
        float(noise / null),
    )
    return SearchResult(terms, fit.penalty, (*found.rungs, rung), rung.name, fit.edf, null)


def added(folds: list[Sums]) -> Sums:
    """Sums over all folds."""
    total = folds[0]
    for fold in folds[1:]:
        total = total + fold
    return total


def search_rows(n: int, width: int) -> np.ndarray:
    """Evenly spread rows that the search looks at."""
    most = int(max(LEAST_ROWS, WORK / width**2))
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))


def inner_folds(n: int, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """Fold number of each row, [n]; whole groups where there are groups."""
    rng = np.random.default_rng(seed)
    if groups is not None:
        _, code = np.unique(groups.astype(str), return_inverse=True)
        if code.max() >= INNER_FOLDS:
            return (rng.permutation(code.max() + 1) % INNER_FOLDS)[code]
    return rng.permutation(np.arange(n) % INNER_FOLDS)


def fold_sums(
    design: Design,
    data: dict[str, np.ndarray],
    rows: np.ndarray,
    z: np.ndarray,
    w: np.ndarray | None,
    folds: np.ndarray,
) -> list[Sums]:
    """Cross-products of every inner fold."""
    sums = []
    for fold in range(folds.max() + 1):
        mine = rows[folds == fold]
        part = {name: values[mine] for name, values in data.items()}
        chunks = design.chunks(part, len(mine))
        sums.append(accumulate(chunks, z[mine], None if w is None else w[mine], design.width))
    return sums


def ordered_pairs(
    marginals: dict[str, Marginal], data: dict[str, np.ndarray], residual: np.ndarray, weight: np.ndarray | None
) -> list[tuple[str, str]]:
    variables = tuple(m.variable for m in marginals.values())
    return [(p.first, p.second) for p in screen_pairs(variables, data, residual, weight)]


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


def climb(design: Design, terms: list[Term], mains: int, folds: list[Sums]) -> tuple[SearchResult, np.ndarray]:
    """Fit every rung, judge it out of fold, and take the simplest that is as good as the best; its loss, [folds]."""
    total = added(folds)
    null = held_out_loss(folds, np.array([0]), np.array([-1]), np.zeros(0))
    rungs, fits, losses = [], [], []
    for name, chosen in ladder(terms, mains):
        columns = design.positions(chosen)
        groups, used = compact(design.groups[columns])
        fit = fit_sums(total.take(columns), groups)
        losses.append(out_of_fold_loss(folds, total, columns, groups, fit.penalty))
        fits.append((chosen, expand(fit.penalty, used, design), fit))
        rungs.append((name, len(chosen), float(fit.edf.sum())))
        if len(losses) - 1 - int(np.sum(losses, axis=1).argmin()) >= PATIENCE:
            break
    table = np.array(losses)  # [rungs, folds]
    best = int(table.sum(axis=1).argmin())
    differences = table - table[best]
    noise = differences.std(axis=1, ddof=1) * np.sqrt(table.shape[1])
    gain = differences.sum(axis=1)
    taken = next(i for i in range(best + 1) if gain[i] <= (NEGLIGIBLE if i else BENT) * noise[i])
    chosen, penalty, fit = fits[taken]
    kept = [i for i in chosen if alive(design, i, penalty)]
    final = Design.of([terms[i] for i in kept])
    start = np.concatenate([np.zeros(0), *(penalty[term_groups(design, i)] for i in kept)])
    ladder_table = tuple(
        Rung(*rung, float(table[i].sum() / null.sum()), float(noise[i] / null.sum())) for i, rung in enumerate(rungs)
    )
    kept_columns = np.isin(design.owner[design.positions(chosen)], [-1, *kept])
    result = SearchResult(final.terms, start, ladder_table, rungs[taken][0], fit.edf[kept_columns], float(null.sum()))
    return result, table[taken]


def out_of_fold_loss(
    folds: list[Sums], total: Sums, columns: np.ndarray, groups: np.ndarray, penalty: np.ndarray
) -> np.ndarray:
    """Squared error on each fold of the fit to the others, [folds]; `groups` are those of the columns.

    With few rows the penalties must not have seen the fold either: chosen on all rows, they let through the noise of
    exactly those columns that happen to fit it.
    """
    if total.n >= FRESH_ROWS or not len(penalty):
        return held_out_loss([fold.take(columns) for fold in folds], np.arange(len(columns)), groups, penalty)
    losses = []
    for fold in folds:
        one = fold.take(columns)
        beta = fit_sums((total - fold).take(columns), groups, steps=FRESH_STEPS).beta
        losses.append(max(float(one.yy - 2 * beta @ one.xy + beta @ one.xx @ beta), 0.0))
    return np.array(losses)


def ladder(terms: list[Term], mains: int):
    """(name, positions of the terms) of each rung, simplest first."""
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
