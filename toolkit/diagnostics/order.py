"""Which checks matter for the model at hand, and in which order they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.catalogue_innovations import INNOVATIONS
from toolkit.diagnostics.check import Check

__all__ = ["FIRST", "order_checks"]

_ALWAYS = ("learnability", "calibration_line", "train_test_gap", "residuals_by_feature", "interval_coverage",
           "outside_hull", "shared_residuals")  # fmt: skip
_CONTINUOUS = ("reset", "breusch_pagan", "collinearity", "cooks_distance", "quantile_uniformity")
# Target kind -> checks that a reader wants to see whatever they say; the others show up when they find something
FIRST: dict[str, tuple[str, ...]] = {
    "real": (*_CONTINUOUS, *_ALWAYS),
    "positive": (*_CONTINUOUS, *_ALWAYS),
    "count": ("reset", "dispersion", "zero_inflation", "collinearity", "quantile_uniformity", *_ALWAYS),
    "binary": ("reset", "calibration_bins", "separation", "collinearity", *_ALWAYS),
}
_ORDERED = ("durbin_watson", "cusum", *(row[0] for row in INNOVATIONS))
_RANK = {"poor": 0, "notice": 1, "good": 2, "not applicable": 3}


def order_checks(
    checks: Sequence[Check], arms_info: Mapping[str, Mapping[str, Any]], target_kind: str
) -> tuple[Check, ...]:
    """Checks by room (assumptions, residuals, generalization) and catalogue order, with `details["first"]` set.

    A check is shown first for all arms when it belongs to this kind of target, to data with an order or with groups
    (then it is applicable), or when it found something in one of the two sides; it is folded away when it does not
    apply to any arm.
    """
    sides = list(arms_info)[:2]
    asked: dict[str, list[Check]] = {}
    for check in checks:
        asked.setdefault(check.check, []).append(check)
    core = set(FIRST.get(target_kind, FIRST["real"])) | {*_ORDERED, "cluster_correlation", "spatial"}
    first = {
        name
        for name, answers in asked.items()
        if any(c.verdict != "not applicable" for c in answers)
        and (name in core or any(c.verdict == "poor" and c.arm in sides for c in answers))
    }
    place = {name: i for i, name in enumerate(CATALOGUE)}
    arm_place = {arm: i for i, arm in enumerate(arms_info)}
    marked = [replace(c, details={**(c.details or {}), "first": c.check in first}) for c in checks]
    return tuple(sorted(marked, key=lambda c: (c.check not in first, place[c.check], arm_place.get(c.arm, 99))))
