"""Interactions of three variables: asked for after the pairs, of what the pairs leave.

Only variables of the strongest pairs are tried (strong heredity). Every triple is cut into cells; its score is the
reduction in squared error by cell means of the residuals, less what noise alone would give.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from toolkit.specification.basis import Marginal
from toolkit.specification.penalised import fit_sums
from toolkit.specification.result import SearchResult
from toolkit.specification.sample import added
from toolkit.specification.screening import bin_codes
from toolkit.specification.search import better_of
from toolkit.specification.terms import Term, product_term

__all__ = ["triple_widths", "with_triples"]

VARIABLES = 8  # of the strongest pairs
BINS = 5
COLUMNS = 64  # of one triple, about
MOST_TRIPLES = 6
MOST_COLUMNS = 1_800  # of the whole design
ROWS_PER_COLUMN = 4
SURE = 4.0  # standard deviations of a score under noise alone


def with_triples(found: SearchResult, marginals: dict[str, Marginal]) -> SearchResult:
    """The result with triples of variables, where they predict better out of fold."""
    terms = triples(found, marginals)
    if not terms:
        return found
    everything = (*found.terms, *terms)
    sample = found.sample
    extra = np.hstack([term.columns(sample.data) for term in terms])
    sums = sample.widened(found.sums, found.design, extra)
    return better_of(found, everything, sums, f"{found.chosen}, {len(terms)} of three")


def triples(found: SearchResult, marginals: dict[str, Marginal]) -> list[Term]:
    """Terms of the strongest triples, as many as there is room for."""
    pairs = [term for term in found.terms if len(term.variables) == 2 and term.kind != "step"]
    names = list(dict.fromkeys(name for term in pairs for name in term.variables))[:VARIABLES]
    sample = found.sample
    room = min(MOST_COLUMNS - found.design.width, sample.n // ROWS_PER_COLUMN - found.design.width)
    if len(names) < 3 or room < 1:
        return []
    fit = fit_sums(added(found.sums), found.design.groups, found.penalty, steps=0)
    residual = sample.z - np.concatenate([X @ fit.beta for _, X in found.design.chunks(sample.data, sample.n)])
    weight = np.ones(sample.n) if sample.w is None else sample.w
    codes = {name: bin_codes(marginals[name].variable, sample.data[name], BINS) for name in names}
    scores = {triple: score([codes[name] for name in triple], residual, weight) for triple in combinations(names, 3)}
    terms: list[Term] = []
    for triple in sorted(scores, key=lambda one: -scores[one])[:MOST_TRIPLES]:
        mine = tuple(marginals[name] for name in triple)
        term = product_term(mine, triple_widths(mine), sample.data) if scores[triple] > SURE else None
        if term is not None and term.width <= room:
            room -= term.width
            terms.append(term)
    return terms


def score(codes: list[np.ndarray], residual: np.ndarray, weight: np.ndarray) -> float:
    """Reduction in squared error by cell means in standard deviations of what noise alone would give."""
    cell = np.ravel_multi_index(codes, [int(code.max()) + 1 for code in codes])
    weights = np.bincount(cell, weight)
    sums = np.bincount(cell, weight * residual)
    filled = weights > 0
    variance = float(np.average(residual**2, weights=weight))
    gain = float((sums[filled] ** 2 / weights[filled]).sum()) / max(variance, 1e-300)
    cells = int(filled.sum())
    return (gain - cells) / np.sqrt(2.0 * cells)


def triple_widths(marginals: tuple[Marginal, ...]) -> tuple[int, ...]:
    """Columns taken of each marginal: grown in turn while their product stays within `COLUMNS`."""
    widths = [1] * len(marginals)
    growing = True
    while growing:
        growing = False
        for place in sorted(range(len(widths)), key=lambda i: widths[i]):
            others = int(np.prod(widths)) // widths[place]
            if widths[place] < marginals[place].width and (widths[place] + 1) * others <= COLUMNS:
                widths[place] += 1
                growing = True
                break
    return tuple(widths)
