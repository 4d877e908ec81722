"""What follows from a ledger: the pipeline of the repaired regression, and a verdict that is held until then."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from toolkit.comparison.record import Gap, Verdict
from toolkit.diagnostics.check import Check
from toolkit.errors import InputError

__all__ = ["respecified_settings", "specification_gate"]

FORM_CHECKS = ("reset", "learnability", "rainbow")


def respecified_settings(settings: Mapping[str, Any], gap: Gap) -> dict[str, Any]:
    """The pipeline that runs the proposed formula against the net on fresh folds.

    Raises
    ------
    InputError
        When the ledger proposed nothing.
    """
    formula, opened = gap.respecified.get("formula"), gap.respecified.get("settings")
    if not formula and opened is None:
        raise InputError(f"nothing to respecify: {gap.reason or _why_not(gap)}")
    made = deepcopy(dict(settings))
    net = gap.net or "neural"
    arms = made.get("arms") or {}
    own = gap.respecified.get("family")
    made["name"] = f"{made.get('name', 'comparison')}_respecified"
    repaired = "formula" if formula else "regression"  # forecasts have no formula, the arm's settings say it all
    settings_of_it = {"formula": formula, **({"family": own} if own else {})} if formula else dict(opened or {})
    made["arms"] = {**{name: value for name, value in arms.items() if name != repaired}, repaired: settings_of_it}
    made["arms"].setdefault(net, {})
    made["compare"] = [repaired, net]
    splits = dict(made.get("splits") or {})
    splits["seed"] = int(splits.get("seed") or 0) + 1  # fresh folds
    made["splits"] = splits
    return made


def _why_not(gap: Gap) -> str:
    if gap.respecified.get("reason"):
        return str(gap.respecified["reason"])
    if gap.respecified.get("by_target"):
        return (
            "every target has a formula of its own (gap.respecified.by_target in comparison.json); run them one by one"
        )
    if gap.respecified.get("terms"):
        return f"'{gap.start}' cannot be written as a formula, so that its repair cannot either"
    return "the ledger proposed no term"


def specification_gate(verdict: Verdict, checks: tuple[Check, ...], gap: Gap | None) -> Verdict:
    """Hold a `neural` verdict as provisional while its regression is known to be misspecified and can be repaired."""
    if verdict.decision != "neural" or gap is None or not gap.entries or gap.start != verdict.arms[0]:
        return verdict
    if not gap.respecified or gap.respecified.get("reason"):  # nothing proposed: there is no repair to wait for
        return verdict
    failing = [c.check for c in checks if c.arm == verdict.arms[0] and c.check in FORM_CHECKS and c.verdict == "poor"]
    closing = [e for e in gap.entries if e.kind not in ("remainder", "response scale", "refit") and e.lower > 0]
    if not failing or not closing:
        return verdict
    names = ", ".join(e.term for e in closing[:3])
    said = (
        f"provisional: '{verdict.arms[0]}' fails {', '.join(failing)}, and {names} would surely close a part of the gap"
    )
    repaired = gap.respecified
    if repaired.get("gain") is not None:
        said += (
            f"; after the repair the gain is {repaired['gain']:.4g} ({repaired['decision']}) instead of {gap.total:.4g}"
        )
    sentence = f"{verdict.sentence} Provisional{said[len('provisional') :]}."
    return replace(verdict, provisional=True, sentence=sentence, reasons=(*verdict.reasons, said))
