"""The form of a regression for series in words and as settings that can stand in a pipeline file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.errors import InputError, unknown
from toolkit.models.forecasting_candidates import Candidate
from toolkit.models.forecasting_channels import TRANSFORMS, Channel, named_power
from toolkit.models.forecasting_tests import Tested, test_table

__all__ = ["candidate_of", "describe", "plain"]

KEYS = ("steps", "transform", "lookback", "centre", "own", "ridge", "mean", "difference")


def plain(candidate: Candidate) -> dict[str, Any]:
    """Settings of a candidate in words and numbers that YAML can hold."""
    own = "shared" if np.isinf(candidate.own) else float(candidate.own)
    return {**candidate.__dict__, "own": own, "transform": named_power(candidate.transform)}


def candidate_of(settings: Mapping[str, Any]) -> tuple[Candidate, float]:
    """(candidate, weight) from what `plain` made of it.

    Raises
    ------
    InputError
        For a key or a value that no regression has.
    """
    if not isinstance(settings, Mapping) or "steps" not in settings:
        raise InputError(f"form: expected settings such as {{steps: direct, lookback: 24}}, got {settings!r}")
    given = {key: value for key, value in settings.items() if key != "weight"}
    for key in given:
        if key not in KEYS:
            raise unknown("key in form", key, (*KEYS, "weight"))
    for key, options in (
        ("steps", ("direct", "recursive", "clock", "repeat")),
        ("mean", ("none", "linear", "additive", "clock")),
    ):
        if given.get(key, options[0]) not in options:
            raise unknown(f"{key} in form", given[key], options)
    try:
        if given.get("own") == "shared":
            given["own"] = np.inf
        given["transform"] = TRANSFORMS.get(given.get("transform", "none"), given.get("transform"))
        made = {key: float(given[key]) for key in ("transform", "own", "ridge") if key in given}
        made |= {key: int(given[key]) for key in ("lookback", "centre", "difference") if key in given}
        return Candidate(**{**given, **made}), float(settings.get("weight", 1.0))
    except (TypeError, ValueError):
        raise InputError(f"form: expected numbers for all but steps and mean, got {dict(settings)!r}") from None


def describe(
    models: Sequence[Any],
    weights: np.ndarray,
    channels: Sequence[Channel],
    trials: Sequence[Mapping[str, Any]],
    chosen: Sequence[tuple[Mapping[str, Any], float]],
    tested: Sequence[Tested],
) -> dict[str, Any]:
    """What the arm says about itself: formula, terms, tests, candidates, and the form for a pipeline file."""
    table = sorted(trials, key=lambda trial: trial["loss"])
    labels = [model.label for model in models]
    design = next((m.design for m in models if getattr(m, "design", None) is not None), None)
    return {
        "formula": "\n".join(
            f"{weight:.1f} x  {label}" if len(labels) > 1 else label
            for label, weight in zip(labels, weights, strict=True)
        ),
        "terms": [
            {"term": name, "kind": "mean function", "columns": n} for name, n in (design.terms_ if design else [])
        ],
        "parameters": int(sum(model.parameters for model in models)),
        "family": "gaussian",
        "candidates": [{**plain(trial["candidate"]), "inner_loss": trial["loss"]} for trial in table],
        "tables": [
            test_table(tested),
            {
                "title": "Candidates and their loss at the inner origins",
                "rows": [{"loss": float(trial["loss"]), **_row(trial["candidate"])} for trial in table],
            },
        ],
        "frozen": {
            "form": [{"weight": round(float(weight), 6), **plain(trial["candidate"])} for trial, weight in chosen]
        },
        "series": len({channel.key[0] for channel in channels}),
        "notes": [f"chosen on {trials[0]['inner'].reason}"],
        "failed_series": {},
    }


def _row(candidate: Candidate) -> dict[str, str]:
    return {key: str(value) for key, value in plain(candidate).items()}
