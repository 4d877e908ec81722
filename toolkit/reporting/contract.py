"""`comparison.json`: the contract that other programs read, and the way back from it.

The contract holds what the design lists, plus `quick`, `findings` and `remedy`. What only the report needs (what
each fit said of itself, settings, details of tests and checks) stands in `details.json` beside it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.record import ArmResult, Comparison, Gap, GapEntry, Remedied, Test, Verdict
from toolkit.diagnostics.check import Check
from toolkit.errors import InputError
from toolkit.specification.stability import term_stability

__all__ = ["SCHEMA", "details", "from_contract", "plain", "to_contract"]

SCHEMA = 1
CHECK_KEYS = ("check", "arm", "null", "statistic", "p_value", "effect", "verdict", "reason")
TEST_KEYS = ("name", "arms", "null", "statistic", "p_value", "estimate", "lower", "upper", "n")
VERDICT_KEYS = ("decision", "winner", "arms", "estimate", "lower", "upper", "probabilities", "sentence", "reasons")
ENTRY_KEYS = ("term", "kind", "share", "lower", "upper")


def plain(value: Any) -> Any:
    """`value` in JSON's own types: NaN and infinity become null, arrays become lists, records become objects."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame):
        return plain(value.to_dict("records"))
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray, pd.Series, pd.Index)):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if value is pd.NaT or value is pd.NA:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def to_contract(comparison: Comparison) -> dict[str, Any]:
    """The comparison as one JSON document.

    Returns
    -------
    dict
        Keys and nesting as in the design's contract; every value is one of JSON's own types.
    """
    return plain(
        {
            "schema": SCHEMA,
            "name": comparison.name,
            "question": comparison.question,
            "quick": comparison.quick,
            "metric": comparison.metric,
            "margin": comparison.margin,
            "dataset": comparison.dataset,
            "splits": comparison.splits,
            "arms": {name: _arm(arm) for name, arm in comparison.arms.items()},
            "tests": [_pick(test, TEST_KEYS) for test in comparison.tests],
            "gap": _gap(comparison.gap_ledger),
            **({"coefficient": comparison.coefficient} if comparison.coefficient else {}),
            "checks": [_pick(check, CHECK_KEYS) for check in comparison.checks_found],
            "remedy": _remedy(comparison.remedy),
            "findings": comparison.findings,
            "verdict": _pick(comparison.verdict, VERDICT_KEYS),
            "mlflow": comparison.mlflow,
            "seconds": comparison.seconds,
            "versions": comparison.versions,
        }
    )


def details(comparison: Comparison) -> dict[str, Any]:
    """What the contract leaves out and the report needs."""
    return plain(
        {
            "settings": comparison.settings,
            "verdict": comparison.verdict,
            "tests": comparison.tests,
            "checks": comparison.checks_found,
            "gap": comparison.gap_ledger,
            "facts": {name: arm.facts for name, arm in comparison.arms.items()},
            "effects": comparison.effects,
        }
    )


def from_contract(folder: Path | str) -> Comparison:
    """The comparison that was written to `folder`.

    Raises
    ------
    InputError
        No comparison there, or one of another schema.
    """
    folder = Path(folder)
    document = _read(folder / "comparison.json")
    if document is None:
        raise InputError(f"no comparison in {folder}: expected the file comparison.json that a run writes")
    if document.get("schema") != SCHEMA:
        raise InputError(
            f"{folder / 'comparison.json'} has schema {document.get('schema')}, this version reads schema {SCHEMA}"
        )
    more = _read(folder / "details.json") or {}
    facts = more.get("facts", {})
    return Comparison(
        name=document["name"],
        question=document["question"],
        metric=document["metric"],
        margin=document["margin"],
        dataset=document["dataset"],
        splits=document["splits"],
        arms={name: _read_arm(name, arm, facts.get(name, ())) for name, arm in document["arms"].items()},
        predictions=_table(folder / "predictions.parquet"),
        members=_table(folder / "members.parquet"),
        checks_found=tuple(_check(row) for row in more.get("checks") or document["checks"]),
        tests=tuple(_test(row) for row in more.get("tests") or document["tests"]),
        verdict=_verdict(more.get("verdict") or document["verdict"]),
        gap_ledger=_read_gap(more.get("gap") or document["gap"]),
        remedy=_read_remedy(document.get("remedy")),
        effects=pd.DataFrame(more.get("effects") or []),
        shown=_table(folder / "shown.parquet"),
        coefficient=document.get("coefficient") or {},
        findings=tuple(document.get("findings", ())),
        quick=document.get("quick", False),
        settings=more.get("settings", {}),
        mlflow=document["mlflow"] or {},
        seconds=document["seconds"] or 0.0,
        versions=document["versions"] or {},
    )


def _pick(record: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: getattr(record, key) for key in keys}


def _arm(arm: ArmResult) -> dict[str, Any]:
    row = _pick(arm, ("kind", "scores", "fit_seconds", "predict_seconds"))
    often = term_stability(arm.facts)
    optional = {
        "formula": arm.formula,
        "members": arm.members,
        "failures": list(arm.failures) or None,
        "stability": None if often.empty else often,  # of the terms that a search chose
    }
    return row | {key: value for key, value in optional.items() if value is not None}


def _gap(gap: Gap | None) -> dict[str, Any] | None:
    if gap is None:
        return None
    row = _pick(gap, ("total", "lower", "upper", "respecified", "start", "net", "reason", "sentence"))
    return row | {"entries": [_pick(entry, ENTRY_KEYS) for entry in gap.entries]}


def _remedy(remedy: Remedied | None) -> dict[str, Any] | None:
    if remedy is None:
        return None
    verdict = None if remedy.verdict is None else _pick(remedy.verdict, VERDICT_KEYS)
    return plain(remedy) | {"verdict": verdict}


def _read_remedy(row: dict[str, Any] | None) -> Remedied | None:
    if row is None:
        return None
    lists = {key: tuple(row.get(key) or ()) for key in ("changes", "estimates", "checks")}
    verdict = _verdict(row["verdict"]) if row.get("verdict") else None
    return Remedied(**{**_known(Remedied, row), **lists, "verdict": verdict})


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _table(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()


def _known(record: type, row: dict[str, Any]) -> dict[str, Any]:
    """The entries of `row` that `record` has a field for, so that older and newer files can be read."""
    names = {field.name for field in dataclasses.fields(record)}
    return {key: value for key, value in row.items() if key in names}


def _read_arm(name: str, row: dict[str, Any], facts: Any) -> ArmResult:
    known = _known(ArmResult, row)
    known["failures"] = tuple(row.get("failures", ()))
    return ArmResult(**{**known, "name": name, "facts": tuple(facts)})


def _check(row: dict[str, Any]) -> Check:
    return Check(**{"group": "", **_known(Check, row)})


def _test(row: dict[str, Any]) -> Test:
    return Test(**{**_known(Test, row), "arms": tuple(row["arms"])})


def _verdict(row: dict[str, Any]) -> Verdict:
    return Verdict(**{**_known(Verdict, row), "arms": tuple(row["arms"]), "reasons": tuple(row["reasons"] or ())})


def _read_gap(row: dict[str, Any] | None) -> Gap | None:
    if row is None:
        return None
    entries = tuple(GapEntry(**_known(GapEntry, entry)) for entry in row["entries"])
    return Gap(**{**_known(Gap, row), "entries": entries})
