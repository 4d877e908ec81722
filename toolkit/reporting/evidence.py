"""What stands behind the verdict, as small tables: uncertainty, power, both sides together, slices, stress, costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.comparison.record import Comparison
from toolkit.reporting.words import duration, metric_label, number, p_text

__all__ = ["Block", "evidence_blocks"]

SOURCES = {
    "rows": "other judging rows",
    "splits": "other training rows",
    "seeds": "other seeds of the nets",
}


@dataclass(frozen=True)
class Block:
    """One table with its title and a line that says what to read in it."""

    title: str
    lead: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def evidence_blocks(comparison: Comparison) -> list[Block]:
    """The tables that this verdict has something to say in, in reading order."""
    makers: tuple[Callable[[Comparison], Block | None], ...] = (
        _claims, _uncertainty, _power, _together, _best_arms, _slices, _stress, _learning_curve, _costs,
    )  # fmt: skip
    return [block for make in makers if (block := make(comparison)) is not None]


def _details(comparison: Comparison, key: str) -> Any:
    return comparison.verdict.details.get(key)


def _interval(row: Mapping[str, Any]) -> str:
    return "–" if row.get("lower") is None else f"{number(row['lower'], 3)} to {number(row['upper'], 3)}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _claims(comparison: Comparison) -> Block | None:
    arms = comparison.verdict.arms
    tests = [test for test in comparison.tests if test.details.get("probabilities") and test.arms == arms]
    if not tests:
        return None
    claims = ("regression", "equivalent", "neural")
    rows = tuple(
        (
            test.name.replace("_", " ") + (" (decides)" if test.details.get("default") else ""),
            *(f"{100 * test.details['probabilities'][claim]:.1f} %" for claim in claims),
            number(test.details.get("se"), 3),
        )
        for test in tests
    )
    lead = "Probability of each claim by every test that fits this design; the verdict takes the one that decides."
    columns = ("test", f"{arms[0]} is better", "equivalent", f"{arms[1]} is better", "standard error")
    return Block("The three claims, test by test", lead, columns, rows)


def _uncertainty(comparison: Comparison) -> Block | None:
    found = _details(comparison, "uncertainty") or {}
    rows = [
        (words, number(found.get(f"{key}_se"), 3), _share(found.get(f"{key}_share"))) for key, words in SOURCES.items()
    ]
    if not any(found.get(f"{key}_se") for key in SOURCES):
        return None
    if found.get("between_repeats_sd") is not None:
        rows.append(("between repeats of the splits, seen", number(found["between_repeats_sd"], 3), "–"))
    rows += [
        (f"score of {arm} over its seeds", number(se, 3), "–")
        for arm, se in (found.get("seed_se_by_arm") or {}).items()
    ]
    lead = f"By how much the gain in {metric_label(comparison.metric)} would move (standard error), and its source."
    return Block("Where the uncertainty comes from", lead, ("source", "standard error", "of the variance"), tuple(rows))


def _power(comparison: Comparison) -> Block | None:
    smallest, needed = _details(comparison, "detectable_gain"), _details(comparison, "units_needed") or {}
    if smallest is None or _details(comparison, "identical"):
        return None
    label = metric_label(comparison.metric)
    rows = [(f"smallest true gain found in four of five cases, {label}", number(smallest, 3))]
    unit = needed.get("unit", "rows")
    if comparison.verdict.decision == "undecided":
        known = needed.get("needed")
        rows.append((f"{unit} now", f"{needed.get('now', 0):,}"))
        rows.append(
            (f"{unit} that would decide it, if the true gain is the one measured",
             f"{known:,} ({needed['claim']})" if known else "none: the gain lies at the margin")
        )  # fmt: skip
        if known and needed.get("rows_needed") and unit != "rows":
            rows.append(("in rows", f"{needed['rows_needed']:,}"))
    lead = "What a comparison of this size can see; sizes are for a power of 80 %."
    return Block("Power", lead, ("", ""), tuple(rows))


def _together(comparison: Comparison) -> Block | None:
    found = _details(comparison, "encompassing") or {}
    if found.get("weight") is None:
        return None
    first, second = comparison.verdict.arms
    rows = [(f"weight of {second} in the best mix", f"{number(found['weight'], 3)} ({_interval(found)})", "–")]
    p_of = {
        test.details.get("weight_of"): test.p_value
        for test in comparison.tests
        if test.name in ("encompassing_net_adds", "encompassing_regression_adds")
    }
    rows += [(f"{arm} adds to the other", "–", p_text(p_of.get(arm))) for arm in (second, first)]
    if found.get("score") is not None:
        rows.append((f"{metric_label(comparison.metric)} of the mix, out of fold", number(found["score"]), "–"))
    over = {t.details.get("over"): t for t in comparison.tests if t.name == "combination_gain"}
    rows += [
        (f"gain of the mix over {arm}", f"{number(t.estimate, 3)} ({_interval({'lower': t.lower, 'upper': t.upper})})",
         p_text(t.p_value))
        for arm, t in over.items()
    ]  # fmt: skip
    lead = f"{found['outcome'][:1].upper()}{found['outcome'][1:]}: {found['advice']}."
    return Block("Does each side add to the other?", lead, ("", "value (95 % interval)", "p"), tuple(rows))


def _best_arms(comparison: Comparison) -> Block | None:
    tests = [test for test in comparison.tests if test.name == "model_confidence_set"]
    if not tests:
        return None
    rows = sorted(tests, key=lambda test: -(test.p_value or 0.0))
    lead = "The model confidence set of 95 %: arms that may be the best one (Hansen, Lunde and Nason 2011)."
    return Block(
        "Which arms may be the best", lead, ("arm", "in the set", "p"),
        tuple((t.details["arm"], "yes" if t.details["included"] else "no", p_text(t.p_value)) for t in rows),
    )  # fmt: skip


def _slices(comparison: Comparison) -> Block | None:
    found: Sequence[Mapping[str, Any]] = _details(comparison, "slices") or ()
    if not found:
        return None
    rows = tuple(
        (one["rule"], f"{one['rows']:,}", number(one["gain"], 3), _interval(one), p_text(one["p_holm"]),
         one["better"] or "not shown")
        for one in found
    )  # fmt: skip
    lead = (
        f"Rules found on half of the rows and tested on the other half, p-values Holm-corrected; gain of "
        f"{comparison.verdict.arms[1]} in {metric_label(comparison.metric)}."
    )
    return Block("Where each side wins", lead, ("where", "rows", "gain", "95 % interval", "p", "better"), rows)


def _stress(comparison: Comparison) -> Block | None:
    found: Sequence[Mapping[str, Any]] = _details(comparison, "stress") or ()
    if not found:
        return None
    verdict = comparison.verdict
    here = {"estimate": verdict.estimate, "lower": verdict.lower, "upper": verdict.upper}
    rows = [("on the judging rows of the comparison", verdict.winner or verdict.decision, here, False)]
    rows += [(one["words"], one.get("winner") or one["decision"], one, one["vanishes"]) for one in found]
    table = tuple(
        (words, decision, number(row["estimate"], 3), _interval(row), "the win is gone" if gone else "")
        for words, decision, row, gone in rows
    )
    lead = f"The verdict beyond these rows, next to the main one; gain in {metric_label(comparison.metric)}."
    return Block("Does it hold elsewhere?", lead, ("where", "verdict", "gain", "95 % interval", ""), table)


def _learning_curve(comparison: Comparison) -> Block | None:
    found = _details(comparison, "learning_curve") or {}
    if not found.get("gains"):
        return None
    arms = comparison.verdict.arms
    score = {(row["arm"], row["n"]): row["value"] for row in found["scores"]}
    rows = tuple(
        (f"{row['n']:,}", *(number(score.get((arm, row["n"]))) for arm in arms), number(row["gain"], 3), _interval(row))
        for row in found["gains"]
    )
    columns = ("training rows", *arms, f"gain of {arms[1]}", "95 % interval")
    return Block("Learning curve", found.get("sentence", ""), columns, rows)


def _costs(comparison: Comparison) -> Block | None:
    found: Sequence[Mapping[str, Any]] = _details(comparison, "costs") or ()
    if not found:
        return None
    rows = tuple(
        (
            str(one["arm"]),
            _told(one.get("fit_seconds"), duration),
            _told(one.get("fit_ratio"), lambda value: f"{value:.3g} x"),
            _told(one.get("predict_ms_per_1000_rows"), lambda value: f"{number(value, 3)} ms"),
            _told(one.get("parameters"), lambda value: f"{value:,.0f}"),
            one.get("explainability") or "–",
        )
        for one in found
    )
    lead = "What each side costs. Costs stand beside the gain and are no part of its probability."
    columns = ("arm", "one fit", "against the first", "1,000 predictions", "parameters", "can be explained by")
    return Block("What it costs", lead, columns, rows)


def _told(value: float | None, say: Callable[[float], str]) -> str:
    """A number in words, a dash where it is not known."""
    return "–" if value is None or not math.isfinite(value) else say(value)
