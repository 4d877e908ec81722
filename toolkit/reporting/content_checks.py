"""The checks as the page and its twins show them: one row per check, an answer for each arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolkit.comparison.record import Comparison
from toolkit.diagnostics.check import Check

__all__ = ["CheckRow", "check_arms", "check_counts", "check_rows"]

SEVERITY = {"poor": 0, "notice": 1, "good": 2, "not applicable": 3}


@dataclass(frozen=True)
class CheckRow:
    """One check and its answer for each arm."""

    name: str
    group: str
    null: str
    reference: str
    answers: dict[str, Check]

    @property
    def title(self) -> str:
        return self._detail("title") or self.name.replace("_", " ")

    @property
    def shown(self) -> bool:
        """Whether it matters for the model at hand; without that knowledge, whether it raises a doubt."""
        first = self._detail("first")
        return self.worst < SEVERITY["good"] if first is None else bool(first)

    @property
    def worst(self) -> int:
        return min(SEVERITY.get(answer.verdict, 3) for answer in self.answers.values())

    def _detail(self, key: str) -> Any:
        return next((a.details[key] for a in self.answers.values() if a.details and key in a.details), None)


def check_rows(comparison: Comparison) -> dict[str, list[CheckRow]]:
    """Checks by group (assumptions, residuals, generalization, then others); the most serious first."""
    table: dict[tuple[str, str], dict[str, Check]] = {}
    arms = check_arms(comparison)
    for check in (one for one in comparison.checks_found if one.arm in arms):
        table.setdefault((check.group or "checks", check.check), {})[check.arm] = check
    groups: dict[str, list[CheckRow]] = {"assumptions": [], "residuals": [], "generalization": []}
    for (group, name), answers in table.items():
        first = next(iter(answers.values()))
        groups.setdefault(group, []).append(CheckRow(name, group, first.null, first.reference, answers))
    return {group: sorted(rows, key=lambda row: row.worst) for group, rows in groups.items() if rows}


def check_arms(comparison: Comparison) -> tuple[str, ...]:
    """Arms that were asked at least one check, the compared pair first; a treated regression has its own section."""
    treated = comparison.remedy.treated if comparison.remedy else ""
    asked = dict.fromkeys(check.arm for check in comparison.checks_found if check.arm != treated)
    pair = [arm for arm in comparison.verdict.arms if arm in asked]
    return tuple(dict.fromkeys([*pair, *asked]))


def check_counts(comparison: Comparison) -> dict[str, dict[str, int]]:
    """Arm -> verdict -> number of checks."""
    counts: dict[str, dict[str, int]] = {arm: dict.fromkeys(SEVERITY, 0) for arm in check_arms(comparison)}
    for check in (one for one in comparison.checks_found if one.arm in counts):
        counts[check.arm][check.verdict] = counts[check.arm].get(check.verdict, 0) + 1
    return counts
