"""Several targets: one answer for each check."""

from __future__ import annotations

from dataclasses import replace

from toolkit.diagnostics.check import Check

__all__ = ["worst_over_targets"]


def worst_over_targets(per_target: dict[str, list[Check]]) -> list[Check]:
    """One answer per check: the worst over targets, with the others beside it."""
    if len(per_target) == 1:
        return next(iter(per_target.values()))
    rank = {"poor": 3, "notice": 2, "good": 1, "not applicable": 0}
    by_check: dict[str, dict[str, Check]] = {}
    for target, answers in per_target.items():
        for answer in answers:
            by_check.setdefault(answer.check, {})[target] = answer
    out = []
    for found in by_check.values():
        target, worst = max(found.items(), key=lambda item: (rank[item[1].verdict], item[1].effect or 0.0))
        table = [
            {"target": t, "effect": c.effect, "p_value": c.p_value, "verdict": c.verdict} for t, c in found.items()
        ]
        details = {**(worst.details or {}), "target": target, "per_target": table}
        out.append(replace(worst, reason=f"{target}: {worst.reason}", details=details))
    return out
