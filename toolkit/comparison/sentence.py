"""The verdict as one paragraph in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.comparison.bayes import DECISION_PROBABILITY

__all__ = ["number", "percent", "probability", "verdict_reasons", "verdict_sentence"]

# How each test is called in a sentence.
TEST_WORDS = {
    "corrected_row_test": "row-level test over all folds",
    "corrected_t": "corrected t test over folds",
    "series_test": "test with the series as independent units",
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
    """The paragraph: the answer first, then how sure it is; what lies behind it stands in `verdict_reasons`.

    Parameters
    ----------
    facts : mapping
        decision, reason, arms (pair), label (of the metric), scores (pair), gain, lower, upper (gain of the second
        arm, metric units), gain_percent, lower_percent, upper_percent (None where the score of `reference` is 0),
        reference (arm whose score the per cents are of), margin (absolute), margin_given ({value, unit}),
        probabilities, test, n, unit, identical; optional: detectable, needed, targets ({target: gain in per cent}),
        encompassing, uncertainty, quick, provisional (reason), cause (why nothing was decided).
    """
    head = {"neural": _winner, "regression": _winner, "equivalent": _equivalent, "undecided": _undecided}
    parts = [head[facts["decision"]](facts), *_targets(facts), *_both(facts), *_caveats(facts)]
    return " ".join(part for part in parts if part)


def verdict_reasons(facts: Mapping[str, Any]) -> list[str]:
    """The numbers behind the sentence, a line each: gain in units of the metric, power, uncertainty, targets."""
    first, second = facts["arms"]
    called = {"regression": first, "neural": second}.get(facts["decision"], facts["decision"])
    lines = [f"{called}: {facts['reason']}"]
    if facts.get("identical"):
        return lines
    share = "" if facts["gain_percent"] is None else f" ({percent(facts['gain_percent'])} of {facts['reference']}'s)"
    lines.append(
        f"gain of {second} over {first}: {number(facts['gain'])} {facts['label']}{share}, 95 % interval "
        f"{number(facts['lower'])} to {number(facts['upper'])}, margin {number(facts['margin'])}; "
        f"{TEST_WORDS.get(facts['test'], facts['test'])}, {facts['n']:,} {facts['unit']}"
    )
    if facts["decision"] in ("undecided", "equivalent") and facts.get("detectable") is not None:
        lines.append(
            f"the smallest true gain that a comparison of this size finds in four of five cases is "
            f"{number(facts['detectable'])} {facts['label']}"
        )
    if facts.get("nested"):
        p = facts.get("clark_west_p")
        lines.append(
            f"nested models: {second} has every input of {first}, so that its estimation noise counts against it; the "
            f"test of Clark and West, which takes that out, has p = {'none' if p is None else f'{p:.3g}'}"
        )
    return [*lines, *_more_data(facts), *_uncertainty(facts), *_by_target(facts)]


def _more_data(facts: Mapping[str, Any]) -> list[str]:
    needed = facts.get("needed")
    if facts["decision"] != "undecided" or not needed or not needed.get("needed"):
        return []
    first, second = facts["arms"]
    claim = {"neural": f"{second} wins", "regression": f"{first} wins", "equivalent": "both are equivalent"}
    return [
        f"if the true gain is the one measured, {needed['needed']:,} {needed['unit']} (now {needed['now']:,}) give the "
        f"answer in four of five cases: {claim[needed['claim']]}"
    ]


def _uncertainty(facts: Mapping[str, Any]) -> list[str]:
    shares = facts.get("uncertainty") or {}
    named = (("rows", "the judging rows"), ("splits", "other training rows"), ("seeds", "the seeds of the nets"))
    known = [(shares.get(f"{key}_share") or 0.0, words) for key, words in named]
    listed = ", ".join(f"{100 * share:.0f} % from {words}" for share, words in known if share > 0)
    return [f"of the variance of the gain come {listed}"] if listed else []


def _by_target(facts: Mapping[str, Any]) -> list[str]:
    targets = facts.get("targets") or {}
    if len(targets) < 2:
        return []
    listed = ", ".join(
        f"{name} {'no score to compare' if gain is None else percent(gain)}" for name, gain in list(targets.items())[:8]
    )
    more = f" and {len(targets) - 8} more" if len(targets) > 8 else ""
    return [f"gain of {facts['arms'][1]} by target: {listed}{more}"]


def _scores(facts: Mapping[str, Any], first: int, second: int) -> str:
    return f"{facts['label']} {number(facts['scores'][first])} against {number(facts['scores'][second])}"


def _in_percent(facts: Mapping[str, Any]) -> bool:
    """Per cents are the unit of the sentence unless the margin is in units of the metric or there is no base."""
    return facts["margin_given"]["unit"] == "percent" and facts["gain_percent"] is not None


def _size(facts: Mapping[str, Any], key: str, sign: int) -> float:
    return sign * facts[f"{key}_percent" if _in_percent(facts) else key]


def _amount(facts: Mapping[str, Any], value: float, of: bool = False, behind: str = "") -> str:
    """A difference in words; per cents of another score than that of the arm it is compared with say so."""
    if not _in_percent(facts):
        return number(value)
    return percent(value) + (f" of the score of {facts['reference']}" if of and facts["reference"] != behind else "")


def _range(facts: Mapping[str, Any], sign: int) -> str:
    """The interval as seen from the arm that is ahead (sign 1: the second one)."""
    low, high = sorted((_size(facts, "lower", sign), _size(facts, "upper", sign)))
    if low < 0 < high:
        return f"{_amount(facts, -low)} worse to {_amount(facts, high)} better"
    return f"{_amount(facts, low)} to {_amount(facts, high)}"


def _margin(facts: Mapping[str, Any]) -> str:
    given = facts["margin_given"]
    if given["unit"] == "percent":
        return f"the margin of {percent(float(given['value']))}"
    return f"the margin of {number(facts['margin'])}"


def _winner(facts: Mapping[str, Any]) -> str:
    best = 1 if facts["decision"] == "neural" else 0
    names, sign = facts["arms"], 1 if best else -1
    gain = _amount(facts, _size(facts, "gain", sign), True, names[1 - best])
    return (
        f"{names[best]} predicts better than {names[1 - best]}, by {gain} ({_scores(facts, best, 1 - best)}; 95 % "
        f"interval of the gain {_range(facts, sign)}). The chance that the gain exceeds {_margin(facts)} is "
        f"{probability(facts['probabilities'][facts['decision']])}."
    )


def _equivalent(facts: Mapping[str, Any]) -> str:
    first, second = facts["arms"]
    if facts.get("identical"):
        return (
            f"{first} and {second} are equivalent: they make the same predictions up to rounding "
            f"({facts['label']} {number(facts['scores'][0])}). Take the cheaper or the easier one to explain."
        )
    ahead, sign = (1, 1) if facts["gain"] >= 0 else (0, -1)
    behind = facts["arms"][1 - ahead]
    return (
        f"{first} and {second} are equivalent for this purpose: {_scores(facts, 0, 1)}, {facts['arms'][ahead]} ahead "
        f"by {_amount(facts, _size(facts, 'gain', sign), True, behind)} (95 % interval {_range(facts, sign)}). The "
        f"chance that the true difference is smaller than {_margin(facts)} is "
        f"{probability(facts['probabilities']['equivalent'])}. Take the cheaper or the easier one to explain."
    )


def _undecided(facts: Mapping[str, Any]) -> str:
    if facts.get("cause"):
        first, second = facts["arms"]
        return f"Not decided between {first} and {second} ({_scores(facts, 0, 1)}): {facts['cause']}."
    ahead, sign = (1, 1) if facts["gain"] >= 0 else (0, -1)
    best, other = facts["arms"][ahead], facts["arms"][1 - ahead]
    gain = _amount(facts, _size(facts, "gain", sign), True, other)
    return (
        f"Not decided: {best} scores better than {other} here, by {gain} ({_scores(facts, ahead, 1 - ahead)}), but the "
        f"true gain may be anything from {_range(facts, sign)} (95 % interval). {_likeliest(facts)} "
        f"{_would_decide(facts)}"
    ).rstrip()


def _likeliest(facts: Mapping[str, Any]) -> str:
    """The claim that comes nearest, and what it lacks."""
    claims, (first, second) = facts["probabilities"], facts["arms"]
    claim = max(claims, key=lambda name: claims[name])
    words = {
        "neural": f"{second} is better by more than {_margin(facts)}",
        "regression": f"{first} is better by more than {_margin(facts)}",
        "equivalent": f"they differ by less than {_margin(facts)}",
    }
    lacks = "95 % is needed" if claims[claim] < DECISION_PROBABILITY else f"but {facts['reason']}"
    return f"The chance that {words[claim]} is {probability(claims[claim])}; {lacks}."


def _would_decide(facts: Mapping[str, Any]) -> str:
    needed = facts.get("needed")
    if not needed:
        return ""
    if not needed.get("needed"):
        return "The measured gain lies so close to the margin that no realistic amount of data would decide it."
    return f"About {needed['needed']:,} {needed['unit']} instead of {needed['now']:,} would decide it."


def _targets(facts: Mapping[str, Any]) -> list[str]:
    targets = facts.get("targets") or {}
    return [f"These are averages over {len(targets)} targets."] if len(targets) > 1 else []


def _both(facts: Mapping[str, Any]) -> list[str]:
    found = facts.get("encompassing") or {}
    if not found.get("use_both"):
        return []
    return [
        f"Use both if you can: {100 * found['mean_weight']:.0f} % {facts['arms'][1]} and the rest {facts['arms'][0]} "
        f"reach {facts['label']} {number(found['score'])}, better than either alone."
    ]


def _caveats(facts: Mapping[str, Any]) -> list[str]:
    if facts.get("quick"):
        return ["This was a quick run with reduced settings: the verdict is provisional."]
    if facts.get("provisional"):
        return [f"The verdict is provisional: {facts['provisional']}."]
    return []
