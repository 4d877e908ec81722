"""Columns that a term makes: a term is the product of the bases of one or more variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from scipy.linalg import eigh

from toolkit.specification.basis import BEND, Marginal

__all__ = ["Design", "Term", "main_terms", "product_term"]

FREE = -1  # group of columns without penalty
SHARED = -2  # the one group of all lines that rows are too few for, see `with_room`
LEAST_SEEN = 0.03  # variance of a direction of an interaction, relative to independent variables, to be kept
LEAST_ROUGH = 1e-8  # of a direction of an interaction, relative to the roughest one
SLOW = 6  # the smoothest directions of an interaction share one smoothing parameter, the rest another
ROWS = 4_000  # an interaction learns its basis from this many rows or more
CELL_ROWS = 3  # cells of two factors with fewer rows make no column
CHUNK = 8_192  # rows that are turned into columns at a time


@dataclass(frozen=True)
class Term:
    """One term of a specification.

    Attributes
    ----------
    name : str
        "age", "age:bmi", "smoker:bmi".
    kind : {"linear", "smooth", "cyclic", "factor", "surface", "spline by level", "cells"}
    marginals : tuple of Marginal
    widths : tuple of int
        Columns used of each marginal.
    keep : ndarray of int or None
        Columns of the full product that carry enough rows.
    mix : ndarray or None, [products + 1 + mains, k]
        Combinations that make the columns of an interaction, see `joint_basis`.
    groups : ndarray of int, [k]
        Penalty group of each column, counted from 0 within the term; `FREE` for none, `SHARED` for that
        of all crowded lines.
    """

    name: str
    kind: str
    marginals: tuple[Marginal, ...] = field(repr=False)
    widths: tuple[int, ...]
    groups: np.ndarray = field(repr=False)
    keep: np.ndarray | None = field(default=None, repr=False)
    mix: np.ndarray | None = field(default=None, repr=False)

    @property
    def width(self) -> int:
        return len(self.groups)

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(m.variable.name for m in self.marginals)

    def columns(self, data: dict[str, np.ndarray]) -> np.ndarray:
        """Design columns, [n, k]."""
        inside = len(self.marginals) > 1
        parts = [
            m.columns(data[m.variable.name], width, inside)
            for m, width in zip(self.marginals, self.widths, strict=True)
        ]
        full = reduce(row_products, parts)
        if self.mix is not None:
            return np.hstack([full, np.ones((len(full), 1)), *parts]) @ self.mix
        return full if self.keep is None else full[:, self.keep]


def row_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Row-wise Kronecker product, [n, a * b]."""
    return (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)


def main_terms(marginal: Marginal) -> list[Term]:
    """The main effect of one variable: a free line and penalised bends, or penalised levels."""
    variable = marginal.variable
    if variable.kind == "factor":
        return [Term(variable.name, "factor", (marginal,), (marginal.width,), np.zeros(marginal.width, int))]
    if variable.kind == "cyclic":
        return [Term(variable.name, "cyclic", (marginal,), (marginal.width,), marginal.part - BEND)]
    line = Term(variable.name, "linear", (marginal,), (1,), np.array([SHARED if marginal.crowded else FREE]))
    if marginal.width == 1:
        return [line]
    keep = np.arange(1, marginal.width)
    return [line, Term(variable.name, "smooth", (marginal,), (marginal.width,), marginal.part[1:] - BEND, keep)]


def product_term(
    marginals: tuple[Marginal, ...], widths: tuple[int, ...], data: dict[str, np.ndarray], isotropic: bool = False
) -> Term | None:
    """An interaction: products of the columns of its variables, made orthogonal to their main effects.

    None when the rows say nothing about it. `isotropic` adds the roughness penalties of the variables instead of
    multiplying them: a surface with features of its own, such as a coast, rather than a product of two curves.
    """
    kinds = [m.variable.kind == "factor" for m in marginals]
    kind = "cells" if all(kinds) else "spline by level" if any(kinds) else "surface"
    name = ":".join(m.variable.name for m in marginals)
    n = len(data[marginals[0].variable.name])
    rows = np.unique(np.linspace(0, n - 1, min(n, max(ROWS, 12 * int(np.prod(widths))))).astype(int))
    parts = [m.columns(data[m.variable.name][rows], w, True) for m, w in zip(marginals, widths, strict=True)]
    if all(kinds):
        counts = reduce(row_products, parts).sum(axis=0) * n / len(rows)
        keep = np.flatnonzero(counts >= CELL_ROWS)
        return Term(name, kind, marginals, widths, np.zeros(len(keep), int), keep) if len(keep) > 1 else None
    mix = joint_basis(parts, isotropic)
    if mix is None:
        return None
    groups = (np.arange(mix.shape[1]) >= SLOW).astype(int)
    return Term(name, kind, marginals, widths, groups, mix=mix)


def joint_basis(parts: list[np.ndarray], isotropic: bool = False) -> np.ndarray | None:
    """Combinations of [products, constant, mains] that make the columns of an interaction, [k, r].

    The products are freed of the main effects on the training rows. Directions that hardly vary there, given how much
    they would vary if the variables were independent, are left out: they are what explodes in empty corners. The rest
    is turned so that the product (or, isotropic, the sum) of the marginal roughness penalties is a plain ridge,
    smoothest first.
    """
    products = reduce(row_products, parts)
    mains = np.hstack([np.ones((len(products), 1)), *parts])
    gram = mains.T @ mains
    gram[np.diag_indices_from(gram)] += 1e-8 * np.trace(gram) / len(gram)
    removed = np.linalg.solve(gram, mains.T @ products)
    rest = products - mains @ removed
    variances = [part.var(axis=0) for part in parts]
    expected = reduce(np.kron, variances)
    used = np.flatnonzero(expected > 0)
    scaled = rest[:, used] / np.sqrt(expected[used])
    sizes, vectors = eigh(scaled.T @ scaled / len(scaled))
    seen = sizes > LEAST_SEEN
    if not seen.any():
        return None
    vectors = vectors[:, seen]
    rough = 1 / expected[used]
    if isotropic:
        rough = reduce(np.add.outer, [1 / np.maximum(v, 1e-300) for v in variances]).ravel()[used]
    roughness, turn = eigh(vectors.T @ (vectors * rough[:, None]), np.diag(sizes[seen]))
    roughness = np.maximum(roughness, LEAST_ROUGH * roughness[-1])  # rounding can leave a smallest one below zero
    turn = turn * np.sqrt(roughness[0] / roughness)
    mix = np.zeros((products.shape[1], turn.shape[1]))
    mix[used] = (vectors @ turn) / np.sqrt(expected[used])[:, None]
    return np.vstack([mix, -removed @ mix])


@dataclass(frozen=True)
class Design:
    """All terms side by side behind a constant; knows the penalty group of every column.

    Attributes
    ----------
    terms : tuple of Term
    groups : ndarray of int, [P]
        Penalty group over all terms, that of crowded lines first; `FREE` for the constant and free lines.
    owner : ndarray of int, [P]
        Position of the term each column belongs to; -1 for the constant.
    """

    terms: tuple[Term, ...]
    groups: np.ndarray = field(repr=False)
    owner: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, terms: list[Term] | tuple[Term, ...]) -> Design:
        groups, owner = [np.array([FREE])], [np.array([-1])]
        used = int(any((term.groups == SHARED).any() for term in terms))
        for position, term in enumerate(terms):
            groups.append(np.select([term.groups == FREE, term.groups == SHARED], [FREE, 0], term.groups + used))
            owner.append(np.full(term.width, position))
            used += max(int(term.groups.max()) + 1, 0)
        return cls(tuple(terms), np.concatenate(groups), np.concatenate(owner))

    @property
    def width(self) -> int:
        return len(self.groups)

    def columns(self, data: dict[str, np.ndarray]) -> np.ndarray:
        """Design matrix, [n, P], first column ones."""
        n = len(next(iter(data.values()))) if data else 0
        return np.hstack([np.ones((n, 1)), *(term.columns(data) for term in self.terms)])

    def chunks(self, data: dict[str, np.ndarray], n: int):
        """(slice, design matrix of those rows), a few thousand rows at a time."""
        for start in range(0, n, CHUNK):
            rows = slice(start, min(start + CHUNK, n))
            part = {name: values[rows] for name, values in data.items()}
            yield rows, (self.columns(part) if part else np.ones((rows.stop - rows.start, 1)))

    def positions(self, chosen: list[int]) -> np.ndarray:
        """Columns of the constant and of the chosen terms."""
        return np.flatnonzero(np.isin(self.owner, [-1, *chosen]))
