"""What the remedies changed, as rows for the page and its Markdown twin."""

from __future__ import annotations

from typing import Any

from toolkit.comparison.record import Comparison, Remedied
from toolkit.reporting.words import metric_label, number

__all__ = ["remedy_rows"]

MOST_TERMS, MOST_CHECKS = 30, 20


def remedy_rows(comparison: Comparison) -> dict[str, Any] | None:
    """Texts by table: changes, figures, estimates, checks; None where no remedy was asked for."""
    remedy = comparison.remedy
    if remedy is None:
        return None
    return {
        "sentence": remedy.sentence,
        "arm": remedy.arm,
        "treated": remedy.treated,
        "changes": [
            [str(one["setting"]), str(one["before"]), str(one["after"]), _checks(one["checks"]), str(one["reason"])]
            for one in remedy.changes
        ],
        "figures": _figures(remedy, metric_label(comparison.metric)),
        "estimates": [_estimate(one) for one in remedy.estimates[:MOST_TERMS]],
        "more": max(len(remedy.estimates) - MOST_TERMS, 0),
        "same_scale": remedy.same_scale,
        "checks": [
            {
                "title": one["title"],
                **{when: one[when]["verdict"] for when in ("before", "after")},
                **{f"{when}_effect": number(one[when]["effect"], 3) for when in ("before", "after")},
            }
            for one in remedy.checks[:MOST_CHECKS]
        ],
        "verdicts": [comparison.verdict.sentence, remedy.verdict.sentence] if remedy.verdict else [],
    }


def _checks(names: list[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _figures(remedy: Remedied, metric: str) -> list[list[str]]:
    """[what, before, after] of the score and the prediction intervals."""
    rows = []
    if remedy.scores:
        score = [
            f"{number(remedy.scores[w]['mean'])} ± {number(remedy.scores[w]['se'], 2)}" for w in ("before", "after")
        ]
        rows.append([f"{metric} ± standard error", *score])
    for key, label in (("coverage", "coverage of the prediction intervals"), ("width", "mean width of them")):
        values = [(remedy.intervals.get(when) or {}).get(key) for when in ("before", "after")]
        if all(value is not None for value in values):
            rows.append([label, *(f"{value:.1%}" if key == "coverage" else number(value) for value in values)])
    return rows


def _estimate(one: dict[str, Any]) -> list[str]:
    """Term, estimate with its 95 % interval before and after, standard error after over before."""
    before, after = one["before"], one["after"]
    both = before.get("se") and after.get("se")
    ratio = f"{after['se'] / before['se']:.2f}" if both else "–"
    return [one["term"], _interval(before), _interval(after), ratio]


def _interval(row: dict[str, Any]) -> str:
    if row.get("estimate") is None or row["estimate"] != row["estimate"]:
        return "–"
    return f"{number(row['estimate'])} ({number(row['lower'], 3)} to {number(row['upper'], 3)})"
