"""The specification as a readable record: a formula, a table of terms, an equation, one screen of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import fill

import numpy as np
import pandas as pd
from scipy.stats import chi2

from toolkit.specification.columns import MISSING, TRANSFORMS, Columns, Variable, quoted
from toolkit.specification.part import Part
from toolkit.specification.penalised import inverse
from toolkit.specification.terms import Design, Term

__all__ = ["Specification", "describe", "term_table"]

STRAIGHT = 0.5  # effective degrees of freedom of the bends under which a formula writes a straight line
MOST_DF = 12  # of one spline in a formula
RESPONSES = {"lognormal": "np.log({})", "log1p_normal": "np.log1p({})"}


@dataclass(frozen=True)
class Specification:
    """What was chosen, in a form that can be read, edited and run again.

    Attributes
    ----------
    formula : str
        For formulaic and statsmodels. Penalised bends and surfaces are written as unpenalised splines with the
        effective degrees of freedom, rounded; straight lines, levels and everything else are exactly what was fitted.
    family, link : str
    terms : DataFrame
        One row per term: term, kind, edf, partial_r2 (share of the remaining squared error on the scale of the linear
        predictor), statistic and p_value (robust Wald test; exploratory, because the terms were searched).
    """

    target: str
    family: str
    link: str
    formula: str
    terms: pd.DataFrame = field(repr=False)
    rung: str = ""
    coefficients: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    notes: tuple[str, ...] = ()

    def equation(self, digits: int = 4) -> str:
        """The linear predictor with its coefficients; bends and surfaces as f(...)."""
        pieces = []
        for row in self.coefficients.itertuples():
            sign = "- " if row.estimate < 0 else "+ "
            name = "" if row.term == "Intercept" else f" {row.term}"
            pieces.append(f"{sign}{abs(row.estimate):.{digits}g}{name}")
        curves = self.terms.loc[~self.terms["kind"].isin(["linear"]), "term"]
        pieces += [f"+ f({name.replace(':', ', ')})" for name in curves]
        left = {"identity": "E[{}]", "log": "log E[{}]", "log1p": "E[log(1 + {})]", "logit": "logit P({} = 1)"}[
            self.link
        ]
        if self.family == "lognormal":
            left = "E[log {}]"
        return f"{left.format(self.target)} = " + " ".join(pieces).removeprefix("+ ")

    def __repr__(self) -> str:
        shown = self.terms.head(15)
        lines = [
            f"{self.family}, {self.link} link, {len(self.terms)} terms, "
            f"{self.terms['edf'].sum():.1f} effective degrees of freedom",
            fill(self.formula, 118, subsequent_indent="    ", break_long_words=False, max_lines=12),
            shown.to_string(index=False, float_format=lambda value: f"{value:.3g}", max_colwidth=40),
        ]
        if len(shown) < len(self.terms):
            lines.append(f"... and {len(self.terms) - len(shown)} more in .terms")
        lines.append("p-values are exploratory: the terms were chosen on the same rows.")
        return "\n".join(lines)


def describe(
    columns: Columns, part: Part, target: str, table: pd.DataFrame, coefficients: pd.DataFrame
) -> Specification:
    """The record of one fitted part."""
    response = RESPONSES.get(part.family.name, "{}").format(quoted(target))
    edf = edf_of_terms(part.design, part.fit.edf)
    pieces = dict.fromkeys(formula_pieces(columns, part.design.terms, edf))
    formula = f"{response} ~ " + (" + ".join(pieces) if pieces else "1")
    notes = ["penalised terms are written as unpenalised splines with rounded effective degrees of freedom"]
    return Specification(
        target, part.family.label, part.family.link, formula, table, part.rung, coefficients, tuple(notes)
    )


def edf_of_terms(design: Design, edf: np.ndarray) -> np.ndarray:
    return np.bincount(design.owner[1:], edf[1:], minlength=len(design.terms))


def formula_pieces(columns: Columns, terms: Sequence[Term], edf: np.ndarray) -> list[str]:
    """What each term is in a formula; a line disappears into the spline of the same variable."""
    bends = {t.variables[0]: e for t, e in zip(terms, edf, strict=True) if t.kind == "smooth"}
    pieces = []
    for term, value in zip(terms, edf, strict=True):
        variables = [columns[name] for name in term.variables]
        if term.kind == "linear":
            if bends.get(term.variables[0], 0) < STRAIGHT:
                pieces.append(written(columns, variables[0]))
        elif term.kind == "smooth":
            if value >= STRAIGHT:
                pieces.append(spline(columns, variables[0], value + 1))
        elif term.kind == "step":
            pieces.append(step(columns, term))
        elif term.kind == "cyclic":
            pieces.append(spline(columns, variables[0], value))
        elif value >= 0.1:
            pieces.append(product(columns, variables, value))
    return pieces


def product(columns: Columns, variables: list[Variable], edf: float) -> str:
    """An interaction or the levels of one factor, the degrees of freedom spread evenly over its numbers."""
    numbers = [v for v in variables if v.kind != "factor" and v.distinct > 2]
    levels = float(np.prod([max(v.distinct - 1, 1) for v in variables if v.kind == "factor"]))
    each = (max(edf / levels, 1.0)) ** (1 / max(len(numbers), 1))
    return ":".join(
        spline(columns, v, each) if v.kind != "factor" and v.distinct > 2 else written(columns, v) for v in variables
    )


def step(columns: Columns, term: Term) -> str:
    """A jump at a threshold, of everybody or of one level."""
    sides = []
    for one in term.marginals:
        variable = one.variable
        if isinstance(one.shown, str):
            sides.append(f"({filled(columns, variable, MISSING)} == {one.shown!r})")
        else:
            sides.append(f"({written(columns, variable, transformed=False)} >= {one.shown!r})")
    return f"I(({' & '.join(sides)}) * 1.0)"


def filled(columns: Columns, variable: Variable, value: float | str) -> str:
    """A column, with the fill-in of missing values spelled out where there are some."""
    name = quoted(variable.source)
    gaps = MISSING in variable.levels or any(
        v.source == variable.source and v.part == "missing" for v in columns.variables
    )
    return f"{name}.fillna({value!r})" if gaps else name


def spline(columns: Columns, variable: Variable, df: float) -> str:
    """A restricted (natural) or cyclic cubic spline; a straight line below one and a half degrees of freedom."""
    df = int(min(round(df), MOST_DF, max(variable.distinct - 1, 1)))
    if df < 2:
        return written(columns, variable)
    basis = "cc" if variable.kind == "cyclic" else "cr"
    return f"{basis}({written(columns, variable)}, df={max(df, 2) + 1}, constraints='center')"


def written(columns: Columns, variable: Variable, transformed: bool = True) -> str:
    """One variable as a formula writes it, with the fill-in of missing values spelled out."""
    name = quoted(variable.source)
    if variable.kind == "factor":
        return f"C({filled(columns, variable, MISSING)})"
    if variable.part == "missing":
        return f"I({name}.isna() * 1.0)"
    if variable.part == "year":
        return f"I({name}.dt.year + {name}.dt.dayofyear / 365.25)"
    if variable.part:
        return f"I({name}.dt.{variable.part})"  # formulaic takes a bare `day.dt.hour` for the name of a column
    column = filled(columns, variable, variable.fill)
    if transformed and variable.transform == "identity" and column.startswith("`") and column != name:
        return f"I({column})"  # nor does it read a method behind a quoted name
    return TRANSFORMS[variable.transform][0].format(column) if transformed else column


def term_table(part: Part, covariance: np.ndarray) -> pd.DataFrame:
    """One row per term: edf, partial R², robust Wald test.

    Parameters
    ----------
    covariance : ndarray, [a, a]
        Robust covariance of the active coefficients.

    Notes
    -----
    partial R² is D / (D + RSS) with D = b' [(A^-1)_bb]^-1 b, the rise of the penalised criterion without
    the term.
    The Wald test uses the round(edf) columns of a term that the rows determine best; a penalised column that they do
    not determine would only add noise (the point of Wood, Biometrika 100 (2013), 221-228).
    """
    fit, design = part.fit, part.design
    A_inverse = inverse(fit.factor)
    place = np.full(design.width, -1)
    place[fit.active] = np.arange(len(fit.active))
    rows = []
    for name, kind, positions in shown_terms(design):
        at = place[positions]
        at = at[at >= 0]
        if not len(at):
            continue
        beta, block = fit.beta[fit.active][at], A_inverse[np.ix_(at, at)]
        edf = float(fit.edf[fit.active][at].sum())
        rise = float(beta @ np.linalg.lstsq(block, beta, rcond=1e-12)[0])
        statistic, p_value = wald(beta, covariance[np.ix_(at, at)], fit.edf[fit.active][at])
        rows.append((name, kind, edf, rise / (rise + fit.rss) if fit.rss > 0 else np.nan, statistic, p_value))
    table = pd.DataFrame(rows, columns=["term", "kind", "edf", "partial_r2", "statistic", "p_value"])
    return table.sort_values("partial_r2", ascending=False, kind="stable").reset_index(drop=True)


def shown_terms(design: Design) -> list[tuple[str, str, np.ndarray]]:
    """(name, kind, columns) with the line and the bends of one variable together."""
    together: dict[str, list[int]] = {}
    for position, term in enumerate(design.terms):
        together.setdefault(term.name, []).append(position)
    return [
        (name, design.terms[at[-1]].kind, np.flatnonzero(np.isin(design.owner, at))) for name, at in together.items()
    ]


def wald(beta: np.ndarray, covariance: np.ndarray, column_edf: np.ndarray) -> tuple[float, float]:
    """Wald statistic and p-value of a penalised block, on the round(edf) columns that the rows determine best."""
    edf = float(column_edf.sum())
    best = np.argsort(-column_edf, kind="stable")[: int(np.clip(round(edf), 1, len(beta)))]
    block = covariance[np.ix_(best, best)]
    statistic = float(beta[best] @ np.linalg.pinv(block, rcond=1e-10, hermitian=True) @ beta[best])
    return statistic, float(chi2.sf(statistic, len(best)))
