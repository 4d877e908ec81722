"""What a search ends with: the terms, the ladder that led to them, and the sums for further steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from toolkit.specification.penalised import Sums
from toolkit.specification.sample import Sample
from toolkit.specification.terms import Design, Term

__all__ = ["FEW_STEPS", "NEGLIGIBLE", "Rung", "SearchResult", "carried"]

NEGLIGIBLE = 0.25  # a simpler rung is kept while the gain of the richer one is under this many standard errors
FEW_STEPS = 10  # updates of penalties that are nearly right


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
    losses: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)  # [folds], out of fold
    sums: tuple[Sums, ...] = field(default=(), repr=False)  # of the columns of the terms, for each fold
    sample: Sample | None = field(default=None, repr=False)

    @property
    def design(self) -> Design:
        return Design.of(self.terms)


def carried(penalty: np.ndarray, design: Design, columns: np.ndarray, final: Design) -> np.ndarray:
    """The penalties of a design in the numbering of another one, `final`, made of some of its columns."""
    old, new = design.groups[columns], final.groups
    found = np.zeros(int(new.max()) + 1)
    found[new[new >= 0]] = penalty[old[old >= 0]]
    return found
