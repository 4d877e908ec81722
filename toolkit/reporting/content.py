"""What the page, its Markdown twin and the terminal twin say: the same rows and words, drawn once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml
from scipy.stats import t

from toolkit.comparison.record import ArmResult, Comparison, Test
from toolkit.evaluation.scores import within_range
from toolkit.reporting.contract import plain
from toolkit.reporting.words import cell_text, fact_text, greater_is_better, metric_label, number, p_text
from toolkit.specification.stability import with_stability

__all__ = [
    "QUICK_NOTE",
    "ScoreRow",
    "command",
    "fact",
    "facts_line",
    "gain_scale",
    "margin_text",
    "margin_value",
    "pipeline_yaml",
    "score_rows",
    "side_kinds",
    "sides",
    "specifications",
    "terms",
    "test_row",
    "verdict_word",
]

CONFIDENCE = 0.95
QUICK_NOTE = "Quick run: less data, fewer folds or shorter training. This is not the full answer."
VERDICT_WORDS = {
    "neural": "The neural net is better",
    "regression": "The regression is better",
    "equivalent": "Equivalent",
    "undecided": "Undecided",
}


@dataclass(frozen=True)
class ScoreRow:
    """One arm's line in the table of scores."""

    arm: str
    kind: str
    compared: bool
    mean: float
    se: float
    lower: float
    upper: float
    per_fold: tuple[float, ...]
    others: dict[str, float]
    fit_seconds: float
    predict_seconds: float
    failures: tuple[str, ...]


def verdict_word(comparison: Comparison) -> str:
    verdict = comparison.verdict
    words = VERDICT_WORDS.get(verdict.decision, verdict.decision)
    if verdict.winner is not None and verdict.winner != verdict.decision:
        words = f"{verdict.winner} is better"  # another pair than the regression and the net
    return f"{words} (provisional)" if verdict.provisional else words


def sides(comparison: Comparison) -> tuple[str, ...]:
    """The arms that are compared, first the one that plays the regression, without those that are not there."""
    return tuple(arm for arm in comparison.verdict.arms if arm in comparison.arms)


def side_kinds(comparison: Comparison) -> dict[str, str]:
    """Colour family of every arm: the compared pair always has the two leading colours."""
    kinds = {name: arm.kind for name, arm in comparison.arms.items()}
    pair = comparison.verdict.arms
    for name, kind in zip(pair, ("regression", "neural"), strict=False):
        if name in kinds:
            kinds[name] = kind
    for name, kind in kinds.items():
        if name not in pair and kind in ("regression", "neural"):
            kinds[name] = "reference"
    return kinds


def score_rows(comparison: Comparison) -> list[ScoreRow]:
    """One row per arm, best first by the primary metric; arms without a score last."""
    rows = [_score_row(comparison, arm) for arm in comparison.arms.values()]
    sign = -1 if greater_is_better(comparison.metric) else 1
    return sorted(
        rows, key=lambda row: (not math.isfinite(row.mean), sign * row.mean if math.isfinite(row.mean) else 0)
    )


def _score_row(comparison: Comparison, arm: ArmResult) -> ScoreRow:
    primary = arm.scores.get(comparison.metric, {})
    folds = tuple(float("nan") if value is None else float(value) for value in primary.get("per_fold", ()))
    mean, se = _float(primary.get("mean")), _float(primary.get("se"))
    used = sum(math.isfinite(value) for value in folds)
    half = float(t.ppf(0.5 + CONFIDENCE / 2, used - 1)) * se if used > 1 else float("nan")
    lower, upper = within_range(greater_is_better(comparison.metric), mean - half, mean + half)
    others = {name: _float(row.get("mean")) for name, row in arm.scores.items() if name != comparison.metric}
    return ScoreRow(
        arm=arm.name,
        kind=arm.kind,
        compared=arm.name in comparison.verdict.arms,
        mean=mean,
        se=se,
        lower=lower,
        upper=upper,
        per_fold=folds,
        others=others,
        fit_seconds=_float(arm.fit_seconds),
        predict_seconds=_float(arm.predict_seconds),
        failures=arm.failures,
    )


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


def specifications(comparison: Comparison, most: int) -> list[dict[str, Any]]:
    """What each arm that says something about itself was: formula, family, notes, terms, tables of tests, summary."""
    found = []
    for name in dict.fromkeys([*sides(comparison), *comparison.arms]):
        arm = comparison.arms[name]
        facts = {
            "family": fact(arm, "family"),
            "members": arm.members or fact(arm, "members"),
            "parameters": fact(arm, "parameters"),
            "best epochs": fact(arm, "best_epochs"),
        }
        formula, notes = arm.formula or fact(arm, "formula"), fact(arm, "notes") or []
        table = _columns_and_rows(terms(arm), most)
        if formula or table["rows"] or any(value is not None for value in facts.values()):
            found.append(
                {
                    "arm": name,
                    "formula": formula,
                    "facts": {key: fact_text(value) for key, value in facts.items() if value is not None},
                    "notes": [notes] if isinstance(notes, str) else list(notes),
                    **table,
                    "tables": [
                        {"title": one["title"], **_columns_and_rows(pd.DataFrame(one["rows"]), most)}
                        for one in fact(arm, "tables") or []
                        if len(one["rows"])
                    ],
                    "summary": fact(arm, "summary"),
                    "frozen": _frozen(arm),
                }
            )
    return found


def _columns_and_rows(table: pd.DataFrame, most: int) -> dict[str, Any]:
    """A table as texts: columns, the first rows, and how many there are more."""
    table = table.drop(columns=[c for c in table if table[c].map(lambda v: isinstance(v, (dict, list))).any()])
    return {
        "columns": [str(column).replace("_", " ") for column in table],
        "rows": [
            [cell_text(column, value) for column, value in row.items()] for row in table.head(most).to_dict("records")
        ],
        "more": max(len(table) - most, 0),
    }


def _frozen(arm: ArmResult) -> str | None:
    """The settings that would make the choice of this arm's form unnecessary, for a pipeline file."""
    settings = fact(arm, "frozen")
    if not settings:
        return None
    name = "formula" if "formula" in settings else arm.name  # a table's terms are run by the arm that takes a formula
    return yaml.safe_dump({"arms": {name: plain(settings)}}, sort_keys=False, allow_unicode=True, width=100)


def test_row(test: Test) -> dict[str, str]:
    interval = "–" if test.lower is None else f"{number(test.lower, 3)} to {number(test.upper, 3)}"
    return {
        "name": test.name.replace("_", " "),
        "arms": f"{test.arms[1]} against {test.arms[0]}",
        "null": test.null,
        "statistic": number(test.statistic, 3),
        "p_value": p_text(test.p_value),
        "estimate": number(test.estimate, 3),
        "interval": interval,
        "n": f"{test.n:,}",
    }


def fact(arm: ArmResult, key: str) -> Any:
    """The first fold's answer to `key`, None where no fit has one."""
    return next((facts[key] for facts in arm.facts if facts.get(key) not in (None, "", [], ())), None)


def terms(arm: ArmResult) -> pd.DataFrame:
    """Terms of the first fold that has some, and how many folds chose each; empty without."""
    return with_stability(pd.DataFrame(fact(arm, "terms") or []), arm.facts)


def pipeline_yaml(comparison: Comparison) -> str:
    """The settings that would do the comparison again."""
    found = plain(comparison.settings)
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=100) if found else ""


def command(comparison: Comparison) -> str:
    """The command that would do it again, given the YAML."""
    return f"toolkit run {comparison.name}.yaml" + (" --quick" if comparison.quick else "")


def margin_text(comparison: Comparison) -> str:
    value = comparison.margin.get("value")
    percent = comparison.margin.get("unit") == "percent"
    of = comparison.verdict.details.get("reference")
    unit = f"% of the score of {of or 'the regression'}" if percent else metric_label(comparison.metric)
    return "none" if value is None else f"{value:g} {unit}"


def gain_scale(comparison: Comparison) -> dict[str, Any] | None:
    """Gain, interval and margin on one axis, in per cent of its width; None without an interval.

    The axis is symmetric around zero: left of the margin the regression is better, right of it the net.
    """
    verdict = comparison.verdict
    gain, lower, upper = (_float(value) for value in (verdict.estimate, verdict.lower, verdict.upper))
    if not all(math.isfinite(value) for value in (gain, lower, upper)):
        return None
    margin = margin_value(comparison)
    reach = 1.15 * max(abs(lower), abs(upper), 2.2 * margin, 1e-12)

    def place(value: float) -> float:
        return round(50 + 50 * value / reach, 2)

    return {
        "gain": place(gain),
        "lower": place(lower),
        "upper": place(upper),
        "margin_low": place(-margin),
        "margin_high": place(margin),
        "margin": margin,
        "text": f"Gain of {verdict.arms[1]} over {verdict.arms[0]}: {number(gain, 3)} "
        f"{metric_label(comparison.metric)}, 95 % interval {number(lower, 3)} to {number(upper, 3)}; "
        f"margin {number(margin, 3)}",
    }


def margin_value(comparison: Comparison) -> float:
    """The margin in units of the metric."""
    known = comparison.verdict.details.get("margin_absolute")
    if known is not None:
        return float(known)
    value = _float(comparison.margin.get("value"))
    if comparison.margin.get("unit") == "percent":
        first = comparison.arms.get(comparison.verdict.arms[0])
        score = first.scores.get(comparison.metric, {}).get("mean") if first else None
        value *= abs(_float(score)) / 100
    return value if math.isfinite(value) else 0.0


def facts_line(comparison: Comparison) -> str:
    """Rows, features, folds, metric and margin in one line."""
    data, splits = comparison.dataset, comparison.splits
    features = data.get("features")
    count = len(features) if isinstance(features, (list, tuple, dict)) else features
    repeats = splits.get("repeats") or 1
    target = data.get("target")
    target = ", ".join(map(str, target)) if isinstance(target, (list, tuple)) else target
    features = "1 feature" if count == 1 else f"{count} features"
    parts = [
        f"{data.get('name', 'data')}: {data.get('rows', 0):,} rows, {features}, target {target}",
        f"{splits.get('scheme')}: {splits.get('folds')} folds" + (f", {repeats} repeats" if repeats > 1 else ""),
        f"metric {metric_label(comparison.metric)}",
        f"margin {margin_text(comparison)}",
    ]
    return " · ".join(parts)
