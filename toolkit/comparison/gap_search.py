"""Which terms the training rows of one fold ask for: main effects first, then interactions, each admitted by a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.ensemble import ExtraTreesRegressor

from toolkit.comparison.gap_forms import FormTerm, pair_forms, single_forms
from toolkit.comparison.gap_start import START, Start
from toolkit.comparison.gap_table import Model, Table, block_gain
from toolkit.specification.basis import Marginal, learn_marginal
from toolkit.specification.candidates import pair_widths
from toolkit.specification.columns import Columns, learn_columns
from toolkit.specification.likelihood import Rows, fit_family
from toolkit.specification.sample import inner_folds
from toolkit.specification.screening import screen_pairs
from toolkit.specification.terms import FREE, Design, main_terms, product_term

__all__ = ["Candidate", "Found", "Prepared", "prepare", "search_terms"]

ROWS = 8_000  # of the training rows, evenly spread, that the search looks at
ALPHA = 0.05  # of naming any term where none is needed, shared by all candidates of a stage
OVERLAP = np.sqrt(2)  # inner folds share training rows: the t statistic is divided by it, as in residual learnability
PAIR_COLUMNS = 36  # of one flexible interaction
SMALLEST = 0.01  # share of what was closed so far under which the search ends
MOST_MAINS, MOST_PAIRS = 8, 6
POOL = 8  # pairs from the residuals, and as many from the net
MOST_VARIABLES = 40  # whose pairs are screened
SIMPLE = 0.95  # a readable form is preferred when it closes this share of what the best one does, and is not worse
WORSE = norm.isf(0.05)  # t statistic from which on it is worse


@dataclass(frozen=True)
class Candidate:
    """One named cause: its terms and its readable form."""

    key: tuple[str, ...]  # variables
    kind: str  # main effect, interaction, threshold
    terms: tuple[Any, ...] = field(repr=False)
    form: FormTerm | None = None

    @property
    def name(self) -> str:
        return ":".join(self.key)


@dataclass(frozen=True)
class Found:
    """A candidate that was admitted, and what it closed out of the inner folds."""

    candidate: Candidate
    gain: float  # mean weighted squared error per row
    t: float


@dataclass(frozen=True)
class Prepared:
    """Training rows of one fold as variables, with the columns of the starting regression."""

    start: Start = field(repr=False)
    columns: Columns = field(repr=False)
    marginals: dict[str, Marginal] = field(repr=False)
    data: dict[str, np.ndarray] = field(repr=False)
    y: np.ndarray = field(repr=False)

    def encode(self, X: pd.DataFrame) -> dict[str, np.ndarray]:
        return {START: self.start.columns(X), **self.columns.encode(X)}


def prepare(start: Start, X: pd.DataFrame, y: np.ndarray, kinds: dict[str, str]) -> Prepared:
    """Variables and bases from these training rows alone."""
    columns = learn_columns(X, kinds)
    data = columns.encode(X)
    marginals = {v.name: learn_marginal(v, data[v.name], 12) for v in columns.variables}
    return Prepared(start, columns, marginals, {START: start.columns(X), **data}, y)


def search_terms(
    ready: Prepared, hint: np.ndarray | None, seed: int, groups: np.ndarray | None = None
) -> tuple[list[Found], dict[str, Any]]:
    """Admit terms one after the other.

    Parameters
    ----------
    hint : ndarray, [n], optional
        Difference of the two arms' predictions on these rows, NaN where unknown: it widens the pool of pairs, the rows'
        own residuals decide.
    groups : ndarray, [n], optional
        Rows of one group stay in one inner fold.
    """
    n = len(ready.y)
    rows = np.unique(np.linspace(0, n - 1, min(n, ROWS)).astype(int))
    data, y = {k: v[rows] for k, v in ready.data.items()}, ready.y[rows]
    hint = None if hint is None else hint[rows]
    folds = inner_folds(len(rows), None if groups is None else groups[rows], seed)
    mains, duplicates = main_candidates(ready, data)
    found = _stage(ready, data, y, folds, [], mains, MOST_MAINS)
    chosen = [one.candidate for one in found]
    residual, weight = _working_residual(ready, data, y, chosen)
    names, screened = _screened_variables(ready, data, residual, hint)
    pool = _pool(ready, data, residual, weight, hint, names)
    pairs = [c for c in (pair_candidate(ready, data, key) for key in pool) if c is not None]
    more = _stage(ready, data, y, folds, chosen, pairs, MOST_PAIRS)
    return found + more, {"duplicates": duplicates, "screened": screened}


def main_candidates(ready: Prepared, data: dict[str, np.ndarray]) -> tuple[list[Candidate], list[str]]:
    """Main effects that the starting regression lacks, and those that would repeat its columns."""
    few = np.unique(np.linspace(0, len(data[START]) - 1, min(len(data[START]), 2_000)).astype(int))
    base = np.column_stack([np.ones(len(few)), data[START][few]])
    q = np.linalg.qr(base / np.maximum(np.linalg.norm(base, axis=0), 1e-300))[0]
    made, duplicates = [], []
    for name, marginal in ready.marginals.items():
        terms = main_terms(marginal)
        columns = np.hstack([t.columns(data)[few] for t in terms])
        columns = columns - columns.mean(axis=0)
        left = columns - q @ (q.T @ columns)
        if (left**2).sum() <= 1e-8 * (columns**2).sum():
            if marginal.width > 1:
                duplicates.append(name)
            continue
        made.append(Candidate((name,), "main effect", tuple(terms)))
    return made, duplicates


def pair_candidate(ready: Prepared, data: dict[str, np.ndarray], key: tuple[str, str]) -> Candidate | None:
    pair = tuple(ready.marginals[name] for name in key)
    term = product_term(pair, pair_widths(*pair, PAIR_COLUMNS), data)
    return None if term is None else Candidate(key, "interaction", (term,))


def _groups(terms: tuple[Any, ...]) -> np.ndarray:
    """Penalty groups of a block: free columns are shrunk too while a candidate is judged."""
    parts, used = [], 0
    for term in terms:
        own = np.where(term.groups == FREE, term.groups.max() + 1, term.groups)
        _, own = np.unique(own, return_inverse=True)
        parts.append(own + used)
        used += int(own.max()) + 1
    return np.concatenate(parts)


def _stage(
    ready: Prepared, data: dict, y: np.ndarray, folds: np.ndarray, before: list[Candidate],
    candidates: list[Candidate], most: int,
) -> list[Found]:  # fmt: skip
    """Greedy forward choice among the candidates; each is tested at its share of ALPHA."""
    if not candidates:
        return []
    family = ready.start.family
    base = [ready.start.term, *(t for c in before for t in c.terms)]
    design = Design.of(base)
    if family.is_normal:
        z, w, sigma2 = family.forward(y), np.ones(len(y)), None
    else:
        fitted = fit_family(Rows(design, data, len(y)), y, family)
        z, w = family.working(y, fitted.eta, fitted.shape)
        sigma2 = 1.0 if family.fixed_scale else None
    blocks = [np.hstack([t.columns(data) for t in c.terms]) for c in candidates]
    table = Table(np.hstack([design.columns(data), *blocks]), z - np.average(z, weights=w), w, folds)
    ends = design.width + np.cumsum([0, *(b.shape[1] for b in blocks)])
    place = {i: np.arange(ends[i], ends[i + 1]) for i in range(len(blocks))}
    columns, groups = np.arange(design.width), design.groups
    threshold, closed, found = norm.isf(ALPHA / len(candidates)), 0.0, []
    model = Model.fit(table, columns, groups, sigma2)
    while place and len(found) < most:
        gains = {i: block_gain(table, model, at, _groups(candidates[i].terms), sigma2) for i, at in place.items()}
        best = max(gains, key=lambda i: gains[i].sum())
        gain, t = _strength(gains[best])
        if t < threshold or gain < SMALLEST * closed:
            break
        chosen, at = _readable(ready, data, table, model, candidates[best], gains[best], place, best, sigma2)
        closed += gain
        found.append(Found(chosen, gain, t))
        own = _groups(chosen.terms)
        columns, groups = np.concatenate([columns, at]), np.concatenate([groups, own + groups.max() + 1])
        model = Model.fit(table, columns, groups, sigma2)
        del place[best]
    return found


def _strength(gain: np.ndarray) -> tuple[float, float]:
    """Mean gain per row and its t statistic, corrected for inner folds that share training rows."""
    spread = gain.std(ddof=1) / np.sqrt(len(gain))
    return float(gain.mean()), float(gain.mean() / spread / OVERLAP) if spread > 0 else 0.0


def _readable(ready, data, table, model, candidate, gain, place, best, sigma2) -> tuple[Candidate, np.ndarray]:
    """The candidate in a readable form where that closes about as much, with the positions of its columns.

    About as much: nearly all of the gain, and no difference that the inner folds can tell from chance. Without the
    test, what a kink leaves of a smooth bend goes to the remainder in large samples.
    """
    variables = [ready.marginals[name].variable for name in candidate.key]
    r = model.residual
    forms = (
        single_forms(variables[0], data[candidate.key[0]], r)
        if len(variables) == 1
        else pair_forms(*variables, data, r)
    )
    judged = []
    for form in forms:
        at = table.add(form.columns(data))
        judged.append((block_gain(table, model, at, form.groups, sigma2), form, at))
    top = max([gain, *(one[0] for one in judged)], key=np.sum)
    good = [one for one in judged if one[0].sum() >= SIMPLE * top.sum() and _strength(top - one[0])[1] < WORSE]
    if not good:
        return candidate, place[best]
    _, form, at = max(good, key=lambda one: (-one[1].width, one[0].sum()))
    kind = "threshold" if form.kind == "threshold" else candidate.kind
    return Candidate(candidate.key, kind, (form,), form), at


def _working_residual(ready: Prepared, data: dict, y: np.ndarray, chosen: list[Candidate]):
    design = Design.of([ready.start.term, *(t for c in chosen for t in c.terms)])
    family = ready.start.family
    fitted = fit_family(Rows(design, data, len(y)), y, family)
    if family.is_normal:
        return family.forward(y) - fitted.eta, None
    z, w = family.working(y, fitted.eta, fitted.shape)
    return z - fitted.eta, w


def _screened_variables(ready: Prepared, data: dict, residual: np.ndarray, hint: np.ndarray | None):
    """Variables whose pairs are screened: all, or those that trees use to follow the difference of the arms."""
    names = [name for name, m in ready.marginals.items() if m.variable.part != "missing"]
    if len(names) <= MOST_VARIABLES:
        return names, 0
    target = residual if hint is None or np.isnan(hint).mean() > 0.5 else np.where(np.isnan(hint), 0.0, hint)
    few = np.unique(np.linspace(0, len(target) - 1, min(len(target), 4_000)).astype(int))
    X = np.column_stack([data[name][few] for name in names])
    trees = ExtraTreesRegressor(60, max_depth=6, min_samples_leaf=10, random_state=0).fit(X, target[few])
    order = np.argsort(-trees.feature_importances_)[:MOST_VARIABLES]
    return [names[i] for i in sorted(order)], len(names)


def _pool(ready, data, residual, weight, hint, names) -> list[tuple[str, str]]:
    """Strongest pairs in the residuals, and in the difference between the net and the regression."""
    variables = tuple(ready.marginals[name].variable for name in names)
    if len(variables) < 2:
        return []
    pairs = [(p.first, p.second) for p in screen_pairs(variables, data, residual, weight)[:POOL]]
    if hint is not None and np.isfinite(hint).sum() >= 200:
        known = np.flatnonzero(np.isfinite(hint))
        part = {name: data[name][known] for name in names}
        pairs += [
            (p.first, p.second) for p in screen_pairs(variables, part, hint[known] - hint[known].mean(), None)[:POOL]
        ]
    return list(dict.fromkeys(pairs))
