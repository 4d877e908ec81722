"""Numbers, times and names as the reports print them."""

from __future__ import annotations

import math
import re
from typing import Any

from toolkit.evaluation.scores import METRICS

__all__ = ["cell_text", "duration", "fact_text", "greater_is_better", "headline", "metric_label", "number", "p_text"]


def number(value: Any, digits: int = 4) -> str:
    """`value` with `digits` significant digits, an en dash where there is none."""
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return value if isinstance(value, str) else "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    text = f"{value:,.{max(digits - 1 - size, 0)}f}" if -4 <= size < 7 else f"{value:.{digits - 1}e}"
    return text.replace("-", "−")


def headline(paragraph: str) -> tuple[str, str]:
    """The first sentence of a paragraph, and the rest of it: a heading is read in one breath.

    Examples
    --------
    >>> headline("neural wins, by 5.6 % of 0.3. The chance is 99 %. Use both.")
    ('neural wins, by 5.6 % of 0.3.', 'The chance is 99 %. Use both.')
    """
    first, *rest = re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph, maxsplit=1)
    return first, "".join(rest)


def p_text(value: float | None) -> str:
    """A p-value as papers print it."""
    if value is None or not math.isfinite(value):
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.2f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


# Scores of intervals: conformal ones, made alike for every arm, and the arms' own
INTERVAL_LABELS = {
    "coverage": "coverage", "winkler": "Winkler", "pinball": "pinball", "crps": "CRPS",
    "own_coverage": "own coverage", "own_winkler": "own Winkler", "own_pinball": "own pinball",
}  # fmt: skip


def metric_label(name: str) -> str:
    if name in INTERVAL_LABELS:
        return INTERVAL_LABELS[name]
    return METRICS[name].label if name in METRICS else name.replace("_", " ").upper()


def greater_is_better(name: str) -> bool:
    return name in METRICS and METRICS[name].greater_is_better


def fact_text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(number(item) if isinstance(item, float) else str(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else number(value) if isinstance(value, float) else str(value)


def cell_text(column: Any, value: Any) -> str:
    """One cell of a term table."""
    if str(column) in ("p_value", "p"):
        return p_text(value)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return "–" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else number(float(value))
