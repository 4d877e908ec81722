"""All checks of both sides in one call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset
from toolkit.data.splits import Splits
from toolkit.diagnostics import assumptions_dependence as dependence
from toolkit.diagnostics import assumptions_distribution as distribution
from toolkit.diagnostics import assumptions_family as family
from toolkit.diagnostics import assumptions_form as form
from toolkit.diagnostics import assumptions_variance as variance
from toolkit.diagnostics import (
    calibration,
    generalization,
    hull,
    influence,
    quantile_residuals,
    residuals,
    slices,
    stability,
)
from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.design import design_checks, design_of, optimism_of
from toolkit.diagnostics.features import Features, encode
from toolkit.diagnostics.innovations import innovation_checks
from toolkit.diagnostics.order import order_checks
from toolkit.diagnostics.overlap import across_origins, fold_spread, one_per_origin, steps, too_few_apart
from toolkit.diagnostics.targets import worst_over_targets
from toolkit.diagnostics.view import ArmView, in_order, make_view, thin

__all__ = ["run_checks"]

# Asked of the residuals of every arm, in the order of the report
RESIDUAL_CHECKS: dict[str, Callable[[ArmView], Check]] = {
    "reset": form.check_reset,
    "rainbow": form.check_rainbow,
    "learnability": form.check_learnability,
    "breusch_pagan": variance.check_breusch_pagan,
    "white": variance.check_white,
    "log_variance": variance.check_log_variance,
    "durbin_watson": dependence.check_durbin_watson,
    "breusch_godfrey": dependence.check_breusch_godfrey,
    "cluster_correlation": dependence.check_cluster_correlation,
    "jarque_bera": distribution.check_jarque_bera,
    "anderson_darling": distribution.check_anderson_darling,
    "outliers": influence.check_outliers,
    "dispersion": family.check_dispersion,
    "zero_inflation": family.check_zero_inflation,
    "separation": family.check_separation,
    "cusum": stability.check_cusum,
    "sup_f": stability.check_sup_f,
    "quantile_uniformity": quantile_residuals.check_quantile_uniformity,
    "quantile_dispersion": quantile_residuals.check_quantile_dispersion,
    "quantile_outliers": quantile_residuals.check_quantile_outliers,
    "residuals_by_fitted": residuals.check_residuals_by_fitted,
    "residuals_by_feature": residuals.check_residuals_by_feature,
    "worst_slices": slices.check_worst_slices,
    "ljung_box": dependence.check_ljung_box,
    "spatial": residuals.check_spatial,
    "calibration_line": calibration.check_calibration_line,
    "calibration_bins": calibration.check_calibration_bins,
}


def run_checks(
    predictions: pd.DataFrame,
    arms_info: Mapping[str, Mapping[str, Any]],
    *,
    dataset: Dataset | Any,
    metric: str,
    design: Mapping[str, pd.DataFrame] | None = None,
    members: pd.DataFrame | None = None,
    train_scores: pd.DataFrame | Sequence[Mapping[str, Any]] | None = None,
    coverage: float = 0.9,
    splits: Splits | None = None,
    learning_curve: pd.DataFrame | None = None,
    innovations: pd.DataFrame | None = None,
    seed: int = 0,
    only: Collection[str] | None = None,
) -> tuple[Check, ...]:
    """Ask every check of every arm in `arms_info`.

    Parameters
    ----------
    predictions : DataFrame
        The predictions table, out of fold.
    arms_info : mapping
        Arm -> {"kind": baseline | regression | neural | reference, "facts": `fit_info_` per fold, "failures": causes}.
        The first two regression or neural arms are the two sides.
    dataset : Dataset
        Or series data without a feature table: checks over features are then not applicable.
    metric : str
        The primary metric; residuals are taken on the scale that it rewards.
    design : mapping of str to DataFrame, optional
        Arm -> design matrix of a regression on all rows of the data, one line per row of `dataset.frame`. `attrs` may
        hold "terms" (column -> term), "family", "scale" (identity, log1p or log) and "penalised" (bool).
    members : DataFrame, optional
        Predictions of the members of a net, with `observed`.
    train_scores : DataFrame or list of dict, optional
        arm, repeat, fold, metric, value on training rows.
    coverage : float
        Nominal coverage of `lower` and `upper`.
    splits : Splits, optional
        For the training hull; left out, every row that a fold does not judge counts as trained on.
    learning_curve : DataFrame, optional
        arm, n, value.
    innovations : DataFrame, optional
        One-step errors of forecasters, as `evaluation.innovations` makes them; asked of series data only.
    only : collection of str, optional
        Names of residual checks to ask instead of all of them.

    Returns
    -------
    tuple of Check
        One per check and arm, those that matter for the model at hand first (`details["first"]`). With several targets
        the worst answer over targets, the others in `details["per_target"]`.
    """
    trained = train_scores if isinstance(train_scores, pd.DataFrame) else pd.DataFrame(list(train_scores or []))
    tools = _Tools(predictions, dataset, metric, design or {}, coverage, splits, seed, only)
    checks: list[Check] = []
    views: dict[str, dict[str, ArmView]] = {}
    for arm, info in arms_info.items():
        table = predictions[predictions["arm"] == arm]
        if table.empty:
            checks += _failed(arm, info)
            continue
        per_target: dict[str, list[Check]] = {}
        for target in dict.fromkeys(table["target"]):
            answers, view = tools.ask(arm, info, table[table["target"] == target], target)
            answers += innovation_checks(arm, info, innovations, target, getattr(dataset, "periods", None))
            per_target[target] = answers
            if view is not None:
                views.setdefault(arm, {})[target] = view
        checks += worst_over_targets(per_target)
        checks += _joint(arm, list(views.get(arm, {}).values()))
        checks += _whole(arm, info, table, metric, trained, members, learning_curve)
    predicting = set(predictions["arm"].unique())
    checks += _shared([arm for arm in arms_info if arm in predicting], list(arms_info)[:2], views)
    return order_checks(checks, arms_info, getattr(dataset, "target_kind", "real"))


class _Tools:
    """What all arms share: the encoded features and the rows."""

    def __init__(self, predictions: pd.DataFrame, dataset: Any, metric: str, design: Mapping[str, pd.DataFrame],
                 coverage: float, splits: Splits | None, seed: int, only: Collection[str] | None):  # fmt: skip
        self.dataset, self.metric, self.design = dataset, metric, design
        self.coverage, self.splits, self.seed, self.only = coverage, splits, seed, only
        self.features = _all_features(dataset)
        self._taken: dict[bytes, Features] = {}
        self._outside: dict[bytes, np.ndarray | None] = {}
        self.multi_step = steps(predictions) > 1

    def ask(
        self, arm: str, info: Mapping[str, Any], table: pd.DataFrame, target: str
    ) -> tuple[list[Check], ArmView | None]:
        """All checks of one arm and one target."""
        table = table[table["repeat"] == table["repeat"].min()]
        finite = np.isfinite(table["observed"].to_numpy(float)) & np.isfinite(table["predicted"].to_numpy(float))
        usable = _usable(arm, finite)
        names = [*RESIDUAL_CHECKS, "interval_coverage", "slice_coverage", "outside_hull"]
        names += ["collinearity", "condition_index", "leverage", "cooks_distance", "dffits", "optimism"]
        if finite.sum() < 10:
            why = f"only {int(finite.sum())} judging rows with a finite residual"
            return [usable, *(CATALOGUE[name].not_applicable(arm, why) for name in names)], None
        table, ordered = in_order(table[finite])
        n_all = len(table)
        table = thin(table, ordered, self.seed)
        view = self._view(arm, info, table, target, ordered, n_all)
        design = design_of(view, self.design.get(arm), self.features is not None)
        answers = [usable, *design_checks(view, design)]
        if view.obstacle:
            asked = [answer.check for answer in answers]
            answers += [CATALOGUE[name].not_applicable(arm, view.obstacle) for name in names if name not in asked]
            return answers, view
        with np.errstate(all="ignore"):
            of_rows = self._of_rows(view)
            if self.multi_step:
                apart = one_per_origin(table, self.seed)
                less = too_few_apart(of_rows, arm, len(apart))
                less = less or self._of_rows(self._view(arm, info, apart, target, ordered, len(apart)))
                of_rows = [across_origins(*pair) for pair in zip(of_rows, less, strict=True)]
            answers += of_rows
            answers.append(hull.check_outside_hull(view, self._hull(view)))
            answers.append(optimism_of(view, design))
        return answers, view

    def _of_rows(self, view: ArmView) -> list[Check]:
        """Checks whose p-values take the rows for independent."""
        return [
            *(ask(view) for name, ask in RESIDUAL_CHECKS.items() if self.only is None or name in self.only),
            calibration.check_interval_coverage(view, self.coverage),
            slices.check_slice_coverage(view, self.coverage),
        ]

    def _view(
        self, arm: str, info: Mapping[str, Any], table: pd.DataFrame, target: str, ordered: bool, n_all: int
    ) -> ArmView:
        rows = table["row"].to_numpy()
        key = rows.tobytes()
        if key not in self._taken:
            empty = np.empty((len(rows), 0))
            none = Features(empty, (), empty, (), {}, {}, {})
            self._taken[key] = none if self.features is None else self.features.take(rows)
        view = make_view(
            table, self._taken[key], arm=arm, kind=str(info.get("kind", "")), target=target, dataset=self.dataset,
            metric=self.metric, facts=info.get("facts") or (), ordered=ordered, n_all=n_all, seed=self.seed,
        )  # fmt: skip
        view.extra.update(coverage=self.coverage, multi_step=self.multi_step)
        return view

    def _hull(self, view: ArmView) -> np.ndarray | None:
        key = view.rows.tobytes() + view.fold.tobytes()
        if key not in self._outside:
            self._outside[key] = self._find_outside(view)
        return self._outside[key]

    def _find_outside(self, view: ArmView) -> np.ndarray | None:
        all_rows = self.features
        if all_rows is None or not view.features.fits or all_rows.linear.shape[1] == 0:
            return None
        outside = np.zeros(view.n, dtype=bool)
        first = {} if self.splits is None else {f.fold: f.train for f in reversed(self.splits.folds)}
        for fold in np.unique(view.fold):
            mine = view.fold == fold
            train = first.get(int(fold))
            if train is None:
                train = np.setdiff1d(np.arange(all_rows.n), view.rows[mine])
            if len(train) < 2 * all_rows.linear.shape[1] + 10:
                return None
            outside[mine] = hull.outside_hull(all_rows, train, view.rows[mine])
        return outside


def _all_features(dataset: Any) -> Features | None:
    """Features of every row of the data; None for data without a feature table."""
    if not getattr(dataset, "features", None) or not hasattr(dataset, "X"):
        return None
    return encode(dataset.X, dataset.kinds)


def _usable(arm: str, finite: np.ndarray) -> Check:
    bad = int((~finite).sum())
    said = f"{bad:,} of {len(finite):,} judging rows have no finite residual" if bad else "every residual is finite"
    return CATALOGUE["usable_residuals"].answer(arm, said, effect=bad / len(finite))


def _failed(arm: str, info: Mapping[str, Any]) -> list[Check]:
    causes = info.get("failures") or ("it made no predictions",)
    return [entry.not_applicable(arm, f"the arm failed: {causes[0]}") for entry in CATALOGUE.values()]


def _joint(arm: str, views: list[ArmView]) -> list[Check]:
    """Checks over several targets."""
    targets = tuple(view.target for view in views)
    same = len(views) > 1 and all(np.array_equal(view.rows, views[0].rows) for view in views)
    stacked = np.column_stack([view.residual for view in views]) if same else np.empty((0, 1))
    if len(views) > 1 and not same:
        why = "the targets have different judging rows"
        return [CATALOGUE[n].not_applicable(arm, why) for n in ("multivariate_normality", "residual_correlation")]
    kind = views[0].family if views else "gaussian"
    return [
        distribution.check_multivariate_normality(arm, stacked, targets, kind),
        distribution.check_residual_correlation(arm, stacked, targets, kind),
    ]


def _whole(arm: str, info: Mapping[str, Any], table: pd.DataFrame, metric: str, trained: pd.DataFrame,
           members: pd.DataFrame | None, learning_curve: pd.DataFrame | None) -> list[Check]:  # fmt: skip
    """Checks of the arm as a whole, all repeats and targets."""
    kind, facts = str(info.get("kind", "")), info.get("facts") or ()
    return [
        generalization.check_train_test_gap(arm, table, metric, trained),
        fold_spread(arm, table, metric),
        generalization.check_seed_spread(arm, members, metric),
        generalization.check_learning_curve(arm, learning_curve, metric),
        generalization.check_epochs(arm, kind, facts),
        generalization.check_restarts(arm, kind, facts),
    ]


def _shared(arms: list[str], sides: list[str], views: dict[str, dict[str, ArmView]]) -> list[Check]:
    """What neither of the two sides explains; other arms are not asked."""
    entry = CATALOGUE["shared_residuals"]
    out = [entry.not_applicable(arm, "asked of the two compared sides only") for arm in arms if arm not in sides]
    pair = [views[arm] for arm in sides if arm in views]
    if len(pair) < 2 or any(view.obstacle for side in pair for view in side.values()):
        why = "one of the two sides has no usable residuals"
        return out + [entry.not_applicable(arm, why) for arm in sides if arm in arms]
    both = {t: residuals.check_shared_residuals(pair[0][t], pair[1][t]) for t in pair[0] if t in pair[1]}
    return out + [c for k in (0, 1) for c in worst_over_targets({t: [one[k]] for t, one in both.items()})]
