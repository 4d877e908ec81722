"""The start of a forecasting net: closed forms over several lookbacks, averaged, and judged on held-back windows.

A long lookback has more to go by and more to misjudge, and a few hundred held-back horizons seldom tell which length is
best. So the maps of all lookbacks are averaged but those that are surely worse than the best one. The mean of linear
maps is a linear map of the longest lookback, at no cost in forecasting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from toolkit.models.neural.forecasting_linear import (
    LinearMap,
    Moments,
    affordable_by_channel,
    apply_linear,
    blocks,
    moments,
    solve_linear,
)
from toolkit.models.neural.forecasting_losses import ForecastLoss
from toolkit.models.neural.forecasting_panel import Layout, Panel
from toolkit.models.neural.windows import Batch, Origins, gather, in_target_units

__all__ = ["Judgement", "Part", "Start", "choose_start", "solve_start"]

RIDGES = (1e-5, 1e-3, 1e-2, 1e-1, 1.0)
CAUTIOUS = 0.1  # where nothing can be held back
OWN_WEIGHTS = (30.0, 100.0, 300.0, 1000.0, 3000.0)
FIRST = 300.0  # of the own weights
BLOCKS = 30  # stretches of held-back windows, at most, whose losses count as independent
SURELY = 2.0  # standard errors by which a lookback must fall behind the best one to be left out


@dataclass(frozen=True)
class Part:
    """One closed form: how far it looks back, and its penalties (see `solve_linear`)."""

    lookback: int
    ridge: float
    own_weight: float | None


@dataclass(frozen=True)
class Judgement:
    """Losses on the validation windows by stretch of neighbouring windows, each about a horizon long or longer.

    Attributes
    ----------
    total, seen : Tensor, [blocks], float64
        Sum of the losses and number of the values that were seen.
    """

    total: Tensor
    seen: Tensor

    @property
    def loss(self) -> float:
        """Mean loss over all values."""
        return float(self.total.sum() / self.seen.sum().clamp(min=1.0))

    def behind(self, other: Judgement) -> tuple[float, float]:
        """How much larger the mean loss is than that of another on the same windows, and the standard error of that.

        The difference is a ratio of sums over stretches, with the standard error of a ratio estimator (Cochran,
        Sampling Techniques, 1977, eq. 6.13).
        """
        count, k = self.seen.sum().clamp(min=1.0), len(self.seen)
        gap = (self.total - other.total).sum() / count
        rest = self.total - other.total - gap * self.seen
        return float(gap), float((rest.square().sum() * k / (k - 1)).sqrt() / count)

    def worse(self, other: Judgement, errors: float) -> bool:
        """Whether the mean loss is larger by more than so many standard errors; a loss without bounds always is."""
        if not (math.isfinite(self.loss) and math.isfinite(other.loss)):
            return math.isfinite(other.loss)
        gap, error = self.behind(other)
        return gap > errors * error


@dataclass(frozen=True)
class Start:
    """The chosen closed form: what it looks at, the maps whose mean it is, and its losses on the validation windows.

    `judged` is None where nothing could be held back.
    """

    layout: Layout
    parts: tuple[Part, ...]
    linear: LinearMap
    judged: Judgement | None = None

    @property
    def loss(self) -> float:
        """Mean loss on the validation windows; NaN without any."""
        return math.nan if self.judged is None else self.judged.loss

    @property
    def by_channel(self) -> bool:
        """Whether some channels have weights of their own."""
        return any(part.own_weight is not None for part in self.parts)


def solve_start(sums: Moments, parts: Sequence[Part], lookback: int) -> LinearMap:
    """The mean of the closed forms, each solved from the moments of the longest lookback.

    Parameters
    ----------
    sums : Moments
        With `lookback` lags.
    parts : sequence of Part
        With `lookback` lags or fewer; a shorter one gives the older lags a weight of 0.
    """
    maps = [(solve_linear(sums.drop_lags(lookback - p.lookback), p.ridge, p.own_weight), p) for p in parts]
    own = [_longer(m.own, lookback - p.lookback) for m, p in maps if m.own is not None]
    common = sum(_longer(m.common, lookback - p.lookback) for m, p in maps) / len(parts)
    return LinearMap(common, sum(own) / len(parts) if own else None)


def _longer(weights: Tensor, lags: int) -> Tensor:
    """Weights [..., F, H] with so many older lags before them, of weight 0."""
    return torch.nn.functional.pad(weights, (0, 0, lags, 0))


def choose_start(
    panel: Panel,
    inner: Origins,
    validation: Origins,
    layout: Layout,
    lookbacks: Sequence[int],
    loss: ForecastLoss,
    most: int,
) -> Start:
    """The mean of the closed forms of all lookbacks but those that are surely worse, from one pass over the windows.

    Parameters
    ----------
    layout : Layout
        With the longest lookback.
    lookbacks : sequence of int
        Candidates, each with the penalties of the smallest loss on the validation windows; the moments of a shorter one
        are part of those of the longest.

    Notes
    -----
    Without validation windows nothing can be chosen: the shortest lookback and a large penalty are taken.
    """
    if not validation.count:
        part = Part(min(lookbacks), CAUTIOUS, None)
        shortest = replace(layout, lookback=part.lookback)
        sums = moments(panel, inner, shortest, False, most)
        return Start(shortest, (part,), solve_start(sums, [part], part.lookback))
    own = affordable_by_channel(panel, layout)
    sums = moments(panel, inner, layout, own, most)
    windows = [gather(panel, validation, numbers, layout) for numbers in blocks(panel, validation, validation.count)]
    stretches = _stretches(validation, layout.horizon)

    def candidate(*parts: Part) -> Start:
        lookback = max(part.lookback for part in parts)
        less = layout.lookback - lookback
        linear = solve_start(sums.drop_lags(less), parts, lookback)
        shorter = [replace(batch, inputs=batch.inputs[:, less:]) for batch in windows]
        judged = _judge(panel, linear, shorter, loss, stretches)
        return Start(replace(layout, lookback=lookback), parts, linear, judged)

    found = [_best_of(lookback, own, candidate) for lookback in lookbacks]
    best = min(found, key=lambda start: start.loss)
    return candidate(*(s.parts[0] for s in found if s is best or not s.judged.worse(best.judged, SURELY)))


def _best_of(lookback: int, own: bool, candidate: Callable[[Part], Start]) -> Start:
    """The penalties of the smallest loss at one lookback: the ridge first, then the weight of own maps."""
    best = min((candidate(Part(lookback, ridge, None)) for ridge in RIDGES), key=lambda start: start.loss)
    if not own:
        return best
    ridge = best.parts[0].ridge
    tried = [candidate(Part(lookback, ridge, FIRST))]
    for weight in [w for w in OWN_WEIGHTS if w > FIRST]:
        tried.append(candidate(Part(lookback, ridge, weight)))
        if tried[-1].loss >= tried[-2].loss:
            break
    if len(tried) == 2:  # the loss rises above the first weight: it may fall below
        for weight in [w for w in reversed(OWN_WEIGHTS) if w < FIRST]:
            tried.append(candidate(Part(lookback, ridge, weight)))
            if tried[-1].loss >= min(start.loss for start in tried[:-1]):
                break
    return min((best, *tried), key=lambda start: start.loss)


def _stretches(validation: Origins, horizon: int) -> int:
    """Into how many stretches the validation windows are cut: windows of one horizon see the same future."""
    rows = int((validation.limit - validation.start).clamp(min=0).sum())
    return max(2, min(BLOCKS, rows // horizon))


def _judge(panel: Panel, linear: LinearMap, windows: Sequence[Batch], loss: ForecastLoss, stretches: int) -> Judgement:
    """Losses of the linear forecasts over windows in order."""
    totals, seen = [], []
    for batch in windows:
        predicted = in_target_units(panel, batch, apply_linear(linear, batch)[..., None])
        totals.append(torch.where(batch.seen, loss(predicted, batch.future), 0.0).double().sum(-1))
        seen.append(batch.seen.double().sum(-1))
    cut = [torch.cat(parts).tensor_split(stretches) for parts in (totals, seen)]
    return Judgement(*(torch.stack([part.sum() for part in parts]) for parts in cut))
