"""Where an arm does worst: levels and fifths of every feature, by loss and by interval coverage."""

from __future__ import annotations

import numpy as np
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.features import Bins, cut_number
from toolkit.diagnostics.view import ArmView

__all__ = ["check_slice_coverage", "check_worst_slices", "slices_of"]

SHOWN = 10


def slices_of(view: ArmView) -> dict[str, Bins]:
    """Feature -> fifths of a number, levels of a category."""
    if "slices" not in view.features.__dict__:  # cached on the features, which both arms share
        cut = {name: cut_number(values, most=5) for name, values in view.features.raw.items()}
        cut |= {name: bins for name, bins in view.features.bins.items() if not bins.numeric}
        view.features.__dict__["slices"] = {name: bins for name, bins in cut.items() if len(bins.labels) > 1}
    return view.features.__dict__["slices"]


def standard_loss(view: ArmView) -> np.ndarray:
    """Loss per row whose expectation does not move with a right prediction: the metric's, or squared Pearson residuals.

    The log loss of a fair coin is larger than that of a sure thing although both are predicted as well as can be.
    """
    return view.loss if view.family == "gaussian" else view.pearson**2


def _smallest(n: int) -> int:
    return max(15, n // 200)


def check_worst_slices(view: ArmView) -> Check:
    entry = CATALOGUE["worst_slices"]
    loss, shown_loss = standard_loss(view), view.loss
    n, total, squares = view.n, float(loss.sum()), float(loss @ loss)
    rows = []
    for feature, bins in slices_of(view).items():
        inside = bins.code >= 0
        code = bins.code[inside]
        count = np.bincount(code).astype(float)
        s, ss = np.bincount(code, weights=loss[inside]), np.bincount(code, weights=loss[inside] ** 2)
        shown = np.bincount(code, weights=shown_loss[inside]) / np.maximum(count, 1)
        for level in np.flatnonzero((count >= _smallest(n)) & (n - count >= _smallest(n))):
            m, rest = count[level], n - count[level]
            mean, mean_rest = s[level] / m, (total - s[level]) / rest
            variance = (ss[level] - m * mean**2) / (m - 1) / m
            variance += ((squares - ss[level]) - rest * mean_rest**2) / (rest - 1) / rest
            if mean_rest <= 0 or variance <= 0:
                continue
            t = (mean - mean_rest) / np.sqrt(variance)
            rows.append((t, mean / mean_rest, feature, bins.labels[level], int(m), float(shown[level])))
    if not rows:
        return entry.not_applicable(view.arm, "no feature with slices of 15 rows or more")
    rows.sort(reverse=True)
    t, ratio, feature, label, m, _ = rows[0]
    p_value = min(1.0, len(rows) * float(stats.t.sf(t, m - 1)))
    said = f"loss where {feature} is {label} ({m:,} rows) is {ratio:.2f} times that of the rest"
    table = [
        {"feature": f, "slice": label, "rows": size, "ratio": float(r), "mean_loss": shown, "t": float(t)}
        for t, r, f, label, size, shown in rows[:SHOWN]
    ]
    return entry.answer(
        view.arm, said, effect=float(ratio), statistic=float(t), p_value=p_value, details={"slices": table}
    )


def check_slice_coverage(view: ArmView, coverage: float) -> Check:
    entry = CATALOGUE["slice_coverage"]
    known = np.isfinite(view.lower) & np.isfinite(view.upper)
    if known.mean() < 0.5:
        return entry.not_applicable(view.arm, "the arm gives no intervals")
    held = (view.observed >= view.lower) & (view.observed <= view.upper)
    rows = []
    for feature, bins in slices_of(view).items():
        inside = (bins.code >= 0) & known
        count = np.bincount(bins.code[inside], minlength=len(bins.labels))
        hits = np.bincount(bins.code[inside], weights=held[inside], minlength=len(bins.labels))
        for level in np.flatnonzero(count >= _smallest(view.n)):
            m, hit = int(count[level]), int(hits[level])
            rows.append((float(stats.binom.cdf(hit, m, coverage)), hit / m, feature, bins.labels[level], m))
    if not rows:
        return entry.not_applicable(view.arm, "no feature with slices of 15 rows or more")
    rows.sort()
    p, share, feature, label, m = rows[0]
    said = f"where {feature} is {label} ({m:,} rows) intervals hold {share:.1%}, promised {coverage:.0%}"
    table = [{"feature": f, "slice": name, "rows": size, "coverage": s} for _, s, f, name, size in rows[:SHOWN]]
    return entry.answer(
        view.arm, said, effect=max(0.0, coverage - share), statistic=share, p_value=min(1.0, p * len(rows)),
        details={"slices": table},
    )  # fmt: skip
