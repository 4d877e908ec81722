"""Saved views of the dashboard: which columns and charts it opens with.

MLflow keeps a saved view as an experiment tag; the form is not documented and was taken from what the dashboard
itself writes. Where the version is not one that was tried, no view is written and links go to the plain page.
"""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from typing import Any

__all__ = ["TRIED", "VIEWS", "view_link", "view_tags"]

TRIED = ((3, 15), (4, 0))  # first version with views of this form, first version that was not tried
PREFIX = "mlflow.sharedViewState."
VIEWS = {
    "Verdict": "toolkit-verdict",
    "Residuals": "toolkit-residuals",
    "Assumptions": "toolkit-assumptions",
    "Training curves": "toolkit-training",
}


def supported(version: str) -> bool:
    """Whether saved views can be written for this version of MLflow."""
    parts = tuple(int(part) for part in version.split(".")[:2])
    return TRIED[0] <= parts < TRIED[1]


def view_link(base: str, experiment_id: str, view: str | None = "Verdict") -> str:
    """Address of the runs page, opened with a saved view; the plain page with None."""
    address = f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    if view is None:
        return address
    # The verdict is read in the table of runs, everything else in charts.
    charts = "" if view == "Verdict" else "&compareRunsMode=CHART"
    return f"{address}&viewStateShareKey={VIEWS[view]}{charts}"


def view_tags(metric: str, greater_is_better: bool, arms: list[str], checks: list[str], now: int) -> dict[str, str]:
    """Experiment tags of all views.

    Parameters
    ----------
    metric : str
        Primary metric; `greater_is_better` puts the best run on top.
    arms, checks : list of str
        Names that charts and columns show.
    now : int
        Milliseconds since 1970.
    """
    # Sorted by a metric, the dashboard shows children beside their parents instead of folded below them.
    best = (f"metrics.`test/{metric}`", not greater_is_better)
    states = {
        "Verdict": _state(
            "comparison",
            ("attributes.start_time", False),
            [
                ("tags", "verdict"),
                ("tags", "dataset.name"),
                ("metrics", "compare/gain"),
                ("metrics", "compare/lower"),
                ("metrics", "compare/upper"),
                *(("metrics", f"score/{arm}") for arm in arms),
                ("tags", "metric"),
                ("tags", "quick"),
            ],
            {
                "Gain of the net": [_bar(f"compare/{name}") for name in ("gain", "lower", "upper")],
                "Probabilities": [_bar(f"compare/p_{name}") for name in ("neural", "equivalent", "regression")],
                "Scores": [_bar(f"score/{arm}") for arm in arms],
            },
        ),
        "Residuals": _state(
            "model",
            best,
            [("tags", "model.role"), ("metrics", f"test/{metric}")],
            {
                "Residual panels": [{"type": "IMAGE", "imageKeys": ["residuals"], "step": 0}],
                "Scores": [_bar(f"test/{metric}"), _line(f"cv/{metric}")],
            },
        ),
        "Assumptions": _state(
            "model",
            best,
            [
                ("tags", "model.role"),
                ("metrics", f"test/{metric}"),
                *(("metrics", f"diag/{name}_p") for name in checks),
            ],
            {
                "Effect sizes": [_bar(f"diag/{name}_effect") for name in checks],
                "p-values": [_bar(f"diag/{name}_p") for name in checks],
            },
        ),
        "Training curves": _state(
            "model",
            best,
            [("tags", "model.role"), ("metrics", f"test/{metric}"), ("metrics", "cost/fit_seconds")],
            {"Loss by epoch": [_line("train/loss"), _line("val/loss")], "Score by fold": [_line(f"cv/{metric}")]},
        ),
    }
    return {PREFIX + VIEWS[name]: _envelope(name, state, now) for name, state in states.items()}


def same_view(one: str, other: str) -> bool:
    """Whether two tags hold the same view, whenever they were written."""
    return json.loads(one)["state"] == json.loads(other)["state"]


def _envelope(name: str, state: dict[str, Any], now: int) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(state, sort_keys=True).encode())).decode()
    return json.dumps({"name": name, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"})


def _state(
    kind: str, order: tuple[str, bool], columns: list[tuple[str, str]], sections: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    charts, headings = [], []
    for title, cards in ((title, cards) for title, cards in sections.items() if cards):
        section, picture = _id(kind, title), cards[0]["type"] == "IMAGE"
        headings.append(
            {
                "uuid": section,
                "name": title,
                "display": True,
                "isReordered": True,
                "deleted": False,
                "isGenerated": False,
                "columns": 1 if picture else 2,
                "cardHeight": 640 if picture else 320,
            }
        )
        charts += [
            {
                "uuid": _id(section, str(card)),
                "metricSectionId": section,
                "deleted": False,
                "isGenerated": False,
                "runsCountToCompare": 20,
                **card,
            }
            for card in cards
        ]
    return {
        "searchFilter": f"tags.`run.kind` = '{kind}'",
        "orderByKey": order[0],
        "orderByAsc": order[1],
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": [f"{where}.`{name}`" for where, name in columns],
        "columnOrder": [f"{where}.`{name}`" for where, name in columns],
        "columnWidths": {},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": charts,
        "compareRunSections": headings,
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "groupBy": None,
        "groupsExpanded": {},
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "autoRefreshEnabled": False,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _bar(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": metric}


def _line(metric: str) -> dict[str, Any]:
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "lineSmoothness": 0,
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }


def _id(*parts: str) -> str:
    """The same name for the same chart in every run."""
    return uuid.uuid5(uuid.NAMESPACE_URL, "/".join(parts)).hex
