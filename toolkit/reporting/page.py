"""The report: one self-contained HTML file."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from toolkit.comparison.record import Comparison
from toolkit.data.dataset import Dataset
from toolkit.errors import InputError
from toolkit.reporting import content, ledger, words
from toolkit.reporting.content_checks import check_arms, check_counts, check_rows
from toolkit.reporting.content_features import feature_rows, slice_rows
from toolkit.reporting.content_remedy import remedy_rows
from toolkit.reporting.evidence import evidence_blocks
from toolkit.reporting.figures import build_figures
from toolkit.reporting.style import DARK, LIGHT, ROLES, Figure

__all__ = ["render_page", "write_report"]

TEMPLATES = Path(__file__).parent / "templates"
MOST_TERMS = 60


def write_report(comparison: Comparison, path: Path | str, dataset: Dataset | None = None) -> Path:
    """Write the report to `path`, whole or not at all.

    Parameters
    ----------
    comparison : Comparison
    path : path
        The HTML file.
    dataset : Dataset, optional
        The rows behind the predictions, for residuals along features.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    path = Path(path)
    page = render_page(comparison, build_figures(comparison, dataset))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def render_page(comparison: Comparison, figures: dict[str, Figure]) -> str:
    """HTML text of the report; everything that comes from the data is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": words.number, "p": words.p_text, "duration": words.duration}
    return environment.get_template("report.html.j2").render(**_context(comparison, figures))


def _context(comparison: Comparison, figures: dict[str, Figure]) -> dict[str, Any]:
    scores = content.score_rows(comparison)
    return {
        "c": comparison,
        "verdict": comparison.verdict,
        "headline": words.headline(comparison.verdict.sentence),
        "word": content.verdict_word(comparison),
        "quick_note": content.QUICK_NOTE if comparison.quick else "",
        "facts": content.facts_line(comparison),
        "metric": words.metric_label(comparison.metric),
        "label": words.metric_label,
        "scores": scores,
        "others": list(dict.fromkeys(name for row in scores for name in row.others)),
        "axis": _axis(scores),
        "kinds": content.side_kinds(comparison),
        "pair": content.sides(comparison),
        "scale": content.gain_scale(comparison),
        "margin": content.margin_text(comparison),
        "evidence": evidence_blocks(comparison),
        "tests": [content.test_row(test) for test in comparison.tests],
        "checks": check_rows(comparison),
        "check_arms": check_arms(comparison),
        "counts": check_counts(comparison),
        "feature_rows": feature_rows(comparison),
        "slices": slice_rows(comparison),
        "remedy": remedy_rows(comparison),
        "ledger": ledger.gap_rows(comparison),
        "specifications": content.specifications(comparison, MOST_TERMS),
        "yaml": content.pipeline_yaml(comparison),
        "command": content.command(comparison),
        "sections": _sections(figures),
        "svg": {name: Markup(figure.svg) for name, figure in figures.items()},
        "light": Markup(_colours(LIGHT)),
        "dark": Markup(_colours(DARK)),
        "finite": lambda value: value is not None and math.isfinite(value),
    }


def _colours(palette: Any) -> str:
    return "".join(f"--{role}:{getattr(palette, role)};" for role in ROLES)


def _sections(figures: dict[str, Figure]) -> dict[str, list[list[Figure]]]:
    """Rows of pictures by section: the panels of both sides that share a title stand in one row."""
    sections: dict[str, list[list[Figure]]] = {}
    for figure in figures.values():
        rows = sections.setdefault(figure.section, [])
        if rows and figure.side and rows[-1][-1].side and rows[-1][-1].title == figure.title:
            rows[-1].append(figure)
        else:
            rows.append([figure])
    return sections


def _axis(rows: list[content.ScoreRow]) -> dict[str, Any]:
    """Where each interval lies on the axis that the small bars of the score table share, in per cent."""
    known = [value for row in rows for value in (row.mean, row.lower, row.upper) if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(3 + 94 * (value - low) / span, 2)

    return {
        row.arm: {
            "mean": place(row.mean),
            "left": place(row.lower) if math.isfinite(row.lower) else None,
            "width": place(row.upper) - place(row.lower) if math.isfinite(row.lower) else None,
        }
        for row in rows
        if math.isfinite(row.mean)
    }
