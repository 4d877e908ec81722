"""The report as Markdown: the same words and tables, pictures by file."""

from __future__ import annotations

import math
import re

from toolkit.comparison.record import Comparison
from toolkit.reporting import content, ledger, words
from toolkit.reporting.content_checks import CheckRow, check_arms, check_rows
from toolkit.reporting.content_remedy import remedy_rows
from toolkit.reporting.evidence import evidence_blocks
from toolkit.reporting.style import Figure

__all__ = ["render_markdown"]


def render_markdown(comparison: Comparison, figures: dict[str, Figure]) -> str:
    """Markdown text; pictures point to the folder `figures` beside it."""
    verdict = comparison.verdict
    first, rest = words.headline(verdict.sentence)
    parts = [f"# {_plain(first)}", *([_plain(rest)] if rest else [])]
    if comparison.quick:
        parts.append(f"> **{content.QUICK_NOTE}**")
    parts += [
        _plain(comparison.question),
        f"**{content.verdict_word(comparison)}.** {_plain(content.facts_line(comparison))}",
    ]
    parts.append("\n".join(f"- {_plain(reason)}" for reason in verdict.reasons))
    parts += ["## Scores", _scores(comparison), _tests(comparison)]
    parts += _ledger(comparison)
    if comparison.coefficient:
        found = comparison.coefficient
        parts += [f"## The coefficient of {_plain(found['effect'])}", _plain(found["sentence"])]
    for block in evidence_blocks(comparison):
        table = _table(list(block.columns), [list(row) for row in block.rows])
        parts += [f"## {block.title}", _plain(block.lead), table]
    for group, rows in check_rows(comparison).items():
        parts += [f"## {group.capitalize()}", _checks(comparison, rows)]
    parts += _remedy(comparison)
    parts += ["## Specification", *_specifications(comparison)]
    if comparison.findings:
        lines = [
            f"- {_plain(f.get('column') or 'data')}: {_plain(f.get('message'))}. {_plain(f.get('advice'))}"
            for f in comparison.findings
        ]
        parts += ["## Findings in the data", "\n".join(lines)]
    parts.append("## Pictures")
    parts += [
        f"### {_plain(f.title)}{f' ({f.side})' if f.side else ''}\n\n![{_plain(f.alt)}](figures/{f.file_name})\n\n"
        f"{_plain(f.caption)}"
        for f in figures.values()
    ]
    parts += ["## Run it again", _code(content.command(comparison))]
    if content.pipeline_yaml(comparison):
        parts.append(_code(content.pipeline_yaml(comparison), "yaml"))
    parts.append(_table(["package", "version"], [[k, v] for k, v in comparison.versions.items()]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(text: object) -> str:
    """Text without a meaning in Markdown or HTML."""
    line = " ".join(str(text or "").split())
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", line).replace("<", "&lt;").replace(">", "&gt;")


def _code(text: str, language: str = "") -> str:
    """A fenced block; the fence is longer than any run of backticks inside."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _table(head: list[str], rows: list[list[object]]) -> str:
    if not rows:
        return ""
    lines = ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in [head, *rows]]
    lines.insert(1, "|" + " --- |" * len(head))
    return "\n".join(lines)


def _scores(comparison: Comparison) -> str:
    rows = content.score_rows(comparison)
    others = list(dict.fromkeys(name for row in rows for name in row.others))
    head = [
        "arm",
        words.metric_label(comparison.metric),
        "95 % interval",
        *map(words.metric_label, others),
        "fit",
        "predict",
    ]
    return _table(
        head,
        [
            [
                row.arm,
                words.number(row.mean),
                f"{words.number(row.lower)} to {words.number(row.upper)}" if math.isfinite(row.lower) else "–",
                *(words.number(row.others.get(name)) for name in others),
                words.duration(row.fit_seconds),
                words.duration(row.predict_seconds),
            ]
            for row in rows
        ],
    )


def _tests(comparison: Comparison) -> str:
    rows = [content.test_row(test) for test in comparison.tests]
    return _table(
        ["test", "arms", "null", "statistic", "p", "gain", "95 % interval", "n"], [list(row.values()) for row in rows]
    )


def _ledger(comparison: Comparison) -> list[str]:
    gap, rows = comparison.gap_ledger, ledger.gap_rows(comparison)
    if gap is None:
        return []
    parts = ["## Where the gap comes from", _plain(gap.sentence or gap.reason)]
    if rows:
        head = ["term", "kind", "share", "95 % interval", "of the gap", "p, out of fold", "folds that chose it"]
        parts.append(_table(head, [list(row.values()) for row in rows]))
    if gap.respecified.get("formula"):
        parts.append(_code(gap.respecified["formula"]))
    return parts


def _checks(comparison: Comparison, rows: list[CheckRow]) -> str:
    arms = check_arms(comparison)
    body = []
    for row in rows:
        answers = [row.answers.get(arm) for arm in arms]
        cells = [
            "–" if a is None else f"{a.verdict} ({words.number(a.effect, 3)} {a.effect_unit}): {a.reason}"
            for a in answers
        ]
        body.append([row.title, row.null, *cells])
    return _table(["check", "null hypothesis", *arms], body)


def _remedy(comparison: Comparison) -> list[str]:
    found = remedy_rows(comparison)
    if found is None:
        return []
    checks = [
        [row["title"], *(f"{row[w]} ({row[f'{w}_effect']})" for w in ("before", "after"))] for row in found["checks"]
    ]
    sides = [found["arm"], found["treated"]]
    return [
        "## What the checks called for",
        _plain(found["sentence"]),
        _table(["setting", "before", "after", "because of", "reason"], found["changes"]),
        _table(["", *sides], found["figures"]),
        _table(["check", *sides], checks),
        _table(["term", *sides, "standard error, after / before"], found["estimates"]),
    ]


def _specifications(comparison: Comparison) -> list[str]:
    parts = []
    for one in content.specifications(comparison, 60):
        parts.append(f"### {_plain(one['arm'])}")
        if one["formula"]:
            parts.append(_code(one["formula"]))
        parts.append("\n".join(f"- {key}: {_plain(value)}" for key, value in one["facts"].items()))
        parts.append(_table(one["columns"], one["rows"]))
        for table in one["tables"]:
            parts += [_plain(table["title"]), _table(table["columns"], table["rows"])]
    return parts
