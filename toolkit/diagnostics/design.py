"""The design matrix of a regression: its own where it shows one, the encoded features for a plain linear fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.collinearity import check_collinearity, check_condition_index
from toolkit.diagnostics.hull import check_optimism
from toolkit.diagnostics.influence import influence_checks
from toolkit.diagnostics.least_squares import GLM_FAMILIES
from toolkit.diagnostics.view import ArmView

__all__ = ["Design", "design_checks", "design_of", "optimism_of"]

PLAIN = ("linear",)  # arms whose columns are the encoded features as they come


@dataclass(frozen=True)
class Design:
    """Columns of a regression at the judging rows; None with a reason where there are none."""

    columns: np.ndarray | None  # [n, p], without the constant
    names: tuple[str, ...]
    terms: tuple[str, ...]  # the term of each column
    response: np.ndarray  # [n], on the scale of the regression
    family: str
    ridge: np.ndarray | None  # [p], penalty on each squared coefficient; None where nothing is penalised
    why: str = ""

    @property
    def penalised(self) -> bool:
        return self.ridge is not None


def design_of(view: ArmView, given: pd.DataFrame | None, has_features: bool) -> Design:
    """The design that belongs to an arm.

    Parameters
    ----------
    given : DataFrame, optional
        One line per row of the data, columns named; see `toolkit.diagnostics.battery.run_checks`.
    """
    if given is not None:
        return _from_frame(view, given)
    if view.kind == "neural":
        return _none(view, "a net has no coefficients that a column or a row could spoil")
    if view.arm in PLAIN and has_features:
        f = view.features
        names = (*f.number_names, *f.indicator_names)
        terms = (*f.number_names, *(name.rsplit("=", 1)[0] for name in f.indicator_names))
        family = "binomial" if view.family == "binomial" else "gaussian"
        return Design(f.linear, names, terms, view.raw_observed, family, None)
    return _none(view, "the arm shows no design matrix")


def _none(view: ArmView, why: str) -> Design:
    return Design(None, (), (), view.observed, view.family, None, why)


def _from_frame(view: ArmView, given: pd.DataFrame) -> Design:
    columns = given.to_numpy(dtype=float)[view.rows]
    names = tuple(str(name) for name in given.columns)
    terms = given.attrs.get("terms") or {}
    moving = np.ptp(columns, axis=0) > 0 if len(columns) else np.ones(len(names), dtype=bool)  # drops the constant
    y = view.raw_observed
    scale = given.attrs.get("scale", view.scale)
    if scale != "identity":
        y = np.log1p(np.maximum(y, 0)) if scale == "log1p" else np.log(np.maximum(y, 1e-300))
    if not np.isfinite(columns).all():
        return _none(view, "its design matrix holds values that are not finite")
    kept = [i for i in range(len(names)) if moving[i]]
    return Design(
        columns[:, kept],
        tuple(names[i] for i in kept),
        tuple(str(terms.get(names[i], names[i])) for i in kept),
        y,
        _known_family(str(given.attrs.get("family", view.family))),
        _ridge(given, [names[i] for i in kept]),
    )


def _ridge(given: pd.DataFrame, names: list[str]) -> np.ndarray | None:
    """Penalties of the named columns, None without any."""
    told = given.attrs.get("ridge") or {}
    ridge = np.array([float(told.get(name, 0.0)) for name in names])
    return ridge if (ridge > 0).any() else None


def _known_family(word: str) -> str:
    """The family whose mean and variance functions are known here; of counts of any kind Poisson's."""
    if word in GLM_FAMILIES:
        return word
    return "poisson" if any(part in word for part in ("negative", "nb", "hurdle", "zero", "poisson")) else "gaussian"


def design_checks(view: ArmView, design: Design) -> tuple[Check, ...]:
    """Collinearity and influence; the fit is redone on the judging rows, as these checks are about the fit itself."""
    names = ("collinearity", "condition_index", "leverage", "cooks_distance", "dffits")
    if design.columns is None:
        return tuple(CATALOGUE[name].not_applicable(view.arm, design.why) for name in names)
    if design.columns.shape[1] == 0:
        return tuple(CATALOGUE[name].not_applicable(view.arm, "no columns but the constant") for name in names)
    if design.penalised:
        columns = tuple(
            CATALOGUE[name].not_applicable(view.arm, "a penalty keeps the coefficients apart") for name in names[:2]
        )
    else:
        columns = (
            check_collinearity(view.arm, design.columns, design.terms),
            check_condition_index(view.arm, design.columns, design.names),
        )
    with np.errstate(all="ignore"):
        full = np.column_stack([np.ones(view.n), design.columns])
        ridge = None if design.ridge is None else np.append(0.0, design.ridge)
        return (*columns, *influence_checks(view, full, design.response, design.family, ridge))


def optimism_of(view: ArmView, design: Design) -> Check:
    """Bootstrap optimism of an unpenalised regression."""
    if design.columns is None or design.penalised:
        why = design.why or "coefficients are penalised: see the train-test gap"
        return check_optimism(view, None, view.observed, view.family, why)
    one = np.ones((view.n, 1))
    return check_optimism(view, np.column_stack([one, design.columns]), design.response, design.family)
