"""Residuals over every feature, small, and the slices that are predicted worst: rows from what the checks found."""

from __future__ import annotations

from typing import Any

from toolkit.comparison.record import Comparison
from toolkit.diagnostics.check import Check
from toolkit.reporting.content import side_kinds, sides
from toolkit.reporting.words import number, p_text

__all__ = ["feature_rows", "slice_rows"]

WIDTH, HEIGHT = 190, 46  # pixels of a small curve
MOST_SLICES = 6


def feature_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row for each feature: numbers and a small curve for each side, all on one vertical axis."""
    curves = {arm: _details(comparison, "residuals_by_feature", arm).get("curves") or {} for arm in sides(comparison)}
    features = dict.fromkeys(feature for found in curves.values() for feature in found)
    if not features:
        return []
    heights = [abs(v) for found in curves.values() for c in found.values() for v in (*c["lower"], *c["upper"])]
    reach = sorted(heights)[int(0.98 * (len(heights) - 1))] or 1.0
    kinds = side_kinds(comparison)
    rows = []
    for feature in features:
        known = {arm: found[feature] for arm, found in curves.items() if feature in found}
        rows.append(
            {
                "feature": feature,
                "numbers": {
                    arm: f"{curve['share']:.1%} of the variance, p {p_text(curve['p_value'])}"
                    for arm, curve in known.items()
                },
                "lines": [_line(curve, kinds[arm], reach) for arm, curve in known.items()],
                "worst": max(curve["share"] for curve in known.values()),
                "alt": f"Mean residual along {feature}: "
                + "; ".join(
                    f"{arm} from {number(min(curve['mean']), 2)} to {number(max(curve['mean']), 2)}"
                    for arm, curve in known.items()
                ),
            }
        )
    return sorted(rows, key=lambda row: -row["worst"])


def _line(curve: dict[str, Any], kind: str, reach: float) -> dict[str, Any]:
    """Points of the curve and outline of its band, in pixels; levels are dots with bars."""
    n = len(curve["mean"])
    x = [4 + (WIDTH - 8) * (i / max(n - 1, 1)) for i in range(n)]

    def y(value: float) -> float:
        return round(HEIGHT / 2 * (1 - max(-1.0, min(1.0, value / reach)) * 0.94), 1)

    mean, lower, upper = ([y(v) for v in curve[key]] for key in ("mean", "lower", "upper"))
    points = [(round(a, 1), b) for a, b in zip(x, mean, strict=True)]
    band = [*zip(x, upper, strict=True), *reversed(list(zip(x, lower, strict=True)))]
    return {
        "kind": kind,
        "numeric": curve["numeric"],
        "points": " ".join(f"{a},{b}" for a, b in points),
        "band": " ".join(f"{a:.1f},{b}" for a, b in band),
        "dots": [(a, b, low, high) for (a, b), low, high in zip(points, lower, upper, strict=True)],
    }


def slice_rows(comparison: Comparison) -> list[list[str]]:
    """[arm, slice, rows, loss over that of the rest]: the worst slices of each side."""
    return [
        [arm, f"{row['feature']}: {row['slice']}", f"{row['rows']:,}", f"{number(row['ratio'], 3)} times"]
        for arm in sides(comparison)
        for row in (_details(comparison, "worst_slices", arm).get("slices") or [])[:MOST_SLICES]
    ]


def _details(comparison: Comparison, check: str, arm: str) -> dict[str, Any]:
    found: Check | None = next((c for c in comparison.checks_found if c.check == check and c.arm == arm), None)
    return (found.details if found else None) or {}
