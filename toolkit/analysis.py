"""What `compare` and `run` return: the record of a comparison, with the ways to look at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.comparison.record import Comparison, Gap
from toolkit.data.dataset import Dataset
from toolkit.specification.stability import term_stability

__all__ = ["Analysis"]


@dataclass(frozen=True, kw_only=True)
class Analysis(Comparison):
    """A comparison together with the fitted models and the data, for scripts and notebooks.

    Attributes
    ----------
    models : dict
        Arm -> estimator refitted on all rows, for the two arms of the verdict.
    data : Dataset
    """

    models: dict[str, Any] = field(default_factory=dict, repr=False)
    data: Dataset | None = field(default=None, repr=False)

    @property
    def scores(self) -> pd.DataFrame:
        """One row per arm and metric: mean over folds, standard error, folds."""
        rows = [
            (arm.name, metric, values["mean"], values["se"], len(values["per_fold"]))
            for arm in self.arms.values()
            for metric, values in arm.scores.items()
        ]
        return pd.DataFrame(rows, columns=["arm", "metric", "mean", "se", "folds"])

    @property
    def checks(self) -> pd.DataFrame:
        """One row per check and arm."""
        return pd.DataFrame([check.to_dict() for check in self.checks_found])

    @property
    def stability(self) -> pd.DataFrame:
        """One row per arm and term: in how many folds the search chose it, mean edf and partial R²."""
        tables = [term_stability(arm.facts).assign(arm=arm.name) for arm in self.arms.values()]
        found = [table for table in tables if len(table)]
        return pd.concat(found, ignore_index=True).set_index("arm").reset_index() if found else pd.DataFrame()

    @property
    def gap(self) -> Gap | None:
        """The gap ledger, where one was asked for."""
        return self.gap_ledger

    def report(self, path: str | Path) -> Path:
        """Write the report, one self-contained HTML file."""
        from toolkit.reporting.page import write_report

        return write_report(self, Path(path), self.data)

    def log(self, tracking_uri: str | None = None, experiment: str | None = None) -> dict[str, Any]:
        """Log to MLflow; returns the tracking URI, the ids of experiment and run, and a link."""
        from toolkit.tracking import log_comparison

        return log_comparison(
            self,
            models=self.models,
            dataset=self.data,
            out_folder=None,
            tracking_uri=tracking_uri,
            experiment=experiment or self.name,
        )

    def _repr_html_(self) -> str:
        """Verdict and scores for a notebook cell."""
        table = self.scores[self.scores["metric"] == self.metric].drop(columns="metric")
        banner = "<p><b>Quick run: not the full answer.</b></p>" if self.quick else ""
        return (
            f"<div>{banner}<p><b>{escape(self.verdict.sentence)}</b></p><p>{escape(self.metric)}</p>"
            f"{table.to_html(index=False, float_format='%.4g', border=0)}</div>"
        )

    def __repr__(self) -> str:
        return f"<Analysis {self.name}: {self.verdict.decision}. {self.verdict.sentence}>"
