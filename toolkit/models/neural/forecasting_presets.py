"""How a forecasting net is trained, and presets that trade time for accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from toolkit.errors import InputError, unknown
from toolkit.models.neural.presets import Recipe

__all__ = ["ARCHITECTURES", "FORECAST_PRESETS", "ForecastPreset", "ForecastRecipe", "forecast_recipe"]

ARCHITECTURES = ("linear_skip", "residual")


@dataclass(frozen=True)
class ForecastPreset:
    """Members, length and size of a training, and what it costs."""

    members: int
    epochs: int  # at most
    width: int
    cost: str


FORECAST_PRESETS = {
    "quick": ForecastPreset(2, 5, 128, "2 members of width 128, 320 steps: a first look; 10 to 30 s on one core."),
    "standard": ForecastPreset(3, 16, 256, "3 members of width 256, at most 1,024 steps; 1 to 4 minutes on one core."),
    "thorough": ForecastPreset(8, 40, 384, "8 members of width 384, at most 2,560 steps; about 15 times standard."),
}


@dataclass(frozen=True)
class ForecastRecipe(Recipe):
    """A recipe for forecasting nets: small steps, since the start is good already.

    The learning rate rises over the first twentieth of the steps and falls along a cosine to zero.
    """

    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.99)
    dropout: float = 0.1
    clip: float | None = 1.0
    patience: int | None = 6
    depth: int = 2
    steps: int = 64  # mini-batches of an epoch: between two looks at the validation windows

    def learning_rate_at(self, t: float) -> float:
        """Learning rate after the share t of all steps."""
        return self.learning_rate * (t / 0.05 if t < 0.05 else 0.5 * (1 + math.cos(math.pi * (t - 0.05) / 0.95)))


def forecast_recipe(preset: str, overrides: dict[str, float | int | None]) -> tuple[int, ForecastRecipe]:
    """Number of members and recipe of a preset.

    Parameters
    ----------
    preset : {"quick", "standard", "thorough"}
    overrides : dict
        `members` and fields of `ForecastRecipe` set by the user; None leaves the preset's value.

    Raises
    ------
    InputError
        Unknown preset, or a value out of its range.
    """
    if preset not in FORECAST_PRESETS:
        raise unknown("preset", preset, FORECAST_PRESETS)
    chosen = FORECAST_PRESETS[preset]
    given = {name: value for name, value in overrides.items() if value is not None}
    for name, value in given.items():
        if not (value >= 0 if name in ("dropout", "epochs") else value > 0):
            least = "0 or more" if name in ("dropout", "epochs") else "positive"
            raise InputError(f"{name} must be {least}, got {value!r}")
    if given.get("dropout", 0) >= 1:
        raise InputError(f"dropout must be below 1, got {given['dropout']!r}")
    members = int(given.pop("members", chosen.members))
    return members, replace(ForecastRecipe(epochs=chosen.epochs, width=chosen.width), **given)
