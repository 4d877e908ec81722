"""What a fitted specified regression says of itself: plain facts, a summary, and the design matrix for diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.models.multivariate import JointFit
from toolkit.specification.evidence import FamilyScore
from toolkit.specification.formula import Specification
from toolkit.specification.part import Part
from toolkit.specification.penalised import spread_penalty

__all__ = ["design_frame", "facts_of_fit", "facts_of_targets", "summary_text"]

HURDLE_PARTS = ("any", "how many")
EXPLORATORY = "p-values are exploratory: the terms were chosen on the same rows"


def facts_of_fit(
    family: str,
    family_scores: Sequence[FamilyScore],
    reason: str,
    specifications: Sequence[Specification],
    parts: Sequence[Part],
    findings: list[dict[str, str]],
) -> dict[str, Any]:
    """Formula, terms, family, findings, ladder and notes of one fit."""
    labels = [{"part": part} for part in HURDLE_PARTS] if len(parts) > 1 else [{}]
    labelled = list(zip(labels, specifications, strict=True))
    return {
        "formula": "\n".join(spec.formula for spec in specifications),
        "terms": [row for label, spec in labelled for row in spec.terms.assign(**label).to_dict("records")],
        "family": family,
        # What the checks of counts must know: without it they would ask for a Poisson variance.
        **({"alpha": float(parts[0].shape)} if family == "negative_binomial" else {}),
        "family_scores": [vars(score) for score in family_scores],
        "findings": findings,
        "ladder": [vars(rung) for part in parts for rung in part.rungs],
        "parameters": int(sum(part.design.width for part in parts)),
        "notes": [reason, EXPLORATORY],
        **({"frozen": frozen(family, specifications[0], parts[0])} if len(parts) == 1 else {}),
    }


def frozen(family: str, specification: Specification, part: Part) -> dict[str, Any]:
    """Settings of the arm `formula` that fit the same terms without a search.

    A hurdle model has none: its two parts have a formula each.
    """
    plain = {"lognormal": "gaussian", "log1p_normal": "gaussian", "logistic": "binomial"}.get(family, family)
    alpha = {"alpha": float(part.shape)} if family == "negative_binomial" else {}
    return {"formula": specification.formula, "family": plain, **alpha}


def facts_of_targets(models: dict[str, Any], joint: JointFit | None) -> dict[str, Any]:
    """The same for several targets with a regression each; with the joint fit where there is one."""
    facts = {name: model.fit_info_ for name, model in models.items()}
    together = {} if joint is None else {
        "residual_correlation": joint.residual_correlation.to_dict(),
        "joint_tests": joint.tests.to_dict("records"),
    }  # fmt: skip
    return {
        **together,
        "formula": "\n".join(one["formula"] for one in facts.values()),
        "terms": [{"target": name, **row} for name, one in facts.items() for row in one["terms"]],
        "family": ", ".join(one["family"] for one in facts.values()),
        "findings": next(iter(facts.values()))["findings"],
        "parameters": sum(one["parameters"] for one in facts.values()),
        "notes": ["every target has its own terms"],
    }


def summary_text(
    specifications: Sequence[Specification],
    family_scores: Sequence[FamilyScore],
    reason: str,
    coefficients: pd.DataFrame,
    findings: list[dict[str, str]],
) -> str:
    """Specification, families, coefficients and findings."""
    families = [f"  {s.family}: log score {s.log_score:.4f} per row" for s in family_scores]
    parts = [repr(spec) for spec in specifications]
    lines = coefficients.to_string(index=False, float_format=lambda v: f"{v:.4g}")
    return "\n".join([*parts, "", reason, *families, "", lines, *(f"  {f['message']}" for f in findings)])


def design_frame(part: Part, data: dict[str, np.ndarray]) -> pd.DataFrame:
    """Columns behind the coefficients of a fitted part, [n, a], the constant first.

    `attrs` hold what diagnostics need: terms (column -> term), family, scale, ridge (column -> penalty on
    its squared coefficient, in units of the residual variance).
    """
    family, columns = part.family, part.design.columns(data)[:, part.fit.active]
    names, terms = column_names(part)
    ridge = spread_penalty(part.design.groups, part.fit.penalty)[part.fit.active]
    frame = pd.DataFrame(columns, columns=names)
    frame.attrs.update(
        terms=dict(zip(names, terms, strict=True)),
        family="gaussian" if family.is_normal else {"logistic": "binomial"}.get(family.name, family.name),
        scale=family.link if family.is_normal else "identity",
        ridge=dict(zip(names, ridge.tolist(), strict=True)),
    )
    return frame


def column_names(part: Part) -> tuple[list[str], list[str]]:
    """(name, term) of every active column: `age`, `age bend 2`, `region=south`, `age:bmi 14`."""
    names, terms = [], []
    first = {int(owner): int(np.flatnonzero(part.design.owner == owner)[0]) for owner in np.unique(part.design.owner)}
    for column in part.fit.active:
        owner = int(part.design.owner[column])
        position = int(column) - first[owner]
        if owner < 0:
            name = term_name = "Intercept"
        else:
            term = part.design.terms[owner]
            term_name = term.name
            if term.kind == "linear":
                name = term.name
            elif term.kind == "factor":
                name = f"{term.name}={term.marginals[0].variable.levels[position]}"
            else:
                name = f"{term.name} {'bend ' if term.kind == 'smooth' else ''}{position + 1}"
        names.append(name)
        terms.append(term_name)
    return names, terms
