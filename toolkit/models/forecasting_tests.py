"""What the tests of `toolkit.specification.series` say about the channels of a regression, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.models.forecasting_channels import Channel
from toolkit.specification.series import SeriesTests, examine

__all__ = ["Tested", "common_power", "test_table", "tests_of"]

MOST_TESTED = 12  # channels, evenly spread: the tests advise, the inner origins decide


@dataclass(frozen=True)
class Tested:
    """A channel and what its tests say."""

    channel: Channel
    tests: SeriesTests


def tests_of(channels: Sequence[Channel], periods: Sequence[int]) -> list[Tested]:
    """Tests of up to 12 channels, evenly spread."""
    some = channels[:: -(-len(channels) // MOST_TESTED)]
    return [Tested(channel, examine(channel.values, periods)) for channel in some]


def common_power(tested: Sequence[Tested]) -> float:
    """The median of the powers that are worth taking, between 0 (log) and 1 (none), to one decimal."""
    return round(float(np.median([one.tests.useful_power for one in tested])), 1)


def test_table(tested: Sequence[Tested]) -> dict[str, Any]:
    """Rows for the report: a line for each tested channel."""
    rows = []
    for one in tested:
        found = one.tests
        row = {"series": str(one.channel.key[0]), "target": one.channel.key[1], "Box-Cox power": _shown(found.power)}
        row |= {f"strength of season {period}": _shown(value) for period, value in found.strengths.items()}
        row |= {
            "strength of trend": _shown(found.trend),
            "ADF p": _shown(found.adf_p_value),
            "KPSS p": _shown(found.kpss_p_value),
            "seasonal difference": found.seasonal_difference or "none",
            "differences": found.differences,
        }
        rows.append(row)
    return {"title": "Tests of the series: transform (Guerrero), seasons (STL), unit roots (ADF, KPSS)", "rows": rows}


def _shown(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None
