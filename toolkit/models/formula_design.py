"""Reading a formula, and turning rows into its design matrix with what was learned on the training rows."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec
from formulaic.errors import FormulaicError

from toolkit.errors import InputError, nearest

__all__ = ["Design", "Written", "back_to_units", "read_formula", "used_columns"]

SCALES = {
    "": (lambda y: y, lambda z: z),
    "log": (np.log, np.exp),
    "log1p": (np.log1p, np.expm1),
    "sqrt": (np.sqrt, np.square),
    "arcsinh": (np.arcsinh, np.sinh),
}
LARGEST_EXPONENT = 700.0  # exp of more overflows
MISSING = "(missing)"
MODULES = {"np", "pd"}  # what a formula may call functions of


@dataclass(frozen=True)
class Written:
    """A formula, read: the transform of the target, its name where one is named, and the right side."""

    target: str | None
    scale: str
    right: str

    def check(self, features: list[str], targets: list[str]) -> None:
        """Raise an `InputError` for a column that is not there."""
        for name in used_columns(self.right):
            if name not in features:
                guess = nearest(name, features)
                hint = f", did you mean '{guess}'?" if guess else f". Known: {', '.join(features[:30])}"
                raise InputError(f"formula: no column '{name}'{hint}")
        if self.target is not None and self.target not in targets:
            raise InputError(f"formula: its left side is '{self.target}', but the target is {', '.join(targets)}")

    def transform(self, y: np.ndarray) -> np.ndarray:
        """The target [n] on the scale of the left side."""
        with np.errstate(divide="ignore", invalid="ignore"):
            response = SCALES[self.scale][0](y)
        bad = int((~np.isfinite(response)).sum())
        if bad:
            raise InputError(f"formula: {self.scale}({self.target}) is not defined on {bad} rows; try log1p")
        return response


def read_formula(formula: str) -> Written:
    """Take a formula apart.

    Raises
    ------
    InputError
        When it cannot be read, or its left side is neither a column nor a known transform of one.
    """
    left, sign, right = formula.partition("~")
    left, right = (left.strip(), right.strip()) if sign else ("", formula.strip())
    if not right:
        raise InputError("formula: nothing to fit; expected something like  y ~ a + C(b)")
    try:
        Formula(right)
    except (FormulaicError, SyntaxError, ValueError) as error:
        said = re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error)).splitlines()[0]
        raise InputError(f"formula: cannot read '{right}': {said}") from None
    if not left or "+" in left:
        return Written(None, "", right)
    try:
        node = ast.parse(left.strip("`") if left.startswith("`") else left, mode="eval").body
    except SyntaxError:
        return Written(left.strip("`"), "", right)
    if isinstance(node, ast.Name):
        return Written(node.id, "", right)
    if isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.args[0], ast.Name):
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in SCALES and function:
            return Written(node.args[0].id, function, right)
    known = ", ".join(f"np.{name}(y)" for name in SCALES if name)
    raise InputError(f"formula: the left side '{left}' cannot be transformed back; known are y, {known}")


def used_columns(right: str) -> list[str]:
    """Columns that the right side of a formula names, sorted.

    formulaic leaves out what stands inside stateful transforms such as `bs(x, df=4)`: those names are read from the
    expressions themselves, without the functions that are called and the modules they come from.
    """
    formula = Formula(right)
    names = {str(name) for name in formula.required_variables}
    for expression in {factor.expr for term in formula for factor in term.factors}:
        names |= set(re.findall(r"`([^`]+)`", expression))
        try:
            tree = ast.parse(re.sub(r"`[^`]+`", "(0)", expression), mode="eval")
        except SyntaxError:
            continue
        functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        names |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in functions} - MODULES
    return sorted(names)


class Design:
    """The design matrix of a right side; levels, medians and spline knots are those of the training rows.

    Attributes
    ----------
    columns_, terms_ : list of str
        Name and term of each column.
    findings_ : list of dict
        What was done to missing values and, after a prediction, to levels that were not seen.
    """

    def __init__(self, right: str):
        self.right = right

    def fit(self, X: pd.DataFrame) -> Design:
        self.findings_: list[dict[str, Any]] = []
        needed = used_columns(self.right)
        as_levels = set(re.findall(r"\bC\(\s*(?:`([^`]+)`|(\w+))", self.right))
        coded = {quoted or plain for quoted, plain in as_levels}
        self.levels_: dict[str, tuple[str, list[Any]]] = {}  # column -> (most frequent level, levels)
        self.medians_: dict[str, float] = {}
        self.as_given_ = tuple(name for name in needed if handled(self.right, name, X[name]))
        for name in needed:
            column = X[name]
            if name in self.as_given_:
                continue
            if name in coded or not pd.api.types.is_numeric_dtype(column.dtype):
                filled = _levels(column)
                self.levels_[name] = (filled.mode().iloc[0], list(pd.unique(filled)))
            else:
                values = column.astype(float).replace([np.inf, -np.inf], np.nan)
                self.medians_[name] = 0.0 if values.isna().all() else float(values.median())
            missing = int(column.isna().sum())
            if missing:
                how = "a level of its own" if name in self.levels_ else f"the median {self.medians_[name]:g}"
                self._note("missing values", name, f"{missing} missing values of '{name}' became {how}")
        try:
            matrix = Formula(self.right).get_model_matrix(self._prepared(X), na_action="raise")
        except Exception as error:  # formulaic evaluates the user's own expressions: anything can come out
            said = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()[0]
            raise InputError(f"formula: cannot evaluate '{self.right}': {said}") from None
        self.spec_: ModelSpec = matrix.model_spec
        self.columns_ = [str(name) for name in matrix.columns]
        of_column = {i: str(term) for term, places in self.spec_.term_indices.items() for i in places}
        self.terms_ = [of_column[i] for i in range(len(self.columns_))]
        return self

    def matrix(self, X: pd.DataFrame) -> np.ndarray:
        """Design matrix [n, columns]; a level that was not seen in training counts as the most frequent one."""
        return np.asarray(self.spec_.get_model_matrix(self._prepared(X), na_action="raise"), dtype=float)

    def _prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        frame = {name: X[name] for name in self.as_given_}
        for name, column in frame.items():
            if pd.api.types.is_numeric_dtype(column.dtype):
                frame[name] = column.astype(float).replace([np.inf, -np.inf], np.nan)
        for name, (usual, levels) in self.levels_.items():
            column = _levels(X[name])
            unseen = ~column.isin(levels)
            if unseen.any():
                count = int(unseen.sum())
                self._note("unseen level", name, f"{count} rows with unseen levels of '{name}' counted as '{usual}'")
                column = column.where(~unseen, usual)
            frame[name] = column
        for name, median in self.medians_.items():
            frame[name] = X[name].astype(float).replace([np.inf, -np.inf], np.nan).fillna(median)
        return pd.DataFrame(frame, index=X.index)

    def _note(self, finding: str, column: str, message: str) -> None:
        self.findings_.append({"finding": finding, "column": column, "message": message, "advice": ""})


def handled(right: str, name: str, column: pd.Series) -> bool:
    """Whether a column is a date, or the formula says itself what its gaps become (`x.fillna(0)`, `x.isna()`)."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    plain = re.escape(name)
    every = rf"`{plain}`|(?<![\w.`]){plain}(?!\w)"
    uses = len(re.findall(every, right))
    own = len(re.findall(rf"(?:{every})\.(?:fillna|isna|notna)\(", right))
    levels = re.search(rf"\bC\(\s*(?:{every})", right)
    return bool(uses) and uses == own and not levels


def _levels(column: pd.Series) -> pd.Series:
    """Levels as they are, a missing one as a level of its own."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not column.isna().any():
        return column
    return column.astype(object).where(column.notna(), MISSING)


def back_to_units(linear: np.ndarray, spread: np.ndarray, scale: str, metric: str) -> np.ndarray:
    """Point predictions [n] in target units that aim at what the metric rewards.

    Parameters
    ----------
    linear : [n], fitted values on the scale of the left side
    spread : [q], quantiles of the training residuals on that scale
    """
    inverse = SCALES[scale][1]
    if scale in ("log", "log1p"):
        linear = np.minimum(linear, LARGEST_EXPONENT)
    if metric == "mae":
        return inverse(linear + np.median(spread))
    if metric == "rmsle" and scale == "log1p":
        return inverse(linear)
    if scale == "":
        return linear
    total = np.zeros(len(linear))
    for residual in spread:  # one pass a quantile: the table n x q never stands in memory
        value = inverse(linear + residual)
        total += np.log1p(np.maximum(value, 0)) if metric == "rmsle" else value
    mean = total / len(spread)
    return np.expm1(mean) if metric == "rmsle" else mean
