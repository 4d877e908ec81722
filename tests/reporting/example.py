"""A synthetic comparison with five arms, ten folds, checks, findings, formulas and curves: every part of the report."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.comparison.record import ArmResult, Comparison, Gap, GapEntry, Remedied, Test, Verdict
from toolkit.data.dataset import Dataset
from toolkit.diagnostics.check import Check
from toolkit.evaluation.scores import score_table

ARMS = {
    "naive": "baseline",
    "linear": "reference",
    "regression": "regression",
    "boosting": "reference",
    "neural": "neural",
}
CHECKS = {
    "assumptions": (
        "reset",
        "rainbow",
        "breusch_pagan",
        "white",
        "durbin_watson",
        "breusch_godfrey",
        "jarque_bera",
        "vif",
        "influence",
        "cusum",
    ),
    "residuals": ("uniformity", "dispersion", "outliers", "worst_slice", "common_residuals"),
}
VERDICTS = ("good", "notice", "poor", "not applicable")


def make_dataset(n: int = 1200, seed: int = 0, names: tuple[str, ...] = ("temp", "hr", "season", "load")) -> Dataset:
    """Four features: a number, a cycle, a category and a number with missing values, and a time column."""
    rng = np.random.default_rng(seed)
    temp, hour = rng.normal(15, 8, n), rng.integers(0, 24, n)
    season = rng.choice(["spring", "summer", "autumn", "winter"], n)
    load = rng.gamma(2.0, 1.0, n)
    y = (
        50
        + 2 * temp
        - 0.05 * temp**2
        + 10 * np.sin(hour / 24 * 2 * np.pi)
        + 4 * (season == "summer")
        + rng.normal(0, 5, n)
    )
    load[rng.random(n) < 0.05] = np.nan
    frame = pd.DataFrame(
        {
            names[0]: temp,
            names[1]: hour,
            names[2]: season,
            names[3]: load,
            "demand": y,
            "when": pd.date_range("2024-01-01", periods=n, freq="h"),
        }
    )
    kinds = dict(zip(names, ("number", "cyclic", "category", "number"), strict=True))
    return Dataset(frame, ("demand",), names, kinds, "real", name="demand_example", time="when")


def make_predictions(dataset: Dataset, folds: int = 5, repeats: int = 2, seed: int = 1) -> pd.DataFrame:
    """The predictions table: each arm misses another part of the truth."""
    rng = np.random.default_rng(seed)
    frame, n = dataset.frame, len(dataset.frame)
    y, temp = frame["demand"].to_numpy(), frame[dataset.features[0]].to_numpy()
    parts = []
    for repeat in range(repeats):
        fold = rng.permutation(np.arange(n) % folds)
        noise = {
            "naive": y - y.mean(),
            "linear": 0.05 * ((temp - 15) ** 2 - 64) + rng.normal(0, 5, n),
            "regression": rng.normal(0, 5, n),
            "boosting": rng.normal(0, 5.4, n),
            "neural": rng.normal(0, 5.2, n),
        }
        for arm, error in noise.items():
            predicted = y - error if arm != "naive" else np.full(n, y.mean())
            width = 8.5 if arm in ("regression", "neural") else np.nan
            parts.append(
                pd.DataFrame(
                    {
                        "arm": arm,
                        "repeat": repeat,
                        "fold": fold,
                        "row": np.arange(n),
                        "series": pd.NA,
                        "time": pd.NaT,
                        "origin": pd.NaT,
                        "horizon": 0,
                        "target": "demand",
                        "observed": y,
                        "predicted": predicted,
                        "lower": predicted - width,
                        "upper": predicted + width,
                        "n_train": n - n // folds,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def make_facts(arm: str, folds: int = 10) -> tuple[dict, ...]:
    if arm == "regression":
        terms = [
            {"term": name, "kind": kind, "edf": edf, "share": share, "p_value": p}
            for name, kind, edf, share, p in (
                ("bs(temp)", "smooth", 3.2, 0.61, 0.0),
                ("sin(hr)", "cycle", 2.0, 0.31, 1e-9),
                ("season", "category", 3, 0.05, 0.02),
            )
        ]
        return tuple(
            {
                "formula": "demand ~ bs(temp, df=4) + cyclic(hr) + C(season)",
                "family": "gaussian",
                "terms": terms,
                "family_scores": {"gaussian": 5.01, "log-normal": 5.4},
                "parameters": 10,
            }
            for _ in range(folds)
        )
    if arm == "neural":

        def curve(member: int, seed: int) -> list[dict]:
            rng = np.random.default_rng(seed)
            return [
                {
                    "member": member,
                    "epoch": e,
                    "train_loss": float(np.exp(-e / 6) + 0.2 + rng.normal(0, 0.01)),
                    "val_loss": float(np.exp(-e / 6) + 0.25 + 0.002 * e + rng.normal(0, 0.02)),
                }
                for e in range(40)
            ]

        return tuple(
            {
                "curves": [row for m in range(3) for row in curve(m, 10 * fold + m)],
                "best_epochs": [18, 20, 22],
                "parameters": 5121,
                "members": 3,
                "notes": ["3 members averaged"],
            }
            for fold in range(folds)
        )
    return tuple({} for _ in range(folds))


def make_checks() -> tuple[Check, ...]:
    found = []
    for group, names in CHECKS.items():
        for i, name in enumerate(names):
            for j, arm in enumerate(("regression", "neural")):
                verdict = VERDICTS[(i + 2 * j) % 4]
                asked = verdict != "not applicable"
                reason = {
                    "good": "nothing to do",
                    "notice": "slight: keep an eye on it",
                    "poor": "use robust covariance",
                    "not applicable": "needs a design matrix",
                }[verdict]
                found.append(
                    Check(
                        name,
                        arm,
                        group,
                        f"null of {name}",
                        1.5 + i if asked else None,
                        0.0004 if verdict == "poor" else 0.2 if asked else None,
                        0.1 * i if asked else None,
                        verdict,
                        reason,
                        "share of variance",
                        0.05,
                        "Wooldridge (2019), ch. 8",
                    )
                )
    return (*found, *make_curves("regression", 0.3), *make_curves("neural", -0.2))


def make_curves(arm: str, height: float) -> tuple[Check, Check]:
    """Residuals over a number and a category, and the slices that are predicted worst."""
    mean = [height, 0.0, -height]
    shape = {"labels": ["a", "b", "c"], "at": [1.0, 2.0, 3.0], "mean": mean, "share": 0.01, "p_value": 0.2}
    shape |= {"lower": [value - 0.1 for value in mean], "upper": [value + 0.1 for value in mean]}
    curves = {"temp": {**shape, "numeric": True}, "season": {**shape, "numeric": False}}
    slices = [{"feature": "season", "slice": "winter", "rows": 300, "ratio": 1.4, "mean_loss": 9.0, "t": 3.0}]
    common = ("residuals", "null", 1.0, 0.2, 0.01, "good", "nothing to do", "share of variance", 0.05, "a source")
    return (
        Check("residuals_by_feature", arm, *common, {"curves": curves}),
        Check("worst_slices", arm, *common, {"slices": slices}),
    )


def make_remedy() -> Remedied:
    """Weights and what they changed; the further arm itself is not in the comparison."""
    one = {"estimate": 2.0, "se": 0.2, "lower": 1.6, "upper": 2.4}
    doubt = {"verdict": "poor", "effect": 12.0, "reason": "unequal"}
    return Remedied(
        "regression",
        "regression_remedied",
        "With weights inverse of the predicted variance, as the checks call for: RMSE 5.01 becomes 4.98.",
        ({"setting": "weights", "before": "none", "after": "inverse", "checks": ["white"], "reason": "spread"},),
        {"before": {"mean": 5.01, "se": 0.1}, "after": {"mean": 4.98, "se": 0.1}},
        ({"term": "temp", "before": one, "after": {**one, "se": 0.1}},),
        True,
        {"before": {"coverage": 0.91, "width": 16.0}, "after": {"coverage": 0.9, "width": 15.0}},
        ({"check": "white", "title": "Constant variance", "before": doubt, "after": {**doubt, "verdict": "good"}},),
        None,
    )


def make_effects(dataset: Dataset) -> pd.DataFrame:
    """A curve over a number and the levels of a category, for both sides."""
    number, category = dataset.features[0], dataset.features[2]
    rows = [
        (number, arm, float(x), "", 50 + 2 * x + tilt * x**2)
        for arm, tilt in (("regression", -0.02), ("neural", -0.03))
        for x in range(0, 30, 2)
    ]
    rows += [
        (category, arm, float(i), label, 60 + shift + i)
        for arm, shift in (("regression", 0), ("neural", 1))
        for i, label in enumerate(("autumn", "spring"))
    ]
    return pd.DataFrame(rows, columns=["feature", "arm", "place", "label", "mean"])


def make_comparison(
    dataset: Dataset | None = None, predictions: pd.DataFrame | None = None, **changes: object
) -> Comparison:
    """A whole comparison; `changes` replace fields."""
    dataset = make_dataset() if dataset is None else dataset
    predictions = make_predictions(dataset) if predictions is None else predictions
    table = score_table(predictions, ("rmse", "mae", "r2"))
    arms = {}
    for arm, kind in ARMS.items():
        scores = {
            row.metric: {"mean": row.mean, "se": row.se, "per_fold": row.per_fold}
            for row in table[table["arm"] == arm].itertuples()
        }
        facts = make_facts(arm)
        formula = facts[0].get("formula")
        arms[arm] = ArmResult(arm, kind, scores, 1.5, 0.1, formula, 3 if arm == "neural" else None, (), facts)
    sentence = (
        "The regression predicts demand better than the neural net: RMSE 5.01 against 5.21, "
        "a difference of 4 % (95 % interval 2 to 6 %), beyond the margin of 1 %. "
        "The chance that it exceeds the margin is 95 %."
    )
    verdict = Verdict(
        "regression",
        ("regression", "neural"),
        -0.2,
        -0.3,
        -0.1,
        {"neural": 0.01, "equivalent": 0.04, "regression": 0.95},
        sentence,
        ("10 folds, corrected for overlapping training rows", "the margin was 1 %"),
        "regression",
    )
    entries = (
        GapEntry("hr:season", "interaction", 0.3, 0.2, 0.4, {"p_value": 0.0004, "chosen": 10, "folds": 10}),
        GapEntry("temp", "main effect", 0.08, 0.01, 0.15, {"p_value": 0.02, "chosen": 8, "folds": 10}),
        GapEntry("high-order remainder", "remainder", 0.02, -0.04, 0.08, {"p_value": 0.3}),
    )
    repaired = {
        "formula": "demand ~ bs(temp) + hr:season", "score": 4.95, "gain": -0.01, "decision": "equivalent",
        "terms": [{"term": "hr:season", "kind": "interaction", "p_value": 0.0004, "chosen": 10, "folds": 10}],
        "sentence": "Equivalent: 4.95 against 4.96.", "fit": "least squares or maximum likelihood",
    }  # fmt: skip
    said = "neural is 7.5 % better than linear: 5.6 points from hr:season, 1.5 from a bend in temp, 0.4 unexplained."
    tests = (
        Test("nadeau_bengio", ("regression", "neural"), "equal RMSE", -3.2, 0.01, -0.2, -0.3, -0.1, 10),
        Test("wilcoxon", ("regression", "neural"), "equal median loss", 3.0, 0.02, None, None, None, 10),
    )
    fields = {
        "name": "demand_example",
        "question": "Does a neural net predict demand better than a regression?",
        "metric": "rmse",
        "margin": {"value": 1.0, "unit": "percent"},
        "dataset": {
            "name": dataset.name,
            "rows": len(dataset.frame),
            "features": list(dataset.features),
            "target": "demand",
            "sha256": dataset.sha256,
            "time": dataset.time,
            "series": dataset.series,
        },
        "splits": {"scheme": "kfold", "folds": 5, "repeats": 2, "sha256": "0" * 64, "reason": "rows are independent"},
        "arms": arms,
        "predictions": predictions,
        "members": pd.DataFrame(),
        "checks_found": make_checks(),
        "tests": tests,
        "verdict": verdict,
        "gap_ledger": Gap(0.4, 0.2, 0.6, entries, repaired, "", "linear", "neural", said),
        "effects": make_effects(dataset),
        "remedy": make_remedy(),
        "findings": (
            {
                "finding": "missing values",
                "column": "load",
                "message": "5 % of load is missing",
                "advice": "median and an indicator are used",
            },
        ),
        "quick": False,
        "settings": {
            "question": "Does it?",
            "data": {"dataset": "demand_example", "target": "demand"},
            "metric": "rmse",
            "arms": {name: {} for name in ARMS},
        },
        "seconds": 61.0,
        "versions": {"python": "3.11", "toolkit": "0.1.0"},
    }
    return Comparison(**{**fields, **changes})
