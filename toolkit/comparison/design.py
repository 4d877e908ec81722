"""Which rows are independent of which: the variance of a sum over rows under clusters, time order and panels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.fft import dct
from scipy.stats import t

from toolkit.comparison.rows import PairedRows
from toolkit.errors import InputError

__all__ = [
    "LEAST_UNITS",
    "TIME_SCHEMES",
    "Design",
    "cosine_covariance",
    "cosine_terms",
    "make_design",
    "sum_covariance",
    "training_rows",
    "unit_sums",
]

TIME_SCHEMES = ("time", "rolling_origin")
# Fewer clusters than this say too little about their variance; with fewer series the verdict is about these series.
# Cameron and Miller, Journal of Human Resources 50 (2015), section VI: "few" starts between 5 and 50.
MIN_SERIES = 10
# Fewer independent units decide nothing: were all of them on one side, the two-sided sign test could not reject at 5 %
# (2 / 2^5 = .0625), so that a smaller p-value comes from the assumed normal distribution alone. Of a panel with fewer
# dates the series carry the test, and the verdict is about these dates.
LEAST_UNITS = 6
ONE_SPLIT = "one split: the verdict speaks of the models fitted on it, other training rows are not in the interval"
MIN_DAYS = 30  # hourly losses are pooled by day once there are this many days
COSINE_RULE = 0.4  # terms = 0.4 T^(2/3): Lazarus, Lewis, Stock and Watson, JBES 36 (2018), 541-559


@dataclass(frozen=True)
class Design:
    """Independent units of a comparison."""

    kind: str  # holdout, folds, time, panel
    unit: str  # what the units are, plural: rows, groups, origins, days, time steps, series
    units: np.ndarray = field(repr=False)  # [n], 0..U-1; in time order when `ordered`
    ordered: bool = False
    overlap: int = 1  # neighbouring units whose forecast windows overlap: losses are MA(overlap - 1)
    series: np.ndarray | None = field(default=None, repr=False)  # [n], second cluster of a panel
    notes: tuple[str, ...] = ()
    inflation: float = 1.0  # variance factor for training rows that are as random as the judging rows

    @property
    def n(self) -> int:
        return int(self.units.max()) + 1 if len(self.units) else 0


def make_design(paired: PairedRows, scheme: str, groups: np.ndarray | None = None) -> Design:
    """Find the independent units.

    Parameters
    ----------
    paired : PairedRows
    scheme : str
        kfold, group, holdout, table, official, time or rolling_origin.
    groups : ndarray, optional
        Group of each row of the data set, by position; else the column `group` of the predictions.
    """
    frame = paired.frame
    if scheme in TIME_SCHEMES or ("origin" in frame and frame["origin"].notna().any()):
        return _ordered(paired)
    kind = "holdout" if len(paired.fold_gain) == 1 else "folds"
    inflation = 1.0 if kind == "holdout" else training_inflation(paired)
    notes = (ONE_SPLIT,) if kind == "holdout" else ()
    clusters = _column(frame, "group") if groups is None else np.asarray(groups)[paired.row]
    if clusters is not None:
        return Design(kind, "groups", pd.factorize(clusters)[0], notes=notes, inflation=inflation)
    series = _column(frame, "series")
    if series is not None and len(pd.unique(series)) > 1:
        return Design(kind, "series", pd.factorize(series)[0], notes=notes, inflation=inflation)
    return Design(kind, "rows", pd.factorize(paired.row)[0], notes=notes, inflation=inflation)


def training_inflation(paired: PairedRows) -> float:
    """1 + rows / n_train: the correction of Nadeau and Bengio (2003), carried over to variances of rows.

    Their variance of the mean gain, (1/J + n_judge/n_train) s², adds to the variance of the judging rows the same
    variance again for n_train training rows; with row gains of variance v that is v / rows + v / n_train.
    """
    return 1 + paired.rows / float(np.mean(training_rows(paired)))


def training_rows(paired: PairedRows) -> np.ndarray:
    """Training rows of each fold, [J]; the rest of the repeat when the table does not say."""
    if paired.n_train is not None and np.isfinite(paired.n_train).all():
        return paired.n_train
    whole = np.bincount(paired.repeat_of_fold, paired.n_judge)[paired.repeat_of_fold]
    if not (whole > paired.n_judge).all():
        raise InputError("tests over folds need the number of training rows of each fold (column 'n_train')")
    return whole - paired.n_judge


def _column(frame: pd.DataFrame, name: str) -> np.ndarray | None:
    if name not in frame or frame[name].isna().all():
        return None
    return frame[name].to_numpy()


def _ordered(paired: PairedRows) -> Design:
    frame = paired.frame
    origin, moment, series = (_column(frame, name) for name in ("origin", "time", "series"))
    overlap = 1
    if origin is not None and len(pd.unique(origin)) > 1:
        unit, (units, values) = "origins", pd.factorize(origin, sort=True)
        overlap = _overlap(frame, values)
    elif moment is not None:
        unit, units = _days_or_steps(moment)
    else:
        unit, units = "time steps", pd.factorize(paired.row, sort=True)[0]
    codes = pd.factorize(series)[0] if series is not None else np.zeros(len(units), dtype=int)
    n_series, n_units = len(np.unique(codes)), len(np.unique(units))
    notes = []
    if unit != "origins" and origin is not None and "horizon" in frame and frame["horizon"].max() > 1:
        overlap = n_units  # the errors along the path of one origin move together
        notes.append("one origin: its errors move together along the path; another origin may fare differently")
    if n_series >= MIN_SERIES and n_units >= LEAST_UNITS:
        return Design("panel", unit, units, True, overlap, codes)
    if n_series >= MIN_SERIES:
        notes.append(f"only {n_units} {unit}: the verdict speaks of these dates, not of others")
        return Design("panel", "series", codes, notes=tuple(notes))
    if n_series > 1:
        notes.append(f"only {n_series} series: the verdict speaks of these series, not of others")
    return Design("time", unit, units, True, overlap, notes=tuple(notes))


def _days_or_steps(moment: np.ndarray) -> tuple[str, np.ndarray]:
    stamps = pd.Series(moment)
    if pd.api.types.is_datetime64_any_dtype(stamps):
        days = stamps.dt.floor("D")
        n_days, n_steps = days.nunique(), stamps.nunique()
        if n_days >= MIN_DAYS and n_steps > n_days:
            return "days", pd.factorize(days, sort=True)[0]
    return "time steps", pd.factorize(moment, sort=True)[0]


def _overlap(frame: pd.DataFrame, origins: object) -> int:
    """How many neighbouring origins share target times: ceil(last forecast / spacing of origins)."""
    longest = int(frame["horizon"].max()) if "horizon" in frame else 1
    times = _column(frame, "time")
    if longest <= 1 or times is None:
        return 1
    one = frame[frame["origin"] == origins[0]]  # type: ignore[index]
    steps = np.sort(pd.unique(one["time"].to_numpy()))
    if len(steps) < 2:
        return 1
    step = np.median(np.diff(steps))
    spacing = np.median(np.diff(np.sort(np.asarray(origins))))
    return max(1, int(np.ceil(longest * (step / spacing) - 1e-9)))


def unit_sums(contributions: np.ndarray, units: np.ndarray, count: int) -> np.ndarray:
    """Sum rows [n, k] over units -> [count, k]."""
    return np.column_stack([np.bincount(units, column, count) for column in contributions.T])


def cosine_terms(n: int, overlap: int = 1) -> int:
    """Number of cosines for n ordered units whose losses are MA(overlap - 1).

    0.4 n^(2/3) of Lazarus et al. (2018), and never beyond frequency pi / (2.5 overlap): the spectrum of overlapping
    windows falls towards its first zero at 2 pi / overlap, and terms from there would make the variance too small.
    """
    return int(max(1, min(np.floor(COSINE_RULE * n ** (2 / 3)), np.floor(n / (2.5 * overlap)), n - 1)))


def cosine_covariance(sums: np.ndarray, terms: int) -> np.ndarray:
    """Covariance of the sum of an ordered sequence, [k, k], by the equal-weighted cosine estimator.

    Parameters
    ----------
    sums : ndarray, [n, k]
        Contributions of each unit in time order.
    terms : int
        Number of cosines; under fixed-smoothing ("fixed-b") asymptotics it is the df of the t statistic.
    """
    n = len(sums)
    projected = dct(sums, type=2, axis=0)[1 : terms + 1] / np.sqrt(2 * n)  # [terms, k], onto sqrt(2 / n) cos(...)
    return n * (projected.T @ projected) / terms


def sum_covariance(contributions: np.ndarray, design: Design) -> tuple[np.ndarray, float, str]:
    """Covariance of the column sums of row contributions that sum to zero.

    Parameters
    ----------
    contributions : ndarray, [n] or [n, k]
    design : Design

    Returns
    -------
    covariance : ndarray, [k, k]
    df : float
        Degrees of freedom of the t distribution that goes with it.
    how : str
        clusters, serial, series or two-way.

    Notes
    -----
    Clusters: G / (G - 1) sum of outer products, times the inflation of the design. Ordered units: equal-weighted
    cosines, df = their number. Panels: the most conservative of series clusters, serial correlation over origins, and
    the two-way sum V_series + V_origin - V_both of Cameron, Gelbach and Miller, JBES 29 (2011), 238-249.
    """
    psi = contributions.reshape(len(contributions), -1)
    by_unit = unit_sums(psi, design.units, design.n)
    if not design.ordered:
        return design.inflation * _clustered(by_unit), max(design.n - 1, 1), "clusters"
    terms = cosine_terms(design.n, design.overlap)
    serial = (cosine_covariance(by_unit, terms), float(terms), "serial")
    if design.series is None:
        return serial
    count = int(design.series.max()) + 1
    by_series = _clustered(unit_sums(psi, design.series, count))
    both, pairs = np.unique(design.series.astype(np.int64) * design.n + design.units, return_inverse=True)
    two_way = by_series + _clustered(by_unit) - _clustered(unit_sums(psi, pairs, len(both)))
    fewest = float(min(count, design.n) - 1)
    candidates = [serial, (by_series, float(count - 1), "series"), (two_way, fewest, "two-way")]
    return max(candidates, key=lambda c: t.ppf(0.975, c[1]) ** 2 * np.trace(c[0]))


def _clustered(sums: np.ndarray) -> np.ndarray:
    count = len(sums)
    return (sums.T @ sums) * (count / (count - 1) if count > 1 else np.nan)
