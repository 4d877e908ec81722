"""What a fitted forecaster says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.models.neural.forecasting_plan import Plan
from toolkit.models.neural.forecasting_start import Start

if TYPE_CHECKING:  # a fitted net forecasts without the trainer
    from toolkit.models.neural.stack import Trained

__all__ = ["describe"]


def describe(plan: Plan, trained: Trained, seeds: list[int]) -> dict:
    """What the evaluation stores beside the forecasts."""
    start, findings = plan.start, list(trained.findings)
    if not plan.validation.count:
        findings.append({
            "finding": "too_short", "column": None,
            "message": "The series are too short to hold anything back: the closed form with a fixed penalty is used.",
            "advice": "Give longer series or a shorter horizon.",
        })  # fmt: skip
    scale = "the window's own scale" if start.layout.local_scale else "the series' scale"
    return {
        "members": len(trained.best_epochs),
        "seeds": seeds,
        "parameters": sum(p.numel() for p in trained.network.parameters()) // len(trained.best_epochs),
        "best_epochs": trained.best_epochs,
        "curves": trained.curves,
        "restarts": trained.restarts,
        "findings": findings,
        "family": "log" if plan.encoder.log else "none",
        "lookback": start.layout.lookback,
        "start": {"validation_loss": start.loss, "parts": [vars(part) for part in start.parts]},
        "tried": list(plan.tried),
        "validation_losses": trained.best_losses,
        "notes": [
            f"starts at {_closed_form(start)}, lags less the last value, over {scale}",
            *_training(trained),
        ],
    }


def _closed_form(start: Start) -> str:
    """The maps whose mean the start is, in words."""
    lags = ", ".join(f"{part.lookback} (penalty {part.ridge:g})" for part in start.parts)
    weights = sorted({part.own_weight for part in start.parts if part.own_weight is not None})
    between = " to ".join(f"{weight:g}" for weight in dict.fromkeys((weights[0], weights[-1]))) if weights else ""
    own = f", weights of each series' own shrunk by {between} windows" if weights else ""
    if len(start.parts) == 1:
        return f"a ridge regression on the lags up to {lags}{own}"
    return f"the mean of ridge regressions on the lags up to {lags}{own}"


def _training(trained: Trained) -> list[str]:
    """How far training got from the start, in words."""
    count = len(trained.best_epochs)
    kept = sum(epoch == 0 for epoch in trained.best_epochs)
    if not trained.curves or not kept:
        return []
    return [f"{kept} of {count} members end where they start: no epoch had a smaller loss on the validation windows"]
