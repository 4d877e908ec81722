"""Everything a run leaves in its folder, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from toolkit.comparison.record import Comparison
from toolkit.data.dataset import Dataset
from toolkit.errors import InputError
from toolkit.reporting.contract import details, plain, to_contract
from toolkit.reporting.figures import build_figures
from toolkit.reporting.figures_horizon import horizon_table
from toolkit.reporting.markdown import render_markdown
from toolkit.reporting.page import render_page
from toolkit.reporting.residual_data import shown_columns
from toolkit.reporting.style import Figure, standalone

__all__ = ["check_table", "score_table", "write_outputs"]


def write_outputs(
    comparison: Comparison, folder: Path | str, dataset: Dataset | None = None, only_contract: bool = False
) -> Path:
    """Write report.html, report.md, comparison.json, details.json, the tables and the figures to `folder`.

    Parameters
    ----------
    comparison : Comparison
    folder : path
        Made if it is not there; files of an earlier run of the same names are replaced, others stay.
    dataset : Dataset, optional
        The rows behind the predictions, for residuals along features.
    only_contract : bool
        Write comparison.json alone, for instance when the ids of the tracking run have become known.

    Returns
    -------
    Path
        The report, or comparison.json with `only_contract`.

    Raises
    ------
    InputError
        `folder` cannot be written to; nothing in it has changed then.
    """
    folder = Path(folder)
    with _staged(folder) as stage:
        _json(stage / "comparison.json", to_contract(comparison))
        if not only_contract:
            figures = build_figures(comparison, dataset)
            _write_all(comparison, figures, dataset, stage)
    return folder / ("comparison.json" if only_contract else "report.html")


def _write_all(comparison: Comparison, figures: dict[str, Figure], dataset: Dataset | None, stage: Path) -> None:
    (stage / "report.html").write_text(render_page(comparison, figures), encoding="utf-8")
    (stage / "report.md").write_text(render_markdown(comparison, figures), encoding="utf-8")
    _json(stage / "details.json", details(comparison))
    check_table(comparison).to_csv(stage / "checks.csv", index=False)
    score_table(comparison).to_csv(stage / "scores.csv", index=False)
    if len(steps := horizon_table(comparison)):
        steps.to_csv(stage / "scores_by_horizon.csv", index=False)
    comparison.predictions.to_parquet(stage / "predictions.parquet", index=False)
    shown = shown_columns(comparison, dataset)
    if len(shown.columns):
        shown.to_parquet(stage / "shown.parquet")
    if len(comparison.members):
        comparison.members.to_parquet(stage / "members.parquet", index=False)
    (stage / "figures").mkdir()
    for figure in figures.values():
        (stage / "figures" / figure.file_name).write_text(standalone(figure), encoding="utf-8")


def check_table(comparison: Comparison) -> pd.DataFrame:
    """One row per check and arm; details are left to details.json."""
    columns = [
        "check",
        "arm",
        "group",
        "null",
        "statistic",
        "p_value",
        "effect",
        "effect_unit",
        "threshold",
        "verdict",
        "reason",
        "reference",
    ]
    return pd.DataFrame([check.to_dict() for check in comparison.checks_found], columns=columns)


def score_table(comparison: Comparison) -> pd.DataFrame:
    """One row per arm and metric: mean over folds, its standard error, and how many folds there were."""
    rows = [
        (arm.name, arm.kind, metric, plain(row.get("mean")), plain(row.get("se")), len(row.get("per_fold", ())))
        for arm in comparison.arms.values()
        for metric, row in arm.scores.items()
    ]
    return pd.DataFrame(rows, columns=["arm", "kind", "metric", "mean", "se", "folds"])


def _json(path: Path, document: dict) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` whose files move there when everything is written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        yield stage
        _move(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _move(stage: Path, folder: Path) -> None:
    """Files replace their predecessors one by one, the report last; a folder is replaced as a whole."""
    try:
        for item in sorted(stage.iterdir(), key=lambda path: path.name == "report.html"):
            place = folder / item.name
            if place.is_dir() and item.is_dir():
                shutil.rmtree(place)
            os.replace(item, place)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
