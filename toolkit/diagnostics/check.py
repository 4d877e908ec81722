"""The record that every diagnostic answers with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["VERDICTS", "Check"]

VERDICTS = ("good", "notice", "poor", "not applicable")


@dataclass(frozen=True)
class Check:
    """One question asked of one arm, and its answer.

    A check that cannot be asked has the verdict "not applicable", no statistic, and a reason that says why.
    """

    check: str  # name, e.g. "breusch_pagan"
    arm: str
    group: str  # assumptions, residuals, generalization
    null: str  # null hypothesis in words
    statistic: float | None
    p_value: float | None
    effect: float | None  # effect size in the units that `effect_unit` names
    verdict: str  # one of VERDICTS
    reason: str  # one line: what was found and what to do
    effect_unit: str = ""
    threshold: float | None = None  # the effect size from which the verdict is worse than "good"
    reference: str = ""  # paper, book or manual that the threshold and the test come from
    details: dict[str, Any] | None = None  # plain numbers for tables and figures

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
