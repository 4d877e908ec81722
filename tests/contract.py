"""`comparison.json` as the design promises it: every key with its type, in strict JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

NUMBER = (int, float)
MAYBE = (int, float, type(None))  # a number, or null where there is none
TEXT, LIST = (str,), (list,)
DECISIONS = {"neural", "regression", "equivalent", "undecided"}
CHECK_VERDICTS = {"good", "notice", "poor", "not applicable"}


def read_strictly(path: Path) -> dict[str, Any]:
    """The document; NaN and Infinity, which Python would write, are no JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} holds {constant}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def has(part: dict[str, Any], **keys: tuple[type, ...]) -> None:
    for key, types in keys.items():
        assert key in part, f"{key} is missing in {sorted(part)}"
        assert isinstance(part[key], types), f"{key}: {part[key]!r}"
        assert not isinstance(part[key], bool) or bool in types, f"{key}: {part[key]!r}"


def check(document: dict[str, Any]) -> None:
    """Every key of the contract, and what the numbers owe each other."""
    has(document, schema=(int,), name=TEXT, question=TEXT, metric=TEXT, margin=(dict,), dataset=(dict,), splits=(dict,))
    has(document, arms=(dict,), tests=LIST, gap=(dict, type(None)), checks=LIST, verdict=(dict,), mlflow=(dict,))
    has(document, seconds=NUMBER, versions=(dict,))
    assert document["schema"] == 1 and document["seconds"] > 0
    has(document["margin"], value=NUMBER, unit=TEXT)
    has(document["dataset"], name=TEXT, rows=(int,), features=LIST, target=(str, list), sha256=TEXT)
    has(document["splits"], scheme=TEXT, folds=(int,), repeats=(int,), sha256=TEXT)
    assert len(document["dataset"]["sha256"]) == len(document["splits"]["sha256"]) == 64
    fits = document["splits"]["folds"] * document["splits"]["repeats"]
    for name, arm in document["arms"].items():
        has(arm, kind=TEXT, scores=(dict,), fit_seconds=NUMBER, predict_seconds=NUMBER)
        for score in arm["scores"].values():
            has(score, mean=MAYBE, se=MAYBE, per_fold=LIST)
            assert len(score["per_fold"]) <= fits, name
            if None not in score["per_fold"]:
                assert math.isclose(score["mean"], sum(score["per_fold"]) / len(score["per_fold"]), rel_tol=1e-9)
    for test in document["tests"]:
        has(test, name=TEXT, arms=LIST, null=TEXT, statistic=MAYBE, p_value=MAYBE, estimate=MAYBE, n=MAYBE)
        has(test, lower=MAYBE, upper=MAYBE)
        assert test["p_value"] is None or 0 <= test["p_value"] <= 1
    for one in document["checks"]:
        has(
            one,
            check=TEXT,
            arm=TEXT,
            null=TEXT,
            statistic=MAYBE,
            p_value=MAYBE,
            effect=MAYBE,
            verdict=TEXT,
            reason=TEXT,
        )
        assert one["verdict"] in CHECK_VERDICTS
        assert one["reason"]
    _gap(document["gap"])
    _verdict(document)


def _gap(gap: dict[str, Any] | None) -> None:
    if gap is None:
        return
    has(gap, total=MAYBE, lower=MAYBE, upper=MAYBE, entries=LIST, respecified=(dict, type(None)))
    for entry in gap["entries"]:
        has(entry, term=TEXT, kind=TEXT, share=MAYBE, lower=MAYBE, upper=MAYBE)
    if gap["respecified"]:
        has(gap["respecified"], formula=TEXT, score=MAYBE)


def _verdict(document: dict[str, Any]) -> None:
    verdict = document["verdict"]
    has(verdict, decision=TEXT, arms=LIST, estimate=MAYBE, lower=MAYBE, upper=MAYBE, probabilities=(dict,))
    has(verdict, sentence=TEXT, reasons=LIST)
    assert verdict["decision"] in DECISIONS
    assert len(verdict["arms"]) == 2 and set(verdict["arms"]) <= set(document["arms"])
    if verdict["probabilities"]:
        assert set(verdict["probabilities"]) == {"neural", "equivalent", "regression"}
        assert math.isclose(sum(verdict["probabilities"].values()), 1, abs_tol=1e-6)
    if verdict["lower"] is not None:
        assert verdict["lower"] <= verdict["estimate"] <= verdict["upper"]
    assert set(document["versions"]) >= {"toolkit", "python", "pandas", "scikit-learn", "torch"}
