"""Why the net is better: the gap ledger of a run, and what it means for the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.comparison.effects import check_effect, effect_under_control
from toolkit.comparison.gap import explain_gap
from toolkit.comparison.gap_follow import specification_gate
from toolkit.comparison.gap_series import explain_forecasts
from toolkit.comparison.record import Gap, Verdict
from toolkit.data.dataset import Dataset
from toolkit.diagnostics.check import Check
from toolkit.errors import unknown
from toolkit.evaluation.engine import Cache
from toolkit.evaluation.evaluate import Evaluation
from toolkit.models.arms import ArmContext, build_arms
from toolkit.reporter import Reporter
from toolkit.settings import Pipeline
from toolkit.stages import evidence, in_metric_units

if TYPE_CHECKING:
    from toolkit.pipeline import Plan

__all__ = ["coefficient", "explain", "what_to_explain"]

BY_DEFAULT = ("neural", "undecided")  # verdicts that ask for an explanation


def what_to_explain(settings: Pipeline, dataset: Dataset, pair: tuple[str, str], arms: dict) -> str | None:
    """The arm that the ladder starts from: the compared regression, or the one that `gap` names; None without a ledger.

    Raises
    ------
    InputError
        `gap` names an arm that is not there, or the net itself; `effect` names a column that has no coefficient.
    """
    if settings.effect is not None:
        check_effect(dataset, settings.effect)
    if settings.gap is False:
        return None
    if not isinstance(settings.gap, str):
        return pair[0]
    options = [name for name in arms if name != pair[1]]
    if settings.gap not in options:
        raise unknown("arm in gap, from which the ledger starts:", settings.gap, options)
    return settings.gap


def explain(
    todo: Plan, evaluation: Evaluation, verdict: Verdict, checks: tuple[Check, ...], cache: Cache, engine: str,
    reporter: Reporter,
) -> tuple[Gap | None, Verdict]:  # fmt: skip
    """The ledger where the verdict or the pipeline asks for one, and the verdict that it leaves."""
    if todo.ledger is None or (todo.settings.gap is None and verdict.decision not in BY_DEFAULT):
        return None, verdict
    reporter.stage("gap ledger")
    arms = (todo.ledger, todo.pair[1])
    how = {"cache": cache, "progress": reporter.fitted, "backend": engine}
    try:
        gap = _ledger(todo, evaluation, arms, how)
    except Exception as error:  # the fits are done and the verdict stands: a ledger that fails must not cost them
        cause = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        reporter.warn(f"no gap ledger, it failed: {cause}")
        gap = Gap(0.0, 0.0, 0.0, (), {}, f"it failed: {cause}", *arms, f"No ledger, it failed: {cause}.")
    return gap, specification_gate(verdict, checks, gap)


def _ledger(todo: Plan, evaluation: Evaluation, arms: tuple[str, str], how: dict[str, Any]) -> Gap:
    common = {"estimators": todo.arms, "margin": todo.settings.margin_record, "seed": todo.splits.seed, **how}
    members = None if evaluation.members.empty else evaluation.members
    if todo.series is None:
        return explain_gap(
            *(todo.dataset, todo.splits, evaluation.predictions, arms, todo.metric),
            members=members, held=evaluation.held, **common,
        )  # fmt: skip
    return explain_forecasts(
        *(todo.series, todo.splits, evaluation.predictions, arms, todo.metric),
        in_units=in_metric_units, members=evidence(todo, evaluation)["members"],
        every=todo.settings.splits.refit or 1, **common,
    )  # fmt: skip


def coefficient(todo: Plan, cache: Cache, engine: str, reporter: Reporter) -> dict[str, Any]:
    """The coefficient of the column of interest by regression, and with the net in control of all other columns."""
    effect, net = todo.settings.effect, todo.pair[1]
    if effect is None:
        return {}
    reporter.stage(f"coefficient of {effect}")
    kinds = {column: kind for column, kind in todo.dataset.kinds.items() if column != effect}
    context = ArmContext(kinds, "real", "rmse", todo.splits.seed, 0, todo.quick)  # nuisances are conditional means
    given = todo.settings.arms.get(net)
    nuisance = todo.arms[net] if given is None else build_arms("table", {net: given}, context)[net]
    return effect_under_control(
        todo.dataset, effect, nuisance, seed=todo.splits.seed, cache=cache, progress=reporter.fitted, backend=engine
    )
