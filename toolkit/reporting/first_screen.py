"""The first screen of the report as plain text: what `toolkit run` and `toolkit show` print."""

from __future__ import annotations

import math
from textwrap import wrap as wrapped

from toolkit.comparison.record import Comparison
from toolkit.reporting.content import QUICK_NOTE, ScoreRow, facts_line, score_rows
from toolkit.reporting.content_checks import check_arms, check_rows
from toolkit.reporting.ledger import gap_rows
from toolkit.reporting.words import duration, metric_label, number

__all__ = ["first_screen"]

WIDTH = 96
BAR = 28  # characters of the interval picture
MARKS = {"good": "+", "notice": "!", "poor": "x", "not applicable": "."}


def first_screen(comparison: Comparison) -> str:
    """Verdict, scores with intervals, the checks that say "poor" and the largest causes of the gap, in plain text."""
    coefficient = "\n".join(wrap(comparison.coefficient.get("sentence", ""), WIDTH))
    parts = [_head(comparison), _scores(comparison), _gap(comparison), coefficient, _checks(comparison)]
    parts += [_remedy(comparison), _failures(comparison)]
    return "\n\n".join(part for part in parts if part) + "\n"


def wrap(text: str, width: int) -> list[str]:
    """Lines of a paragraph; a number stays with its per cent sign."""
    return [line.replace("\u00a0", " ") for line in wrapped(text.replace(" %", "\u00a0%"), width)]


def _head(comparison: Comparison) -> str:
    verdict = comparison.verdict
    lines = [QUICK_NOTE, ""] if comparison.quick else []
    lines += wrap(comparison.question, WIDTH) if comparison.question else []
    lines += wrap(facts_line(comparison), WIDTH)
    lines += ["", *(f"  {line}" for line in wrap(verdict.sentence, WIDTH - 2))]
    called = dict(zip(("regression", "neural"), verdict.arms, strict=True))  # the parts they play -> their names
    chances = {called.get(name, name): value for name, value in verdict.probabilities.items()}
    if chances:
        lines.append("  Probabilities: " + ", ".join(f"{name} {100 * value:.0f} %" for name, value in chances.items()))
    for reason in verdict.reasons:
        first, *rest = wrap(reason, WIDTH - 4)
        lines += [f"  - {first}", *(f"    {line}" for line in rest)]
    return "\n".join(lines)


def _scores(comparison: Comparison) -> str:
    rows = score_rows(comparison)
    known = [value for row in rows for value in (row.mean, row.lower, row.upper) if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    others = list(dict.fromkeys(name for row in rows for name in row.others))[:3]
    width = min(max([len(row.arm) for row in rows] + [6]), 24)
    head = f"{'arm':<{width + 2}}{metric_label(comparison.metric):>10}  {'95 % interval':<21}{'':{BAR + 2}}"
    head += "".join(f" {metric_label(name):>10}" for name in others)
    lines = [head.rstrip()]
    for row in rows:
        mark = "*" if row.compared else " "
        interval = f"{number(row.lower)} to {number(row.upper)}" if math.isfinite(row.lower) else "–"
        line = f"{mark} {row.arm[:width]:<{width}}{number(row.mean):>10}  {interval:<21}{_bar(row, low, high)}  "
        lines.append((line + "".join(f" {number(row.others.get(name)):>10}" for name in others)).rstrip())
    return "\n".join(lines)


def _bar(row: ScoreRow, low: float, high: float) -> str:
    """Interval and mean of one arm on the axis that all arms share."""
    if not math.isfinite(row.mean):
        return " " * BAR
    span = (high - low) or 1.0

    def place(value: float) -> int:
        return round((value - low) / span * (BAR - 1))

    cells = [" "] * BAR
    if math.isfinite(row.lower):
        for cell in range(place(row.lower), place(row.upper) + 1):
            cells[cell] = "-"
    cells[place(row.mean)] = "o"
    return "".join(cells)


def _gap(comparison: Comparison) -> str:
    gap = comparison.gap_ledger
    if gap is None:
        return ""
    lines = ["Where the gap comes from:", *(f"  {line}" for line in wrap(gap.sentence, WIDTH - 2))]
    for row in gap_rows(comparison)[:6]:
        lines.append(f"  {row['share']:>10}  {row['term'][:52]:<52}  {row['interval']}")
    if gap.respecified.get("formula"):
        lines.append("  toolkit respecify writes the pipeline that runs the regression with these terms")
    return "\n".join(lines)


def _checks(comparison: Comparison) -> str:
    groups, arms = check_rows(comparison), check_arms(comparison)
    if not groups:
        return ""
    lines = ["Checks (+ good, ! notice, x poor, . not applicable):"]
    for arm in arms:
        marks = {}
        for group, rows in groups.items():
            found = [row.answers[arm].verdict for row in rows if arm in row.answers]
            marks[group] = "".join(MARKS.get(verdict, "?") for verdict in found)
        lines.append(f"  {arm[:24]:<24} " + "  ".join(f"{group} {line}" for group, line in marks.items() if line))
    worst = [check for check in comparison.checks_found if check.verdict == "poor" and check.arm in arms[:2]]
    for check in worst[:6]:
        text = f"{check.arm}, {(check.details or {}).get('title') or check.check.replace('_', ' ')}: {check.reason}"
        lines += [f"  {'x' if i == 0 else ' '} {line}" for i, line in enumerate(wrap(text, WIDTH - 4))]
    if len(worst) > 6:
        lines.append(f"  and {len(worst) - 6} more in the report")
    return "\n".join(lines)


def _remedy(comparison: Comparison) -> str:
    return "\n".join(wrap(comparison.remedy.sentence, WIDTH)) if comparison.remedy else ""


def _failures(comparison: Comparison) -> str:
    lines = [f"  {arm.name}, {cause}" for arm in comparison.arms.values() for cause in arm.failures]
    took = f"Took {duration(comparison.seconds)}." if comparison.seconds else ""
    if not lines:
        return took
    shown = lines[:6] + ([f"  and {len(lines) - 6} more"] if len(lines) > 6 else [])
    return "\n".join(["Failed fits:", *shown, took]).rstrip()
