"""The gap ledger as rows of words, for the page, its Markdown twin and the terminal."""

from __future__ import annotations

from toolkit.comparison.record import Comparison
from toolkit.reporting.words import number, p_text

__all__ = ["gap_rows"]


def gap_rows(comparison: Comparison) -> list[dict[str, str]]:
    """One row per step of the ledger; empty where there is none."""
    gap = comparison.gap_ledger
    if gap is None:
        return []
    rows = []
    for entry in gap.entries:
        facts = entry.details
        fraction = entry.share / gap.total if gap.total else None
        rows.append(
            {
                "term": entry.term,
                "kind": entry.kind,
                "share": number(entry.share, 3),
                "interval": f"{number(entry.lower, 3)} to {number(entry.upper, 3)}",
                "fraction": "–" if fraction is None else f"{fraction:.0%}",
                "p_value": p_text(facts.get("p_value")),
                "chosen": f"{facts['chosen']} of {facts['folds']}" if "chosen" in facts else "–",
            }
        )
    return rows
