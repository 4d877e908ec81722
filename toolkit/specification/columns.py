"""Raw columns -> variables: what a regression can take in, learned from the training rows alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from toolkit.errors import unknown
from toolkit.specification.values import (
    MISSING,
    RARE,
    Finding,
    as_frame,
    as_text,
    date_part,
    finding,
    looks_like_dates,
    quoted,
    skew,
    to_numbers,
)

__all__ = ["MISSING", "RARE", "Columns", "Finding", "Variable", "as_frame", "finding", "learn_columns", "quoted"]

ROWS_LOOKED_AT = 20_000  # quantiles and transforms are learned from at most this many evenly spread rows
MOST_LEVELS = 200  # rarer levels of a factor share one
SKEWED = 1.5  # skewness above which logs are tried
WIDE = 5.0  # a log needs the largest value to be at least this many medians
SLIVER = 5e-4  # share of rows in each tail beyond which bends and interactions end
FENCE = 0.5  # values may lie this share of the inner range beyond it before they are pulled in
TRANSFORMS = {
    "identity": ("{}", lambda x: x),
    "log": ("np.log({})", np.log),
    "log1p": ("np.log1p({})", np.log1p),
    "arcsinh": ("np.arcsinh({})", np.arcsinh),
}


@dataclass(frozen=True)
class Variable:
    """One thing a term can be made of: a standardised number or the codes of a factor.

    Attributes
    ----------
    name, source : str
        What it is called in terms; the raw column it comes from.
    kind : {"number", "cyclic", "factor"}
    part : str
        "" for the column itself; "missing" for its indicator; "year", "month", "weekday", "hour" of a date.
    transform : str
        Key of `TRANSFORMS`, applied before centring and scaling.
    low, high : float
        Fences of the transformed, standardised values: no value leaves them, in training or later.
    inner : (float, float)
        Range with all but a sliver of the training rows; bends and interactions end there.
    fill : float
        Raw value that stands in for a missing one (the training median).
    period : float
        Of a cyclic variable, raw units.
    levels : tuple
        Of a factor, as text; code i is levels[i], code -1 a level that was not seen.
    """

    name: str
    source: str
    kind: str
    part: str = ""
    transform: str = "identity"
    center: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0
    inner: tuple[float, float] = (0.0, 0.0)
    fill: float = 0.0
    floor: float = -np.inf
    distinct: int = 0
    period: float = 0.0
    levels: tuple[str, ...] = field(default=(), repr=False)

    @property
    def expression(self) -> str:
        """How a formula writes it."""
        return TRANSFORMS[self.transform][0].format(quoted(self.name))

    def values(self, frame: pd.DataFrame) -> np.ndarray:
        """Standardised numbers, or integer codes, [n]."""
        column = frame[self.source]
        if self.part == "missing":
            return (~np.isfinite(to_numbers(column))).astype(float)
        if self.kind == "factor":
            return pd.Index(self.levels).get_indexer(as_text(column, self.levels)).astype(np.int64)
        raw = date_part(column, self.part) if self.part else to_numbers(column)
        raw = np.where(np.isfinite(raw), raw, self.fill)
        if self.kind == "cyclic":
            return raw
        return np.clip(self.standardised(raw), self.low, self.high)

    def standardised(self, raw: np.ndarray) -> np.ndarray:
        """Raw values [n] on the transformed, centred and scaled axis of the variable."""
        return (TRANSFORMS[self.transform][1](np.maximum(raw, self.floor)) - self.center) / self.scale

    def to_raw(self, standardised: np.ndarray) -> np.ndarray:
        """Standardised values [n] back in the units of the column."""
        if self.kind == "cyclic":
            return standardised
        inverse = {"identity": lambda v: v, "log": np.exp, "log1p": np.expm1, "arcsinh": np.sinh}[self.transform]
        return inverse(standardised * self.scale + self.center)


@dataclass(frozen=True)
class Columns:
    """Everything learned about the columns; `encode` turns a frame into variables."""

    names: tuple[str, ...]
    variables: tuple[Variable, ...]
    findings: tuple[Finding, ...] = field(default=(), repr=False)

    def __getitem__(self, name: str) -> Variable:
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise unknown("variable", name, [v.name for v in self.variables])

    def encode(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Variable -> values [n], float64 for numbers and integer codes for factors."""
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise unknown("column: the regression was fitted on it, the new rows lack", missing[0], frame.columns)
        return {variable.name: variable.values(frame) for variable in self.variables}


def learn_columns(frame: pd.DataFrame, kinds: dict[str, str] | None = None) -> Columns:
    """Decide from the training rows how each column enters.

    Parameters
    ----------
    frame : DataFrame, [n, p]
    kinds : dict, optional
        Column -> number, category, ordinal, cyclic, date or text; columns left out are inferred.

    Raises
    ------
    InputError
        For a kind given to a column that is not there.
    """
    kinds = dict(kinds or {})
    for name in kinds:
        if name not in frame.columns:
            raise unknown("column in `kinds`", name, frame.columns)
    rows = np.unique(np.linspace(0, len(frame) - 1, min(len(frame), ROWS_LOOKED_AT)).astype(int))
    findings: list[Finding] = []
    variables: list[Variable] = []
    for name in frame.columns:
        column = frame[name]
        kind = kinds.get(name) or infer_kind(column.iloc[rows], name, findings)
        variables += variables_of(name, column, column.iloc[rows], kind, findings)
    return Columns(tuple(frame.columns), tuple(variables), tuple(findings))


def infer_kind(column: pd.Series, name: str, findings: list[Finding]) -> str:
    """Kind of a column that nobody described."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date"
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return "number"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "category"
    if column.map(lambda value: isinstance(value, (int, float, np.number))).all():
        return "number"
    if looks_like_dates(column):
        message = f"column '{name}' holds dates as text; it enters as year, month and weekday"
        findings.append(finding("dates as text", name, message, f"set kinds: {{{name}: date}} to confirm"))
        return "date"
    return "category"


def variables_of(name: str, column: pd.Series, sample: pd.Series, kind: str, findings: list[Finding]) -> list[Variable]:
    """The variables of one column, empty when it carries nothing."""
    if kind == "date":
        return date_variables(name, sample, findings)
    if kind in ("category", "text"):
        return factor_variables(name, column, findings)
    numbers = to_numbers(column)
    if np.isinf(numbers).any():
        message = f"column '{name}' has {int(np.isinf(numbers).sum())} infinite values; they count as missing"
        findings.append(finding("infinite values", name, message, "find out what they stand for"))
    finite = np.isfinite(numbers)
    if not finite.any():
        if to_numbers(sample).size and sample.notna().any() and not pd.api.types.is_numeric_dtype(sample):
            return factor_variables(name, column, findings)
        findings.append(finding("empty column", name, f"column '{name}' has no value in the training rows", "drop it"))
        return []
    made = []
    if not finite.all():
        made.append(Variable(f"{name}_missing", name, "number", part="missing", high=1.0, inner=(0.0, 1.0), distinct=2))
    spread = to_numbers(sample)
    spread = spread[np.isfinite(spread)]
    number = learn_number(name, spread if len(np.unique(spread)) > 1 else numbers[finite], kind)
    low, high = float(numbers[finite].min()), float(numbers[finite].max())
    if low == high:
        findings.append(finding("constant column", name, f"column '{name}' is constant: left out", "drop it"))
        return made
    if kind == "cyclic":
        return [replace(number, low=low, high=high), *made]
    extreme_values(number, numbers[finite], findings)
    return [number, *made]


def learn_number(name: str, values: np.ndarray, kind: str) -> Variable:
    """Transform, centre and scale of a numeric column, from its finite values."""
    fill, distinct = float(np.median(values)), len(np.unique(values))
    if kind == "cyclic":
        step = np.min(np.diff(np.unique(values))) if distinct > 1 else 1.0
        period = float(values.max() - values.min() + step)
        return Variable(name, name, "cyclic", fill=fill, distinct=distinct, period=period)
    transform = choose_transform(values, distinct)
    floor = {"log": 0.5 * float(values.min()), "log1p": 0.0}.get(transform, -np.inf)
    transformed = TRANSFORMS[transform][1](values)
    center, scale = float(transformed.mean()), float(transformed.std()) or 1.0
    inner = (np.quantile(transformed, (SLIVER, 1 - SLIVER)) - center) / scale
    if distinct <= 20 or inner[0] == inner[1]:
        inner = (np.array([transformed.min(), transformed.max()]) - center) / scale
    reach = FENCE * (inner[1] - inner[0])
    return Variable(
        name, name, "number", "", transform, center, scale, float(inner[0] - reach), float(inner[1] + reach),
        (float(inner[0]), float(inner[1])), fill, floor, distinct,
    )  # fmt: skip


def extreme_values(variable: Variable, numbers: np.ndarray, findings: list[Finding]) -> None:
    """Say how many training values lie beyond the fences."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = TRANSFORMS[variable.transform][1](np.maximum(numbers, variable.floor))
    values = (values - variable.center) / variable.scale
    count = int(((values < variable.low) | (values > variable.high)).sum())
    if count:
        message = f"column '{variable.name}': {count} values lie far outside the others and count as the nearest fence"
        findings.append(finding("extreme values", variable.name, message, "check them for errors of recording"))


def choose_transform(values: np.ndarray, distinct: int) -> str:
    """A log for a long right tail, an inverse hyperbolic sine for two long tails, else the values themselves."""
    if distinct < 10:
        return "identity"
    skewness, low, high, middle = skew(values), values.min(), values.max(), np.median(values)
    if skewness > SKEWED and low > 0 and high > WIDE * middle:
        return min(("identity", "log"), key=lambda name: abs(skew(TRANSFORMS[name][1](values))))
    if skewness > SKEWED and low >= 0 and high > WIDE * max(middle, 1e-12):
        return min(("identity", "log1p"), key=lambda name: abs(skew(TRANSFORMS[name][1](values))))
    quartiles = np.percentile(values, (0.5, 25, 75, 99.5))
    inner = max(quartiles[2] - quartiles[1], 1e-12)
    if low < 0 < high and min(quartiles[1] - quartiles[0], quartiles[3] - quartiles[2]) > 10 * inner:
        return "arcsinh"
    return "identity"


def factor_variables(name: str, column: pd.Series, findings: list[Finding]) -> list[Variable]:
    """Levels in the order of their frequency; the rarest of very many share one."""
    counts = as_text(column).value_counts()
    if len(counts) < 2:
        findings.append(finding("constant column", name, f"column '{name}' has one level: left out", "drop it"))
        return []
    if len(counts) > MOST_LEVELS:
        kept = counts.index[: MOST_LEVELS - 1]
        message = f"column '{name}' has {len(counts)} levels; the {len(counts) - len(kept)} rarest share one"
        findings.append(finding("many levels", name, message, "give it as a group, or drop it if it is an identifier"))
        levels = (*kept, RARE)
    else:
        levels = tuple(counts.index)
    if counts.iloc[0] == 1:
        message = f"column '{name}' has one row per level and is left out: nothing can be learned from it"
        findings.append(finding("one row per level", name, message, "drop it, or keep the part that repeats"))
        return []
    return [Variable(name, name, "factor", distinct=len(levels), levels=tuple(levels))]


def date_variables(name: str, sample: pd.Series, findings: list[Finding]) -> list[Variable]:
    """Year with its fraction as a trend; month, weekday and hour as cycles, where they vary."""
    made = []
    for part, period in (("year", 0.0), ("month", 12.0), ("weekday", 7.0), ("hour", 24.0)):
        values = date_part(sample, part)
        values = values[np.isfinite(values)]
        distinct = len(np.unique(values))
        if distinct < 2:
            continue
        kind = "cyclic" if period else "number"
        base = learn_number(f"{name}_{part}", values, kind)
        made.append(replace(base, source=name, part=part, period=period))
    if not made:
        findings.append(finding("constant column", name, f"column '{name}' holds one date: left out", "drop it"))
    return made
