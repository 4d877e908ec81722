"""Before a forecasting net is trained: how far it looks back, on which scale, and from which closed form it starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from toolkit.errors import InputError
from toolkit.models.neural.forecasting_frames import SeriesEncoder
from toolkit.models.neural.forecasting_losses import ForecastLoss
from toolkit.models.neural.forecasting_panel import Layout, Panel
from toolkit.models.neural.forecasting_start import Start, choose_start
from toolkit.models.neural.windows import Origins, training_and_validation

__all__ = ["Plan", "lookback_candidates", "make_plan"]

LONGEST = 720  # lags at most, unless the user asks for more
VALIDATED = 4000  # validation windows at most
HELD = 0.2  # share of the last rows of a series that choose, at most; at least one horizon
ENOUGH = 200  # horizons to choose by, over all series; and at least three of each where the share allows it
CROSSED = 16  # targets up to which the lags of the others may enter
MOST_WINDOWS = 200_000  # of one pass over the windows
Settings = tuple[bool, bool, bool]  # logarithms, the window's own scale, crossed lags
WORK = 2e10  # products of one pass over the windows, about: fixes how many windows a wide layout uses


@dataclass(frozen=True)
class Plan:
    """What was chosen inside the training rows."""

    encoder: SeriesEncoder
    panel: Panel
    inner: Origins
    validation: Origins
    every: Origins
    start: Start
    settings: Settings
    tried: tuple[dict, ...] = ()


def make_plan(data, horizon: int, metric: str, loss: ForecastLoss, lookback: int | None, device: str) -> Plan:
    """Choose transform, scale, lookbacks and penalties by the closed form's loss on the last training windows.

    A change of the plain form (logarithms, the window's own scale, the lags of other targets) must lower the loss by
    more than its standard error: dividing by the size of a quiet window can send a forecast far away.
    """
    values = data.frame[list(data.targets)].to_numpy(float)
    seen = values[np.isfinite(values)]
    if not len(seen):
        raise InputError(f"'{data.targets[0]}' has no observed value in the training rows")
    tried: list[dict] = []
    best = _candidate(data, horizon, metric, loss, lookback, device, (False, False, False), tried)
    # One change at a time, kept where it pays: logarithms, the window's own scale, the lags of other targets.
    may_log = seen.min() >= 0 and seen.max() > 0
    may_cross = 1 < len(data.targets) <= CROSSED
    for change, allowed in enumerate((may_log, True, may_cross)):
        if allowed and best.validation.count:
            settings = tuple(value or i == change for i, value in enumerate(best.settings))
            other = _candidate(data, horizon, metric, loss, lookback, device, settings, tried)
            best = other if best.start.judged.worse(other.start.judged, 1.0) else best
    return replace(best, tried=tuple(tried))


def _candidate(
    data,
    horizon: int,
    metric: str,
    loss: ForecastLoss,
    lookback: int | None,
    device: str,
    settings: Settings,
    tried: list,
) -> Plan:
    """The best closed form with logarithms, local scale and crossed lags as set."""
    log, local, cross = settings
    encoder = SeriesEncoder(data, log, _scaling(metric))
    panel = encoder.panel(data.frame)[0].to(device)
    lengths = panel.stop - panel.first
    block = held_rows(lengths, horizon)
    candidates = [lookback] if lookback else lookback_candidates(data.periods, horizon, lengths - block)
    context = context_rows(max(candidates), encoder.season, horizon, lengths - block)
    inner, validation, every = training_and_validation(panel, horizon, context, block, VALIDATED)
    layout = _layout(max(candidates), horizon, encoder.season, local, cross)
    most = int(np.clip(WORK / layout.width(panel) ** 2, 20_000, MOST_WINDOWS))
    start = choose_start(panel, inner, validation, layout, candidates, loss, most)
    tried.append(_record(log, start))
    return Plan(encoder, panel, inner, validation, every, start, settings)


def _scaling(metric: str) -> str:
    if metric == "rmsle":
        return "none"
    return "seasonal" if metric in ("mase", "rmsse", "owa") else "deviation"


def _layout(lookback: int, horizon: int, season: int, local: bool, cross: bool) -> Layout:
    recent = min(lookback, max(season, 4), 24)
    return Layout(lookback, horizon, recent, min(lookback, max(2 * season, 8)), local, cross)


def _record(log: bool, start: Start) -> dict:
    layout = start.layout
    return {
        "log": log, "local_scale": layout.local_scale, "cross": layout.cross, "lookback": layout.lookback,
        "parts": [vars(part) for part in start.parts], "validation_loss": start.loss,
    }  # fmt: skip


def held_rows(lengths: Tensor, horizon: int) -> Tensor:
    """Rows at the end of each series that choose, [series]; none of a series that is shorter than two horizons.

    When every series is that short, a quarter of each.
    """
    most = horizon * max(3, math.ceil(ENOUGH / len(lengths)))
    share = (lengths * HELD).long().clamp(max=most).clamp(min=horizon)
    block = torch.where(lengths >= 2 * horizon + 2, share, torch.zeros_like(share))
    if not bool(block.any()):
        block = torch.where(lengths >= 4, torch.div(lengths, 4, rounding_mode="floor"), torch.zeros_like(lengths))
    return block


def lookback_candidates(periods: Sequence[int], horizon: int, lengths: Tensor) -> list[int]:
    """Lookbacks worth trying, ascending: seasons, seasons and a bit, the horizon; as far as half the series allow."""
    typical = float(lengths.double().median())
    most = int(np.clip((typical - horizon) * 0.6, 1, LONGEST))
    fitting = [p for p in periods if 1 < p <= most]
    if fitting:
        wanted = {
            2 * fitting[0],
            fitting[-1],
            fitting[-1] + fitting[0],
            int(1.5 * fitting[-1]),
            2 * fitting[-1],
            3 * fitting[-1],
        }
    else:
        wanted = {4, 8, horizon, 2 * horizon, 3 * horizon}
    return sorted(v for v in wanted if 0 < v <= most) or [most]


def context_rows(lookback: int, season: int, horizon: int, lengths: Tensor) -> int:
    """Rows before the first origin: the lookback where series are long, down to a season where they are short."""
    short = float(lengths.double().quantile(0.25)) - 2 * horizon
    return int(max(min(season, lookback), min(lookback, short), 1))
