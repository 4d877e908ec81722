"""Inference for a specified regression: robust covariance, tables of coefficients, partial effects, split samples."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.linalg import cho_solve

from toolkit.errors import unknown
from toolkit.models.least_squares import least_squares, newey_west, sandwich
from toolkit.specification.columns import Columns, Variable
from toolkit.specification.part import Part, both
from toolkit.specification.tails import curvature

__all__ = ["coefficient_table", "effect_table", "robust_covariance", "split_table"]

ROWS = 6_000  # a robust covariance is estimated from this many evenly spread rows and scaled up
GRID = 60  # points of a curve; a surface has GRID / 3 on each side


def robust_covariance(
    part: Part,
    data: dict[str, np.ndarray],
    y: np.ndarray,
    weight: np.ndarray | None,
    groups: np.ndarray | None,
    kind: str = "HC3",
) -> np.ndarray:
    """Sandwich covariance of the active coefficients, [a, a]: HC3, cluster (needs groups) or HAC (rows in time order).

    The bread is the inverse of the penalised cross-products; scores carry the factor 1 / (1 - leverage). Weights of
    heavy tails count as the estimates that they are, see `scores_of_tails`.
    """
    n = len(y)
    rows = np.unique(np.linspace(0, n - 1, min(n, ROWS)).astype(int)) if kind == "HC3" else np.arange(n)
    (X, w), score = weighted_scores(part, data, y, both(part.tails, weight), rows)
    fit = part.fit
    if kind == "HC3":
        leverage = np.sum(cho_solve((fit.factor, True), X.T).T * X, axis=1) * w
        score = score / (1 - np.clip(leverage, 0, 0.999))
    scores = X * score[:, None]
    if part.tails is not None:
        scores = scores + scores_of_tails(part, X, w, score, part.tails[rows])
    if kind == "HAC":
        meat = newey_west(scores, None)
    elif kind == "HC3":
        meat = scores.T @ scores * (n / len(rows))
    else:
        _, code = np.unique(groups.astype(str), return_inverse=True)
        sums = np.zeros((code.max() + 1, X.shape[1]))
        np.add.at(sums, code, scores)
        meat = sums.T @ sums * (len(sums) / max(len(sums) - 1, 1))
    half = cho_solve((fit.factor, True), meat)
    return cho_solve((fit.factor, True), half.T)


def scores_of_tails(part: Part, X: np.ndarray, w: np.ndarray, score: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """What each row adds to the scores through the weights of the tails, [n, a].

    The weights w are taken at the residuals of a least-squares fit b. Around the true coefficients the weighted score
    changes with b by X' (w - psi') X, psi' the slope of the score, and b itself is an average over the rows (the
    two-step estimator of Newey and McFadden, Handbook of Econometrics 4, 1994, section 6).
    """
    own = w / tails  # the user's weights
    plain_score = score / tails  # of the least-squares fit
    plain_score = plain_score - own * plain_score.sum() / own.sum()
    weighted, sloped, plain = ((X * one[:, None]).T @ X for one in (w, own * curvature(tails), own))
    penalty = part.fit.factor @ part.fit.factor.T - weighted
    first = np.linalg.solve(plain + penalty, weighted - sloped)
    return (X * plain_score[:, None]) @ first


def weighted_scores(part: Part, data: dict, y: np.ndarray, weight: Any, rows: np.ndarray) -> tuple[tuple, np.ndarray]:
    """((active columns [m, a], working weight [m]), weighted working residual [m])."""
    some = {name: values[rows] for name, values in data.items()}
    X = part.design.columns(some)[:, part.fit.active] if some else np.ones((len(rows), 1))
    eta = X @ part.fit.beta[part.fit.active]
    family = part.family
    z, w = (
        (family.forward(y[rows]), np.ones(len(rows))) if family.is_normal else family.working(y[rows], eta, part.shape)
    )
    w = w if weight is None else w * weight[rows]
    return (X, w), w * (z - eta)


def coefficient_table(columns: Columns, part: Part, covariance: np.ndarray, confidence: float = 0.95) -> pd.DataFrame:
    """Constant, straight lines, in the units of the columns (after their transform), and steps.

    Columns: term, estimate, se, statistic, p_value, lower, upper. Levels, bends and interactions are in the table of
    terms.
    """
    fit, rows = part.fit, []
    place = {column: position for position, column in enumerate(fit.active)}
    quantile = stats.norm.ppf(0.5 + confidence / 2)
    shift = np.zeros(len(fit.active))  # the constant at raw zero rather than at the mean of the columns
    shift[0] = 1.0
    for position, term in enumerate(part.design.terms):
        if term.kind not in ("linear", "step"):
            continue
        variable, column = columns[term.variables[0]], int(np.flatnonzero(part.design.owner == position)[0])
        if column not in place:  # a crowded line that the penalty has shrunk to nothing
            continue
        at = place[column]
        if term.kind == "step":
            rows.append((term.name, fit.beta[column], root(covariance[at, at])))
            continue
        shift[at] = -variable.center / variable.scale
        estimate, se = fit.beta[column] / variable.scale, root(covariance[at, at]) / variable.scale
        rows.append((variable.expression, estimate, se))
    beta = fit.beta[fit.active]
    rows.insert(0, ("Intercept", float(shift @ beta), root(shift @ covariance @ shift)))
    table = pd.DataFrame(rows, columns=["term", "estimate", "se"])
    table["statistic"] = table["estimate"] / table["se"]
    table["p_value"] = 2 * stats.norm.sf(table["statistic"].abs())
    table["lower"] = table["estimate"] - quantile * table["se"]
    table["upper"] = table["estimate"] + quantile * table["se"]
    return table


def root(variance: float) -> float:
    """Standard error; NaN where collinear columns leave no variance that can be computed."""
    return float(np.sqrt(variance)) if variance > 0 else float("nan")


def effect_table(
    columns: Columns, part: Part, name: str, grid: dict[str, Any] | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Partial effect of a term on the linear predictor, centred over the grid, with a pointwise band.

    The band is the Bayesian one of penalised regression (Nychka 1988; Wood 2017, section 6.10).

    Returns
    -------
    DataFrame
        One column per variable (raw units), then effect, se, lower, upper.
    """
    names = list(dict.fromkeys(term.name for term in part.design.terms))
    if name not in names:
        raise unknown("term", name, names)
    at = [i for i, term in enumerate(part.design.terms) if term.name == name]
    variables = [columns[v] for v in part.design.terms[at[0]].variables]
    points = len(variables) > 1
    axes = [axis(v, (grid or {}).get(v.name), GRID // 3 if points else GRID) for v in variables]
    raw = list(product(*(a[0] for a in axes)))
    coded = np.array(list(product(*(a[1] for a in axes))), dtype=float)
    data = {v.name: coded[:, k].astype(int) if v.kind == "factor" else coded[:, k] for k, v in enumerate(variables)}
    X = np.hstack([part.design.terms[i].columns(data) for i in at])
    X = X - X.mean(axis=0)
    positions = np.concatenate([np.flatnonzero(part.design.owner == i) for i in at])
    place = np.full(part.design.width, -1)
    place[part.fit.active] = np.arange(len(part.fit.active))
    alive = place[positions] >= 0
    X, kept = X[:, alive], place[positions][alive]
    variance = np.einsum("ij,ij->i", X @ part.fit.covariance[np.ix_(kept, kept)], X)
    frame = pd.DataFrame(raw, columns=[v.name for v in variables])
    frame["effect"] = X @ part.fit.beta[part.fit.active][kept]
    frame["se"] = np.sqrt(np.maximum(variance, 0))
    half = stats.norm.ppf(0.5 + confidence / 2) * frame["se"]
    return frame.assign(lower=frame["effect"] - half, upper=frame["effect"] + half)


def axis(variable: Variable, given: Any, count: int) -> tuple[list, np.ndarray]:
    """(raw values, encoded values) along one variable."""
    if variable.kind == "factor":
        levels = list(variable.levels if given is None else given)
        return levels, pd.Index(variable.levels).get_indexer(levels).astype(float)
    if given is not None:
        frame = pd.DataFrame({variable.source: np.asarray(given)})
        return list(given), variable.values(frame)
    if variable.kind == "cyclic":
        values = np.linspace(variable.low, variable.high, count)
        return list(values), values
    values = np.linspace(*variable.inner, count)
    return list(variable.to_raw(values)), values


def split_table(
    columns: Columns,
    part: Part,
    data: dict[str, np.ndarray],
    y: np.ndarray,
    weight: np.ndarray | None,
    groups: np.ndarray | None,
) -> pd.DataFrame:
    """Terms chosen elsewhere, refitted on these rows without a penalty: Wald tests whose p-values can be believed.

    Every term enters with as many of its columns as it had effective degrees of freedom, smoothest first.

    Returns
    -------
    DataFrame
        term, kind, df, statistic (Wald, chi-squared with df), p_value; `estimate` and `se` for terms of one column.
    """
    design, fit = part.design, part.fit
    X_all = design.columns(data)
    chosen = [np.array([0])]
    labels: list[tuple[str, str]] = [("Intercept", "constant")]
    for position, term in enumerate(design.terms):
        mine = np.flatnonzero(design.owner == position)
        count = round(float(fit.edf[mine].sum())) if term.kind != "linear" else 1
        if count:
            chosen.append(mine[:count])
            labels.append((term.name, term.kind))
    X = X_all[:, np.concatenate(chosen)]
    ends = np.cumsum([len(c) for c in chosen])
    family = part.family
    if family.is_normal:
        z, w = family.forward(y), weight
        solved = least_squares(X, z, w)
    else:
        solved, w = irls(X, y, part, weight)
    covariance = sandwich(solved, X, "HC3" if groups is None else "cluster", groups)
    rows = []
    for (name, kind), end, mine in zip(labels, ends, chosen, strict=True):
        at = np.arange(end - len(mine), end)
        at = at[solved.used[at]]
        if not len(at):
            continue
        beta, block = solved.beta[at], covariance[np.ix_(at, at)]
        statistic = float(beta @ np.linalg.pinv(block, rcond=1e-10) @ beta)
        scale = columns[name].scale if kind == "linear" else 1.0
        one = (beta[0] / scale, np.sqrt(block[0, 0]) / scale) if len(at) == 1 else (np.nan, np.nan)
        rows.append((name, kind, len(at), statistic, float(stats.chi2.sf(statistic, len(at))), *one))
    return pd.DataFrame(rows, columns=["term", "kind", "df", "statistic", "p_value", "estimate", "se"])


def irls(X: np.ndarray, y: np.ndarray, part: Part, weight: np.ndarray | None):
    """Unpenalised fit of a generalised linear model by weighted least squares; (fit, final weights)."""
    family, eta = part.family, part.family.start(y)
    for _ in range(25):
        z, w = family.working(y, eta, part.shape)
        w = w if weight is None else w * weight
        solved = least_squares(X, z, w)
        step = X @ solved.beta - eta
        eta = eta + np.clip(step, -4, 4)
        if np.max(np.abs(step)) < 1e-8 * (1 + np.max(np.abs(eta))):
            break
    return solved, w
