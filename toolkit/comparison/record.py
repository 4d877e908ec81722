"""What a comparison found: plain data, readable by other programs through `comparison.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from toolkit.diagnostics.check import Check

__all__ = ["ArmResult", "Comparison", "Gap", "GapEntry", "Remedied", "Test", "Verdict"]


@dataclass(frozen=True)
class Test:
    """One statistical test between two arms. Estimate > 0 means that the second arm is better."""

    __test__ = False  # pytest must not collect it

    name: str
    arms: tuple[str, str]
    null: str
    statistic: float | None
    p_value: float | None
    estimate: float | None
    lower: float | None
    upper: float | None
    n: int  # independent units: folds, origins, clusters or rows
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The decision between two arms; the first plays the regression, the second the net.

    `estimate`, `lower` and `upper` are the gain of the second arm in units of the metric.
    """

    decision: str  # neural, regression, equivalent, undecided
    arms: tuple[str, str]
    estimate: float | None
    lower: float | None
    upper: float | None
    probabilities: dict[str, float]  # neural, equivalent, regression
    sentence: str
    reasons: tuple[str, ...] = ()
    winner: str | None = None  # name of the arm that won, None without a winner
    provisional: bool = False
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GapEntry:
    """One named cause of the gap and the share of the gap that it closes."""

    term: str
    kind: str  # main effect, interaction, threshold, remainder, ...
    share: float
    lower: float
    upper: float
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Gap:
    """The ledger: total gain of the net over the starting regression and where it comes from."""

    total: float
    lower: float
    upper: float
    entries: tuple[GapEntry, ...]
    respecified: dict[str, Any]  # formula, score, and the verdict after the repair
    reason: str = ""  # why there is no ledger, where there is none
    start: str = ""  # arm that the ladder starts from
    net: str = ""  # arm that it leads to
    sentence: str = ""  # the ledger in one line
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Remedied:
    """The regression once more with what its checks called for, and what that changed."""

    arm: str  # the regression as it was
    treated: str  # name of the further arm; empty where nothing was changed
    sentence: str
    changes: tuple[dict[str, Any], ...] = ()  # setting, before, after, checks, reason
    scores: dict[str, Any] = field(default_factory=dict)  # before, after: {"mean", "se"} of the primary metric
    estimates: tuple[dict[str, Any], ...] = ()  # term; estimate, se, lower, upper before and after
    same_scale: bool = True  # whether estimates before and after are on one scale
    intervals: dict[str, Any] = field(default_factory=dict)  # before, after: {"coverage", "width"} of predictions
    checks: tuple[dict[str, Any], ...] = ()  # check, title; verdict and effect before and after
    verdict: Verdict | None = None  # of the treated regression against the same opponent


@dataclass(frozen=True)
class ArmResult:
    """What one arm did over all folds."""

    name: str
    kind: str  # baseline, regression, neural, reference
    scores: dict[str, dict[str, Any]]  # metric -> {"mean", "se", "per_fold"}
    fit_seconds: float
    predict_seconds: float
    formula: str | None = None
    members: int | None = None
    failures: tuple[str, ...] = ()  # "repeat 0, fold 3: cause"
    facts: tuple[dict[str, Any], ...] = ()  # per fold: what the estimator says of its fit (`fit_info_`)


@dataclass(frozen=True)
class Comparison:
    """Scores, checks, tests, gap ledger and verdict of one analysis."""

    name: str
    question: str
    metric: str
    margin: dict[str, Any]  # {"value": 1.0, "unit": "percent" | "absolute"}
    dataset: dict[str, Any]
    splits: dict[str, Any]
    arms: dict[str, ArmResult]
    predictions: pd.DataFrame = field(repr=False)
    members: pd.DataFrame = field(repr=False)  # predictions of each member of a neural arm
    checks_found: tuple[Check, ...] = field(repr=False)
    tests: tuple[Test, ...] = field(repr=False)
    verdict: Verdict = field(repr=False)
    gap_ledger: Gap | None = field(repr=False, default=None)
    remedy: Remedied | None = field(repr=False, default=None)
    effects: pd.DataFrame = field(repr=False, default_factory=pd.DataFrame)  # feature, arm, place, label, mean
    shown: pd.DataFrame = field(repr=False, default_factory=pd.DataFrame)  # [rows of the data, columns a report draws]
    coefficient: dict[str, Any] = field(default_factory=dict)  # of interest: regression, flexible, sentence
    findings: tuple[dict[str, Any], ...] = ()  # finding, column, message, advice
    quick: bool = False
    settings: dict[str, Any] = field(default_factory=dict, repr=False)  # the pipeline that would do it again
    mlflow: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
