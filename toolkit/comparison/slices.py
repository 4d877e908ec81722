"""Where each arm wins: leaf rules of a shallow tree, found on half of the rows and tested on the other half."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.tree import DecisionTreeRegressor
from statsmodels.stats.multitest import multipletests

from toolkit.comparison.design import Design, sum_covariance
from toolkit.comparison.estimate import CONFIDENCE
from toolkit.comparison.record import Test
from toolkit.comparison.rows import PairedRows

__all__ = ["slices"]

DEPTH = 3
LEAVES = 6
SMALLEST_SHARE = 0.05  # of the rows that find the rules
SMALLEST_ROWS = 25
ROWS_FOR_RULES = 20_000  # the tree is grown on at most this many rows
LEVELS = 50  # categories with more levels are left out
SIZE = 0.05


def slices(
    paired: PairedRows, design: Design, features: pd.DataFrame | None, seed: int = 0
) -> tuple[list[dict[str, Any]], list[Test]]:
    """Slices of the feature space and of time with their gain.

    Parameters
    ----------
    paired : PairedRows
    design : Design
        Its units are kept whole: a group lies in one half only. In time order the first half finds the rules.
    features : DataFrame or None
        Features of each row of the data set, by position; None: time alone.

    Returns
    -------
    found : list of dict
        rule, rows (tested), share (of the tested half), gain, lower, upper, p_value, p_holm, better (arm, or None when
        not shown).
    tests : list of Test
        One for each slice, p-values Holm-corrected.
    """
    if not paired.row_level or design.n < 4:
        return [], []
    rng = np.random.default_rng(seed)
    rank = np.arange(design.n) if design.ordered else rng.permutation(design.n)
    finds = rank[design.units] < design.n // 2
    known = pd.DataFrame(index=range(len(paired.row)))
    if features is not None:
        known = features.iloc[paired.row].reset_index(drop=True)
    table, levels = _encode(known, paired, finds)
    if table.shape[1] == 0 or min(finds.sum(), (~finds).sum()) < 2 * SMALLEST_ROWS:
        return [], []
    at = np.flatnonzero(finds)
    if len(at) > ROWS_FOR_RULES:
        at = rng.choice(at, ROWS_FOR_RULES, replace=False)
    smallest = max(SMALLEST_ROWS, int(SMALLEST_SHARE * len(at)))
    tree = DecisionTreeRegressor(max_depth=DEPTH, max_leaf_nodes=LEAVES, min_samples_leaf=smallest, random_state=seed)
    tree.fit(table.to_numpy()[at], paired.gain[at])
    if tree.get_n_leaves() < 2:
        return [], []
    leaf = tree.apply(table.to_numpy(dtype=np.float32))
    found = [
        _judge_leaf(paired, design, ~finds & (leaf == number), rule)
        for number, rule in _rules(tree, table.columns, levels).items()
    ]
    found = [one for one in found if one is not None]
    for one in found:
        one["share"] /= float(paired.weight[~finds].sum())
    if not found:
        return [], []
    for one, corrected in zip(found, multipletests([f["p_value"] for f in found], method="holm")[1], strict=True):
        one["p_holm"] = float(corrected)
        one["better"] = None if corrected >= SIZE else paired.arms[1 if one["gain"] > 0 else 0]
    found.sort(key=lambda one: -abs(one["gain"]))
    tests = [
        Test(
            "slice_gain",
            paired.arms,
            f"no gain where {one['rule']}",
            one["statistic"],
            one["p_holm"],
            one["gain"],
            one["lower"],
            one["upper"],
            one["units"],
            {"rule": one["rule"], "rows": one["rows"], "correction": "holm"},
        )
        for one in found
    ]
    return found, tests


def _encode(table: pd.DataFrame, paired: PairedRows, finds: np.ndarray) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Numbers stay; categories become their rank by mean gain on the half that finds the rules; time a number."""
    columns: dict[str, np.ndarray] = {}
    levels: dict[str, list[str]] = {}
    if "time" in paired.frame and pd.api.types.is_datetime64_any_dtype(paired.frame["time"]):
        moment = paired.frame["time"]
        columns["time"] = moment.astype("int64").to_numpy(dtype=float)
        levels["time"] = ["datetime"]
        if (moment.dt.hour != 0).any():
            columns["hour of day"] = moment.dt.hour.to_numpy(dtype=float)
        columns["month"] = moment.dt.month.to_numpy(dtype=float)
    for name in table.columns:
        column = table[name]
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            columns[str(name)] = column.to_numpy(dtype=float, na_value=np.nan)
        elif not pd.api.types.is_datetime64_any_dtype(column):
            text = column.astype("object").where(column.notna(), "missing").astype(str)
            if text.nunique() > LEVELS:
                continue
            order = pd.Series(paired.gain[finds]).groupby(text[finds].to_numpy()).mean().sort_values().index.tolist()
            order += sorted(set(text.unique()) - set(order))
            columns[str(name)] = text.map({level: k for k, level in enumerate(order)}).to_numpy(dtype=float)
            levels[str(name)] = order
    return pd.DataFrame(columns), levels


def _rules(tree: DecisionTreeRegressor, names: pd.Index, levels: dict[str, list[str]]) -> dict[int, str]:
    """Leaf number -> rule in words; bounds on one column are merged."""
    nodes, rules = tree.tree_, {}

    def walk(node: int, bounds: dict[str, tuple[float, float]]) -> None:
        if nodes.children_left[node] < 0:
            rules[node] = " and ".join(
                _words(name, low, high, levels.get(name)) for name, (low, high) in bounds.items()
            )
            return
        name, cut = str(names[nodes.feature[node]]), float(nodes.threshold[node])
        low, high = bounds.get(name, (-np.inf, np.inf))
        walk(nodes.children_left[node], {**bounds, name: (low, min(high, cut))})
        walk(nodes.children_right[node], {**bounds, name: (max(low, cut), high)})

    walk(0, {})
    return rules


def _words(name: str, low: float, high: float, levels: list[str] | None) -> str:
    if levels == ["datetime"]:
        show = [pd.Timestamp(int(bound)).strftime("%Y-%m-%d %H:%M") for bound in (low, high) if np.isfinite(bound)]
        if len(show) == 2:
            return f"{name} from {show[0]} to {show[1]}"
        return f"{name} after {show[0]}" if np.isfinite(low) else f"{name} until {show[0]}"
    if levels is not None:
        inside = sorted(level for k, level in enumerate(levels) if low < k <= high)
        listed = ", ".join(inside[:8]) + (f" and {len(inside) - 8} more" if len(inside) > 8 else "")
        return f"{name} in {{{listed}}}"
    if np.isfinite(low) and np.isfinite(high):
        return f"{low:.4g} < {name} <= {high:.4g}"
    return f"{name} > {low:.4g}" if np.isfinite(low) else f"{name} <= {high:.4g}"


def _judge_leaf(paired: PairedRows, design: Design, inside: np.ndarray, rule: str) -> dict[str, Any] | None:
    weight = paired.weight * inside
    if weight.sum() <= 0:
        return None
    weight = weight / weight.sum()
    gain = float(weight @ paired.gain)
    units = len(np.unique(design.units[inside]))
    variance, df, _ = sum_covariance(weight * (paired.gain - gain), design)
    se, df = float(np.sqrt(max(variance[0, 0], 0.0))), min(df, units - 1)
    if not se > 0 or df < 1:
        return None
    half = float(t.ppf(0.5 + CONFIDENCE / 2, df)) * se
    return {
        "rule": rule,
        "rows": len(np.unique(paired.row[inside])),
        "units": units,
        "share": float((paired.weight * inside).sum()),
        "gain": gain,
        "lower": gain - half,
        "upper": gain + half,
        "statistic": gain / se,
        "p_value": float(2 * t.sf(abs(gain / se), df)),
    }
