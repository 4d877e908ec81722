"""What a fitted forecaster says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.models.neural.forecasting_plan import Plan

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
    own = f", weights of each series' own shrunk by {start.own_weight:g} windows" if start.own_weight else ""
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
        "start": {"validation_loss": start.loss, "ridge": start.ridge, "own_weight": start.own_weight},
        "tried": list(plan.tried),
        "validation_losses": trained.best_losses,
        "notes": [
            f"starts at a ridge regression on {start.layout.lookback} lags less the last value, over {scale}, "
            f"penalty {start.ridge:g}{own}",
            *_training(trained),
        ],
    }


def _training(trained: Trained) -> list[str]:
    """How far training got from the start, in words."""
    count = len(trained.best_epochs)
    kept = sum(epoch == 0 for epoch in trained.best_epochs)
    if not trained.curves or not kept:
        return []
    return [f"{kept} of {count} members end where they start: no epoch had a smaller loss on the validation windows"]
