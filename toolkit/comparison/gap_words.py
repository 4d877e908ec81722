"""The ledger in words: what each step is, and the whole in one line."""

from __future__ import annotations

from typing import Any

from toolkit.comparison.gap_search import Candidate
from toolkit.comparison.record import Gap, GapEntry
from toolkit.specification.basis import Marginal

__all__ = ["HIGH_ORDER", "gap_sentence", "said_of"]

HIGH_ORDER = "high-order remainder"
NAMED = 3  # causes that the sentence names; the others are counted
SMALL = 0.03  # share of the gap under which a cause is not named
MOST = 0.5  # share of the gap from which on the remainder is called most of it


def said_of(candidate: Candidate, marginals: dict[str, Marginal]) -> str:
    """A term as a sentence names it: a bend in temp, the levels of season, bmi > 30 : smoker."""
    form, key = candidate.form, candidate.key
    if len(key) > 1:
        return form.name if form is not None and form.kind == "threshold" else ":".join(key)
    if form is not None:
        return {"step": f"a step at {form.name}", "kink": f"a kink, {form.name}"}.get(form.shapes[0], form.name)
    variable = marginals[key[0]].variable
    if variable.kind == "factor":
        return f"the levels of {key[0]}"
    return f"the cycle of {key[0]}" if variable.kind == "cyclic" else f"a bend in {key[0]}"


def gap_sentence(gap: Gap) -> str:
    """One line: how large the gap is, which causes close how much of it, and what is left after the repair."""
    unit, total = _scale(gap)
    said = [f"{_points(e.share * unit)} from {e.details['words']}" for e in _named(gap)]
    further = [e for e in gap.entries if e.kind != "remainder" and e not in _named(gap)]
    if further:
        rest = sum(e.share for e in further)
        said.append(f"{_points(rest * unit)} from {len(further)} smaller step{'s' if len(further) > 1 else ''}")
    left = gap.entries[-1]
    said.append(f"{_points(left.share * unit)} unexplained" if left.share >= 0 else "more than all of it")
    said[0] = said[0].replace(" ", " points " if total.endswith("%") else " ", 1)
    parts = [f"{gap.net} is {total} better than {gap.start}: {', '.join(said)}"]
    if gap.lower <= 0:
        parts.append("the gap itself may be nothing: its interval includes 0")
    elif left.share > MOST * gap.total:
        where = {HIGH_ORDER: "in combinations of three columns or more, which no short formula holds"}
        parts.append(f"more than half of the gap stays {where.get(left.term, 'in what no step of the ladder names')}")
    parts.append(_after(gap, unit))
    return "; ".join(parts) + "."


def _after(gap: Gap, unit: float) -> str:
    repaired = gap.respecified
    if not repaired:
        return "no term is proposed"
    if repaired.get("reason"):
        return str(repaired["reason"])
    if repaired["decision"] == "regression":
        return f"with these terms {gap.start} is the better one"
    if repaired["gain"] <= 0:
        return "with these terms nothing is left of the gap"
    fallen = f"with these terms the gain falls to {_amount(repaired['gain'], unit)}"
    return fallen + {"equivalent": ", within the margin", "neural": " and stays"}.get(repaired["decision"], "")


def _named(gap: Gap) -> list[GapEntry]:
    """The largest causes that the sentence names, in the order of the ladder."""
    usable = [e for e in gap.entries if e.kind != "remainder" and e.lower > 0 and e.share >= SMALL * gap.total]
    largest = sorted(usable, key=lambda e: -e.share)[:NAMED]
    return [e for e in gap.entries if any(e is one for one in largest)]


def _scale(gap: Gap) -> tuple[float, str]:
    """Factor from units of the metric to what is shown, and the total in words: per cent of the start's score."""
    base: Any = gap.details.get("start_score")
    unit = 100 / abs(base) if base and gap.details.get("metric") not in ("r2", "auc") else 1.0
    return unit, _amount(gap.total, unit)


def _amount(value: float, unit: float) -> str:
    return f"{_points(value * unit)} %" if unit != 1.0 else f"{value:.3g}"


def _points(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 9.5 else f"{value:.1f}" if abs(value) >= 0.1 else f"{value:.2g}"
