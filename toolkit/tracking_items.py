"""What is logged, as plain items: tags, parameters, metrics and the note. Nothing here knows the tracking server."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.comparison.record import ArmResult, Comparison
from toolkit.data.dataset import Dataset
from toolkit.reporting.content import margin_value, side_kinds
from toolkit.reporting.contract import plain, to_contract
from toolkit.reporting.first_screen import first_screen
from toolkit.reporting.ledger import gap_rows
from toolkit.reporting.outputs import write_outputs
from toolkit.reporting.style import LIGHT
from toolkit.reporting.words import metric_label

__all__ = ["Items", "arm_items", "batches", "comparison_items", "past_runs", "stage_files", "table_json"]

LONGEST_TAG = 7_900  # MLflow cuts tags and notes at 8,000 characters and parameters at 6,000, without a word
LONGEST_PARAM = 5_900
MOST_ITEMS, MOST_PARAMS, MOST_TAGS = 1_000, 100, 100  # limits of one call
FILES = (
    *("report.html", "report.md", "comparison.json", "details.json", "checks.csv", "scores.csv"),
    *("predictions.parquet", "members.parquet", "shown.parquet", "figures"),
)
PAST = ["run_id", "name", "experiment", "dataset", "verdict", "metric", "gain", "lower", "upper", "started", "status"]
ROLES = {"baseline": "baseline", "reference": "reference", "regression": "baseline", "neural": "challenger"}


@dataclass
class Items:
    """Everything one run holds apart from its files."""

    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)  # name, value, step
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def add(self, name: str, value: Any, step: int = 0) -> None:
        """A metric, if there is a finite value."""
        if value is not None and math.isfinite(value):
            self.metrics.append((name, float(value), step))


def comparison_items(comparison: Comparison) -> Items:
    """The parent run: verdict, gain with its interval, probabilities, the scores of the pair."""
    verdict, items = comparison.verdict, Items()
    items.tags = _cut(
        {
            "run.kind": "comparison",
            "dataset.name": str(comparison.dataset.get("name", "")),
            "metric": comparison.metric,
            "verdict": verdict.decision,
            "verdict.winner": verdict.winner or "none",
            "verdict.sentence": verdict.sentence,
            "compared": " against ".join(reversed(verdict.arms)),
            "quick": str(comparison.quick).lower(),
            "seed": str(comparison.splits.get("seed", "")),
            "remedy": comparison.remedy.sentence if comparison.remedy else "",
            "mlflow.note.content": f"{verdict.sentence}\n\n```\n{first_screen(comparison)}```",
        },
        LONGEST_TAG,
    )
    items.params = _flat(
        {
            "metric": comparison.metric,
            "margin": comparison.margin,
            "splits": {k: v for k, v in comparison.splits.items() if k != "reason"},
            "dataset": {k: v for k, v in comparison.dataset.items() if k != "features"},
            "arms": ", ".join(comparison.arms),
        }
    )
    for name, value in (("gain", verdict.estimate), ("lower", verdict.lower), ("upper", verdict.upper)):
        items.add(f"compare/{name}", value)
    items.add("compare/margin", margin_value(comparison))
    for name, value in verdict.probabilities.items():
        items.add(f"compare/p_{name}", value)
    for arm in comparison.arms.values():
        items.add(f"score/{arm.name}", _mean(arm, comparison.metric))
    _ledger(comparison, items)
    for name in ("regression", "flexible"):
        for part in ("estimate", "se"):
            items.add(f"effect/{name}_{part}", comparison.coefficient.get(name, {}).get(part))
    items.add("cost/seconds", comparison.seconds)
    after = comparison.remedy.verdict if comparison.remedy else None
    if after is not None:
        for name, value in (("gain", after.estimate), ("lower", after.lower), ("upper", after.upper)):
            items.add(f"remedy/{name}", value)
    for verdict_name in ("poor", "notice"):
        items.add(f"checks/{verdict_name}", sum(c.verdict == verdict_name for c in comparison.checks_found))
    return items


def _ledger(comparison: Comparison, items: Items) -> None:
    """Total, what is named and what is not, and the gain after the repair; the table of all entries."""
    gap = comparison.gap_ledger
    if gap is None:
        return
    items.tags["ledger"] = _short(gap.sentence or gap.reason)
    if not gap.entries:
        return
    items.add("ledger/total", gap.total)
    items.add("ledger/unexplained", gap.entries[-1].share)
    items.add("ledger/named", sum(entry.share for entry in gap.entries[:-1]))
    items.add("ledger/gain_after_repair", gap.respecified.get("gain"))
    items.tables["gap.json"] = pd.DataFrame(gap_rows(comparison))


def arm_items(comparison: Comparison, name: str) -> Items:
    """A child run: scores, folds as steps, checks, costs, training curves, settings."""
    arm, items = comparison.arms[name], Items()
    kind = side_kinds(comparison)[name]
    role = ROLES.get(kind, "reference") if name in comparison.verdict.arms else "reference"
    items.tags = _cut(
        {
            "run.kind": "model",
            "model.family": arm.kind,
            "model.role": role,
            "dataset.name": str(comparison.dataset.get("name", "")),
            "metric": comparison.metric,
            "seed": str(comparison.splits.get("seed", "")),
            "mlflow.runColor": LIGHT.of(kind),
            "mlflow.note.content": _note(comparison, arm),
            # The dashboard writes parameters beside every picture: a formula would push the panels apart.
            "formula": arm.formula or "",
            **({"failures": "; ".join(arm.failures)} if arm.failures else {}),
        },
        LONGEST_TAG,
    )
    settings = (comparison.settings.get("arms") or {}).get(name) or {}
    items.params = _flat({**settings, "members": arm.members})
    for metric, value, step in _scores(arm):
        items.add(metric, value, step)
    items.add("cost/fit_seconds", arm.fit_seconds)
    items.add("cost/predict_seconds", arm.predict_seconds)
    for check in comparison.checks_found:
        if check.arm == name:
            items.add(f"diag/{check.check}_p", check.p_value)
            items.add(f"diag/{check.check}_effect", check.effect)
    for metric, value, step in _curves(arm):
        items.add(metric, value, step)
    checks = [check.to_dict() for check in comparison.checks_found if check.arm == name]
    if checks:
        columns = ["group", "check", "verdict", "p_value", "effect", "effect_unit", "threshold", "reason", "null"]
        items.tables["checks.json"] = pd.DataFrame(checks)[columns]
    remedy = comparison.remedy
    if remedy is not None and remedy.treated == name:
        items.tags["remedy.of"] = remedy.arm
        items.tables["remedy.json"] = pd.DataFrame(remedy.changes)
        if remedy.estimates:
            items.tables["estimates.json"] = pd.DataFrame(
                [{"term": one["term"], **_sided(one)} for one in remedy.estimates]
            )
    return items


def _sided(row: Mapping[str, Any]) -> dict[str, Any]:
    """estimate_before, estimate_after and so on."""
    return {f"{key}_{when}": value for when in ("before", "after") for key, value in row[when].items()}


def table_json(table: pd.DataFrame) -> str:
    """A table in the form that the dashboard's table viewer reads."""
    return json.dumps({"columns": list(table.columns), "data": [plain(row) for row in table.to_numpy(dtype=object)]})


def _note(comparison: Comparison, arm: ArmResult) -> str:
    score = _mean(arm, comparison.metric)
    lines = [f"{metric_label(comparison.metric)} {score:.4g}" if score is not None else "no score"]
    if arm.formula:
        lines.append(f"```\n{arm.formula}\n```")
    return "\n\n".join(lines + [f"failed: {cause}" for cause in arm.failures])


def _mean(arm: ArmResult, metric: str) -> float | None:
    return arm.scores.get(metric, {}).get("mean")


def _scores(arm: ArmResult) -> Iterator[tuple[str, float | None, int]]:
    for metric, row in arm.scores.items():
        yield f"test/{metric}", row.get("mean"), 0
        yield f"test/{metric}_se", row.get("se"), 0
        for step, value in enumerate(row.get("per_fold", ())):
            yield f"cv/{metric}", value, step
        if row.get("train") is not None and row.get("mean") is not None:
            yield f"train/{metric}", row["train"], 0
            yield f"gap/{metric}", row["mean"] - row["train"], 0


def _curves(arm: ArmResult) -> Iterator[tuple[str, float, int]]:
    """Mean loss by epoch over members and folds."""
    rows = [row for facts in arm.facts for row in facts.get("curves") or ()]
    if not rows:
        return
    table = pd.DataFrame(rows)
    for column, name in (("train_loss", "train/loss"), ("val_loss", "val/loss")):
        if column in table:
            for epoch, value in table.groupby("epoch")[column].mean().items():
                yield name, float(value), int(epoch)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and short texts; what is not set is left out."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[_name(f"{prefix}{key}")] = str(value)[:LONGEST_PARAM]
    return found


def _name(key: str) -> str:
    """A key that MLflow takes: letters, digits, _ - . / and spaces."""
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in key)[:250]


def _cut(tags: dict[str, str], most: int) -> dict[str, str]:
    return {key: _short(value, most) for key, value in tags.items() if value}


def _short(text: str, most: int = LONGEST_TAG) -> str:
    return text if len(text) <= most else text[: most - 4] + " ..."


def stage_files(
    comparison: Comparison, found: Mapping[str, str], dataset: Dataset | None, out_folder: Path | None, place: Path
) -> None:
    """Copy or make the files of a run at `place`, with a comparison.json that names the run."""
    if out_folder is None:
        write_outputs(comparison, place, dataset)
    else:
        place.mkdir()
        for source in (Path(out_folder) / name for name in FILES):
            if source.is_dir():
                shutil.copytree(source, place / source.name)
            elif source.exists():
                shutil.copy2(source, place / source.name)
    run = {key: found[key] for key in ("tracking_uri", "experiment_id", "run_id")}
    document = to_contract(comparison) | {"mlflow": run}
    (place / "comparison.json").write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def past_runs(runs: Iterable[Any], experiments: Mapping[str, str]) -> pd.DataFrame:
    """Parent runs as a table, one row each, in their order."""
    rows = []
    for run in runs:
        tags, numbers, info = run.data.tags, run.data.metrics, run.info
        row = {"run_id": info.run_id, "name": info.run_name, "experiment": experiments[info.experiment_id]}
        row |= {"dataset": tags.get("dataset.name"), "verdict": tags.get("verdict"), "metric": tags.get("metric")}
        row |= {name: numbers.get(f"compare/{name}") for name in ("gain", "lower", "upper")}
        row |= {"started": pd.Timestamp(info.start_time, unit="ms", tz="UTC"), "status": info.status}
        rows.append(row)
    return pd.DataFrame(rows, columns=PAST)


def batches(items: Items) -> Iterator[dict[str, list]]:
    """Metrics, parameters and tags in parts that one call takes."""
    metrics, params, tags = items.metrics, list(items.params.items()), list(items.tags.items())
    while metrics or params or tags:
        part = {"params": params[:MOST_PARAMS], "tags": tags[:MOST_TAGS]}
        room = MOST_ITEMS - len(part["params"]) - len(part["tags"])
        yield {**part, "metrics": metrics[:room]}
        params, tags, metrics = params[MOST_PARAMS:], tags[MOST_TAGS:], metrics[room:]
