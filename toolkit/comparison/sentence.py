"""The verdict as one paragraph in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["number", "percent", "probability", "verdict_sentence"]

# How each test is called in a sentence.
TEST_WORDS = {
    "corrected_row_test": "row-level test over all folds",
    "corrected_t": "corrected t test over folds",
    "paired_bootstrap": "studentised bootstrap of paired differences",
    "paired_t": "paired test of row differences",
    "diebold_mariano_fixed_b": "Diebold-Mariano test with fixed-b variance",
}


def number(value: float, digits: int = 4) -> str:
    """Four significant digits, with separators of thousands and no exponent where that can be read.

    Examples
    --------
    >>> number(5.49987), number(1234567.0), number(-0.00012345)
    ('5.5', '1,234,567', '-0.0001234')
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    if size < 1e-6:
        return f"{value:.2g}"
    text = f"{float(f'{value:.{digits}g}'):.12f}".rstrip("0").rstrip(".")
    return text


def percent(value: float) -> str:
    """
    Examples
    --------
    >>> percent(12.345), percent(0.04), percent(-3.0), percent(8.8e9)
    ('12.3 %', '0.04 %', '-3 %', 'over 10,000 %')
    """
    if abs(value) > 10_000:  # of a score that is next to nothing
        return "over 10,000 %" if value > 0 else "under -10,000 %"
    text = f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"
    return f"{float(text):,g} %"


def probability(value: float) -> str:
    """A probability in per cent that never claims certainty.

    Examples
    --------
    >>> probability(0.99999), probability(0.951), probability(0.00001)
    ('over 99.9 %', '95.1 %', 'under 0.1 %')
    """
    if value > 0.999:
        return "over 99.9 %"
    if value < 0.001:
        return "under 0.1 %"
    return f"{100 * value:.1f} %"


def verdict_sentence(facts: Mapping[str, Any]) -> str:
    """The paragraph.

    Parameters
    ----------
    facts : mapping
        decision, arms (pair), label (of the metric), scores (pair), gain, lower, upper (gain of the second arm, metric
        units; the limits may be None), gain_percent, reference (arm whose score the per cents are of), margin
        (absolute), margin_given ({value, unit}), probabilities, test, n, unit, greater_is_better, identical; optional:
        detectable, needed, targets ({target: gain in per cent}), encompassing, stress (list of words), quick,
        provisional (reason), cause (why nothing was decided).
    """
    head = {"neural": _winner, "regression": _winner, "equivalent": _equivalent, "undecided": _undecided}
    parts = [head[facts["decision"]](facts), *_targets(facts), *_both(facts), *_caveats(facts)]
    return " ".join(part for part in parts if part)


def _scores(facts: Mapping[str, Any], first: int, second: int) -> str:
    names, values = facts["arms"], facts["scores"]
    return (
        f"{facts['label']} {number(values[first])} ({names[first]}) against {number(values[second])} ({names[second]})"
    )


def _amount(facts: Mapping[str, Any], sign: int) -> str:
    """The difference with its interval, seen from the second arm (sign 1) or the first (sign -1)."""
    text = number(sign * facts["gain"])
    if facts["gain_percent"] is not None:
        text += f" ({percent(sign * facts['gain_percent'])} of the score of {facts['reference']})"
    if facts["lower"] is None:
        return text
    low, high = sorted((sign * facts["lower"], sign * facts["upper"]))
    return f"{text}, 95 % interval {number(low)} to {number(high)}"


def _margin(facts: Mapping[str, Any]) -> str:
    given = facts["margin_given"]
    if given["unit"] == "percent":
        return f"the margin of {percent(float(given['value']))} ({number(facts['margin'])})"
    return f"the margin of {number(facts['margin'])}"


def _basis(facts: Mapping[str, Any]) -> str:
    return f"{TEST_WORDS.get(facts['test'], facts['test'])}, {facts['n']:,} {facts['unit']}"


def _winner(facts: Mapping[str, Any]) -> str:
    best = 1 if facts["decision"] == "neural" else 0
    names = facts["arms"]
    return (
        f"{names[best]} predicts better than {names[1 - best]}: {_scores(facts, best, 1 - best)}, a gain of "
        f"{_amount(facts, 1 if best else -1)}. The probability that the gain is larger than {_margin(facts)} is "
        f"{probability(facts['probabilities'][facts['decision']])} ({_basis(facts)})."
    )


def _equivalent(facts: Mapping[str, Any]) -> str:
    first, second = facts["arms"]
    if facts.get("identical"):
        return (
            f"{first} and {second} are equivalent: they make the same predictions up to rounding "
            f"({facts['label']} {number(facts['scores'][0])}). Take the cheaper or the easier one to explain."
        )
    return (
        f"{first} and {second} are equivalent for this purpose: {_scores(facts, 0, 1)}, a difference of "
        f"{_amount(facts, 1)} in favour of {second if facts['gain'] >= 0 else first}"
        + f". The probability that it is smaller than {_margin(facts)} is "
        f"{probability(facts['probabilities']['equivalent'])} ({_basis(facts)}). "
        "Take the cheaper or the easier one to explain."
    )


def _undecided(facts: Mapping[str, Any]) -> str:
    first, second = facts["arms"]
    claims = facts["probabilities"]
    text = (
        f"Undecided between {first} and {second}: {_scores(facts, 0, 1)}, a gain of {second} of {_amount(facts, 1)}. "
    )
    if facts.get("cause"):
        text += f"{_capital(facts['cause'])}. "
    text += (
        f"Against {_margin(facts)}, the probability that {second} is better is {probability(claims['neural'])}, that "
        f"both are equivalent {probability(claims['equivalent'])}, that {first} is better "
        f"{probability(claims['regression'])} ({_basis(facts)})."
    )
    if facts.get("detectable") is not None:
        text += f" The smallest gain that would show here in four of five cases is {number(facts['detectable'])}."
    needed = facts.get("needed")
    if needed and needed.get("needed"):
        claim = {"neural": f"{second} wins", "regression": f"{first} wins", "equivalent": "both are equivalent"}
        text += (
            f" If the true gain is the one measured, about {needed['needed']:,} {needed['unit']} (now "
            f"{needed['now']:,}) would decide it: {claim[needed['claim']]}."
        )
    elif needed:
        text += " The measured gain lies so close to the margin that no realistic amount of data would decide it."
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _targets(facts: Mapping[str, Any]) -> list[str]:
    targets = facts.get("targets") or {}
    if len(targets) < 2:
        return []
    listed = ", ".join(
        f"{name} {'no score to compare' if gain is None else percent(gain)}" for name, gain in list(targets.items())[:8]
    )
    more = f" and {len(targets) - 8} more" if len(targets) > 8 else ""
    return [f"These are averages over {len(targets)} targets; gain of {facts['arms'][1]} by target: {listed}{more}."]


def _both(facts: Mapping[str, Any]) -> list[str]:
    found = facts.get("encompassing") or {}
    if not found.get("use_both"):
        return []
    return [
        "Using both is better than either alone: a mix with weight "
        f"{found['mean_weight']:.2f} on {facts['arms'][1]} reaches "
        f"{facts['label']} {number(found['score'])}, measured out of fold."
    ]


def _caveats(facts: Mapping[str, Any]) -> list[str]:
    words = [f"The gain vanishes {where}." for where in facts.get("stress") or []]
    if facts.get("quick"):
        words.append("This was a quick run with reduced settings: the verdict is provisional.")
    elif facts.get("provisional"):
        words.append(f"The verdict is provisional: {facts['provisional']}.")
    return words
