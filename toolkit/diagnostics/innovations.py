"""Is anything predictable left? Tests of the one-step innovations of a forecaster.

Errors of several steps ahead overlap and are correlated however good the model is, so that these questions are asked
of errors one step ahead with the coefficients held fixed: in-sample, with the degrees of freedom of the dynamics, for
models with few of them; on rows after the first origin, which no coefficient has seen, for regressions on many lags and
for nets. FPP3 is Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd edition (2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from toolkit.diagnostics.assumptions_distribution import jarque_bera
from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.catalogue_innovations import INNOVATIONS
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.innovation_tests import arch_lm, kpss_level, largest_root, portmanteau, seasonal_f
from toolkit.diagnostics.origin_stability import check_origin_stability
from toolkit.diagnostics.stability import ols_cusum
from toolkit.models.forecasting_channels import BoxCox

__all__ = ["NAMES", "Line", "innovation_checks", "lines_of"]

NAMES = tuple(row[0] for row in INNOVATIONS)
FEWEST = 30  # innovations of a series; below this chi-squared limits are poor
IN_SAMPLE, LATER = "in-sample", "after the first origin"
AROUND = "around the first origin, most of them seen in training: a doubt counts for more than a pass"
MOST_LAGS = 10  # without a season (FPP3, 5.4); two seasons with one, a fifth of the rows at most


@dataclass(frozen=True)
class Line:
    """Innovations of one series and target in the order of time; rows that were not observed are left out."""

    series: Any
    error: np.ndarray  # [n] observed - predicted, on the scale of the model (logarithms, a power, target units)
    step: np.ndarray  # [n] number of the row in its series
    model_df: int  # dynamic coefficients that were estimated on these rows


class Found(NamedTuple):
    effect: float
    statistic: float
    p_value: float
    said: str
    details: dict[str, Any]


def innovation_checks(
    arm: str, info: Mapping[str, Any], innovations: pd.DataFrame | None, target: str, periods: Sequence[int] | None
) -> list[Check]:
    """All innovation checks of one arm and one target.

    Parameters
    ----------
    info : mapping
        The arm's entry in `arms_info`; `facts` may say under "innovations" why there are none.
    innovations : DataFrame or None
        One-step errors of all arms, columns of `evaluation.innovations.COLUMNS`.
    periods : sequence of int, or None
        Seasons in steps; None for a table, whose rows are not forecasts.
    """
    if periods is None:
        return [CATALOGUE[name].not_applicable(arm, "the rows are not forecasts from an origin") for name in NAMES]
    table = pd.DataFrame() if innovations is None else innovations
    if len(table):
        table = table[(table["arm"] == arm) & (table["target"] == target)]
    if table.empty:
        said = [fact["innovations"] for fact in info.get("facts") or () if fact.get("innovations")]
        why = str(said[0]) if said else "this arm hands over no one-step innovations"
        return [CATALOGUE[name].not_applicable(arm, why) for name in NAMES]
    lines, where = lines_of(table)
    asks: dict[str, Callable[[Line], Found | str]] = {
        "innovation_ljung_box": lambda line: _ljung_box(line, periods),
        "innovation_arch": _arch,
        "innovation_normality": _normality,
        "innovation_cusum": _cusum,
        "innovation_season": lambda line: _season(line, periods),
        "innovation_unit_root": _unit_root,
    }
    with np.errstate(all="ignore"):
        answers = [_ask(name, arm, lines, ask, where) for name, ask in asks.items()]
    return [*answers, check_origin_stability(arm, info, table)]


def lines_of(table: pd.DataFrame) -> tuple[list[Line], str]:
    """Innovations, and which rows they are of.

    In-sample ones of the newest fit where the arm gives them; else those of the first fit on rows that it has not seen,
    or, where these are too few, on all rows that are there.
    """
    inside = table["in_sample"].to_numpy(dtype=bool)
    if inside.any():
        some, where = table[inside & (table["fold"] == table.loc[inside, "fold"].max()).to_numpy()], IN_SAMPLE
    else:
        first = table[table["fold"] == table["fold"].min()]
        later = first[first["unseen"].astype(bool)]
        enough = len(later) and later.groupby("series").size().median() >= FEWEST
        some, where = (later, LATER) if enough else (first, AROUND)
    found = []
    for name, part in some.groupby("series", sort=False):
        part = part.sort_values("step")
        error = _on_scale(part)
        seen = np.isfinite(error)
        step = part["step"].to_numpy(dtype=np.int64)
        found.append(Line(name, error[seen], step[seen], int(part["model_df"].iloc[0])))
    return found, where


def _on_scale(part: pd.DataFrame) -> np.ndarray:
    """Innovations on the scale that the model works on; in target units where values have no logarithm."""
    observed, predicted = part["observed"].to_numpy(dtype=float), part["predicted"].to_numpy(dtype=float)
    scale = BoxCox(float(part["power"].iloc[0]))
    if scale.power != 1 and min(np.nanmin(observed), np.nanmin(predicted)) <= 0:
        return observed - predicted
    return scale(observed) - scale(predicted)


def _ask(name: str, arm: str, lines: list[Line], ask: Callable[[Line], Found | str], where: str) -> Check:
    """One series: its answer. Several: the median effect, and Fisher's combination of the p-values."""
    entry, answers, causes = CATALOGUE[name], [], []
    for line in lines:
        outcome = _obstacle(line) or ask(line)
        (causes if isinstance(outcome, str) else answers).append((line, outcome))
    if not answers:
        return entry.not_applicable(arm, causes[0][1] if causes else "no innovations")
    rows = f"{len(answers[0][0].error):,} innovations {where}"
    if len(lines) == 1:
        line, found = answers[0]
        details = {**found.details, "n": len(line.error), "rows": where}
        return entry.answer(arm, f"{found.said} ({rows})", effect=found.effect, statistic=found.statistic,
                            p_value=found.p_value, details=details)  # fmt: skip
    p_values = np.clip([found.p_value for _, found in answers], 1e-300, 1.0)
    statistic = float(-2 * np.log(p_values).sum())
    p_value = float(stats.chi2.sf(statistic, 2 * len(answers)))
    effects = np.array([found.effect for _, found in answers])
    worst, found = answers[int(np.argmax(effects))]
    rejected = int(np.sum(p_values < 0.05))
    said = (
        f"{rejected} of {len(answers)} series reject at 5 %, about {0.05 * len(answers):.0f} would by chance; the "
        f"largest is '{worst.series}': {found.said}"
    )
    details = {"series": len(answers), "rejected": rejected, "rows": where, "worst": str(worst.series)}
    return entry.answer(arm, said, effect=float(np.median(effects)), statistic=statistic, p_value=p_value,
                        details=details)  # fmt: skip


def _obstacle(line: Line) -> str:
    if len(line.error) < FEWEST:
        return f"needs {FEWEST} one-step innovations in a row, there are {len(line.error)}"
    size = float(np.abs(line.error).max())
    return "" if np.std(line.error) > 1e-12 * max(size, 1e-300) else "the innovations do not vary"


def _ljung_box(line: Line, periods: Sequence[int]) -> Found | str:
    n = len(line.error)
    wanted = 2 * periods[0] if periods else MOST_LAGS
    lags = max(int(min(wanted, n // 5)), line.model_df + 3)
    if lags > n // 3:
        return f"{line.model_df} estimated coefficients of the dynamics leave no degrees of freedom in {n} innovations"
    found = portmanteau(line.error, lags, line.model_df)
    worst = int(np.argmax(np.abs(found.autocorrelation)))
    largest = float(found.autocorrelation[worst])
    said = f"the largest of {lags} autocorrelations is {largest:+.2f} at lag {worst + 1}"
    details = {"lags": lags, "model_df": line.model_df, "lag": worst + 1,
               "autocorrelation": found.autocorrelation.tolist(), "band": 1.96 / np.sqrt(n)}  # fmt: skip
    return Found(abs(largest), found.statistic, found.p_value, said, details)


def _arch(line: Line) -> Found | str:
    lags = int(min(MOST_LAGS, len(line.error) // 10))
    statistic, p_value, share = arch_lm(line.error, lags, line.model_df)
    said = f"the last {lags} innovations explain {share:.1%} of the variance of the squared one"
    return Found(share, statistic, p_value, said, {"lags": lags})


def _normality(line: Line) -> Found | str:
    statistic, p_value, skewness, excess = jarque_bera(line.error)
    said = f"skewness {skewness:+.2f}, excess kurtosis {excess:+.2f}"
    details = {"skewness": skewness, "excess_kurtosis": excess}
    return Found(max(abs(skewness) / 2, abs(excess) / 7), statistic, p_value, said, details)


def _cusum(line: Line) -> Found | str:
    found = ols_cusum(line.error - line.error.mean())
    said = f"the mean innovation moves by {found.shift:+.2f} standard deviations after step {line.step[found.at]}"
    details = {"step": int(line.step[found.at]), "shift": found.shift}
    return Found(abs(found.shift), found.statistic, found.p_value, said, details)


def _season(line: Line, periods: Sequence[int]) -> Found | str:
    if not periods:
        return "the data have no season"
    long_enough = [p for p in periods if len(line.error) >= max(3 * p, 20)]
    if not long_enough:
        return f"{len(line.error)} innovations hold fewer than three seasons of {periods[0]} steps"
    found = [(p, test) for p in long_enough if (test := seasonal_f(line.error, line.step, p)) is not None]
    if not found:
        return "too few innovations for the terms of a season"
    period, worst = min(found, key=lambda pair: pair[1].p_value)
    p_value = min(1.0, worst.p_value * len(found))  # Bonferroni over the seasons
    said = f"a season of {period} steps explains {worst.share:.1%} of the innovations"
    return Found(worst.share, worst.statistic, p_value, said, {"period": period, "df": list(worst.df)})


def _unit_root(line: Line) -> Found | str:
    statistic, p_value = kpss_level(line.error)
    root, adf = largest_root(line.error)
    said = f"their autoregressive coefficients sum to {root:.2f} (ADF p = {adf:.3f}, KPSS p = {p_value:.3f})"
    return Found(max(root, 0.0), statistic, p_value, said, {"root": root, "adf_p_value": adf, "kpss_p_value": p_value})
