"""All pictures of a comparison, in the order of the report."""

from __future__ import annotations

from toolkit.comparison.record import Comparison
from toolkit.data.dataset import Dataset
from toolkit.reporting.figures_effects import partial_figures
from toolkit.reporting.figures_evidence import learning_figure
from toolkit.reporting.figures_fit import calibration_figures, coverage_figure, effect_figures
from toolkit.reporting.figures_gap import gap_figure, pair_figures
from toolkit.reporting.figures_horizon import horizon_figures
from toolkit.reporting.figures_innovations import innovation_figures
from toolkit.reporting.figures_residuals import residual_figures
from toolkit.reporting.figures_scores import curve_figures, fold_figure, score_figure
from toolkit.reporting.residual_data import drawn_data, get_sides
from toolkit.reporting.style import Figure

__all__ = ["build_figures"]


def build_figures(comparison: Comparison, dataset: Dataset | None = None) -> dict[str, Figure]:
    """Pictures by name.

    Parameters
    ----------
    comparison : Comparison
    dataset : Dataset, optional
        The rows behind the predictions table; without it, what an earlier run kept of them; without either there are
        no panels along features or time.

    Returns
    -------
    dict of str to Figure
        Inline SVG with alternative text and caption; a picture that has nothing to show is left out.
    """
    sides, dataset = get_sides(comparison), dataset or drawn_data(comparison)
    found = [
        score_figure(comparison),
        fold_figure(comparison),
        learning_figure(comparison),
        gap_figure(comparison),
        *pair_figures(comparison),
        *partial_figures(comparison),
        *horizon_figures(comparison),
        *effect_figures(sides, dataset),
        *residual_figures(sides, dataset),
        *innovation_figures(comparison),
        *calibration_figures(sides),
        coverage_figure(sides),
        *curve_figures(comparison),
    ]
    return {figure.name: figure for figure in found if figure is not None}
