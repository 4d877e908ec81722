"""Terms that an analyst can read: a threshold, a kink or a straight line, alone or by the levels of another column."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from toolkit.specification.columns import Variable, quoted

__all__ = ["FormTerm", "best_cut", "cut_grid", "pair_forms", "single_forms"]

MOST_CUTS = 60
FEW_LEVELS = 12  # a factor with more levels gets no thresholds of its own
LEAST_ROWS = 0.03  # share of rows on each side of a threshold


@dataclass(frozen=True)
class FormTerm:
    """Columns of a simple form of one number, by level where there is a second variable.

    Attributes
    ----------
    shapes : tuple of str
        "step" is 1(x > cut), "kink" is max(x - cut, 0), "line" is x; x standardised.
    cut : float
        On the standardised scale; `raw_cut` in the units of the column.
    by : Variable or None
        A factor (one column per level) or a number (one product).
    """

    variable: Variable
    shapes: tuple[str, ...]
    cut: float = 0.0
    raw_cut: float = 0.0
    by: Variable | None = None
    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, int), repr=False)

    @property
    def width(self) -> int:
        return len(self.groups)

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable.name,) if self.by is None else (self.variable.name, self.by.name)

    @property
    def kind(self) -> str:
        return "threshold" if self.shapes[0] in ("step", "kink") else "line"

    @property
    def name(self) -> str:
        """As a person writes it: `age > 30`, `bmi > 30 : smoker`."""
        what = {
            "step": f"{self.variable.name} > {self.raw_cut:g}",
            "kink": f"{self.variable.name} beyond {self.raw_cut:g}",
        }
        first = what.get(self.shapes[0], self.variable.name)
        return first if self.by is None else f"{first} : {self.by.name}"

    def columns(self, data: dict[str, np.ndarray]) -> np.ndarray:
        x = data[self.variable.name]
        made = {
            "step": lambda: (x > self.cut).astype(float),
            "kink": lambda: np.maximum(x - self.cut, 0),
            "line": lambda: x,
        }
        shapes = [made[shape]() for shape in self.shapes]
        if self.by is None:
            return np.column_stack(shapes)
        other = data[self.by.name]
        if self.by.kind != "factor":
            return np.column_stack([*(s * other for s in shapes), *(s for s in shapes if s is not x)])
        levels = other[:, None] == np.arange(self.by.distinct)
        return np.hstack([s[:, None] * levels for s in shapes])

    def pieces(self, written_by: str = "") -> list[str]:
        """What a formula adds, lower-order terms first."""
        x = quoted(self.variable.name)
        text = {
            "step": f"I(({x} > {self.raw_cut:g}) * 1.0)",
            "kink": f"I(({x} - {self.raw_cut:g}) * ({x} > {self.raw_cut:g}))",
        }
        shapes = [text.get(shape, x) for shape in self.shapes]
        if self.by is None:
            return shapes
        return [*shapes, written_by, *(f"{shape}:{written_by}" for shape in shapes)]


def cut_grid(variable: Variable, values: np.ndarray) -> list[tuple[float, float]]:
    """Round thresholds in the units of the column, with their standardised values, inside the bulk of the rows."""
    raw = variable.to_raw(values)
    low, high = np.quantile(raw, [LEAST_ROWS, 1 - LEAST_ROWS])
    if not high > low:
        return []
    rough = (high - low) / MOST_CUTS
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    if np.array_equal(raw[:500].round(6), np.round(raw[:500])):
        step = max(step, 1.0)
    cuts = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    cuts = np.unique(np.round(cuts, 12))
    grid = np.unique(np.sort(values))
    standard = np.interp(cuts, variable.to_raw(grid), grid)
    return [(float(raw_cut), float(cut)) for raw_cut, cut in zip(cuts, standard, strict=True)]


def best_cut(
    residual: np.ndarray, x: np.ndarray, grid: list[tuple[float, float]], shape: str, codes: np.ndarray | None
) -> tuple[float, float, float] | None:
    """(raw cut, cut, reduction in squared error) of the threshold that explains most of the residual, by level."""
    best = None
    levels = [np.ones(len(x), bool)] if codes is None else [codes == k for k in np.unique(codes)]
    held = [(x[rows], residual[rows]) for rows in levels if rows.sum() >= 20]
    for raw, cut in grid:
        gain = 0.0
        for xs, rs in held:
            column = (xs > cut).astype(float) if shape == "step" else np.maximum(xs - cut, 0)
            base = np.column_stack([np.ones(len(xs)), xs])
            centred = column - base @ np.linalg.lstsq(base.T @ base, base.T @ column, rcond=None)[0]
            size = centred @ centred
            gain += (centred @ rs) ** 2 / size if size > 1e-9 * len(xs) else 0.0
        if best is None or gain > best[2]:
            best = (raw, cut, gain)
    return best


def single_forms(variable: Variable, values: np.ndarray, residual: np.ndarray) -> list[FormTerm]:
    """Threshold and kink of one number where the residual asks for them."""
    if variable.kind != "number" or variable.part or variable.distinct <= 10:
        return []
    grid, forms = cut_grid(variable, values), []
    for shape in ("step", "kink"):
        found = best_cut(residual, values, grid, shape, None) if grid else None
        if found is not None:
            forms.append(FormTerm(variable, (shape,), found[1], found[0], groups=np.zeros(1, int)))
    return forms


def pair_forms(first: Variable, second: Variable, data: dict[str, np.ndarray], residual: np.ndarray) -> list[FormTerm]:
    """Readable forms of an interaction: straight lines, and a threshold of a number, by the levels of the other."""
    forms = []
    for number, other in ((first, second), (second, first)):
        if number.kind != "number" or number.part or (other.kind == "factor" and other.distinct > FEW_LEVELS):
            continue
        if other.kind == "cyclic":
            continue
        count = other.distinct if other.kind == "factor" else 1
        extra = 0 if other.kind == "factor" else 1
        forms.append(FormTerm(number, ("line",), by=other, groups=np.zeros(count, int)))
        if number.distinct <= 10 or (other.kind != "factor" and other.distinct > 2):
            continue
        codes = data[other.name].astype(int) if other.kind == "factor" else (data[other.name] > 0).astype(int)
        grid = cut_grid(number, data[number.name])
        if found := best_cut(residual, data[number.name], grid, "step", codes) if grid else None:
            for shapes in (("step",), ("step", "line")):
                # the product with a number brings the plain step along, a line has its main effect in the regression
                width = len(shapes) * count + extra
                forms.append(FormTerm(number, shapes, found[1], found[0], other, np.zeros(width, int)))
    return forms
