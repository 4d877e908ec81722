"""The specified regression: known truths, families, bad input, scikit-learn's own checks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from toolkit.errors import InputError
from toolkit.models.regression import SpecifiedRegression

pytestmark = pytest.mark.filterwarnings("ignore")
WEIGHTS = "knots, families and the ladder are learned from rows, and a weight is not a repeated row for them"


@parametrize_with_checks(
    [SpecifiedRegression()],
    expected_failed_checks=lambda _: {"check_sample_weight_equivalence_on_dense_data": WEIGHTS},
)
def test_scikit_learn_checks(estimator, check) -> None:
    check(estimator)


def rows(n: int = 400, p: int = 4, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(n, p)), columns=[f"x{i}" for i in range(p)])


def rmse(a, b) -> float:
    return float(np.sqrt(np.mean((np.asarray(a) - np.asarray(b)) ** 2)))


def test_linear_truth_costs_little() -> None:
    ratios = []
    for seed in range(4):
        X = rows(1300, 20, seed)
        truth = X.to_numpy() @ np.linspace(-1, 1, 20)
        y = truth + np.random.default_rng(seed + 100).normal(size=1300) * 2
        train = slice(0, 300)
        design = np.column_stack([np.ones(1300), X])
        ols = design @ np.linalg.lstsq(design[train], y[train], rcond=None)[0]
        predicted = SpecifiedRegression().fit(X[train], y[train]).predict(X)
        ratios.append(rmse(predicted[300:], y[300:]) / rmse(ols[300:], y[300:]))
    assert np.mean(ratios) < 1.03


def test_finds_a_bend_and_an_interaction() -> None:
    X = rows(1500)
    truth = np.sin(2 * X.x0) + X.x1 * X.x2
    y = truth + np.random.default_rng(1).normal(size=1500) * 0.3
    model = SpecifiedRegression().fit(X[:1200], y[:1200])
    assert rmse(model.predict(X[1200:]), truth[1200:]) < 0.15
    found = model.specification_.terms.set_index("term")["partial_r2"]
    assert "x1:x2" in found.index[:2] and "x0" in found.index[:3]
    effect = model.effect("x0")
    assert (effect["lower"] < effect["upper"]).all()


def test_formula_runs_in_statsmodels() -> None:
    import statsmodels.formula.api as smf

    X = rows(300, 2).assign(level=np.repeat(["a", "b", "c"], 100))
    y = 1 + 2 * X.x0 - X.x1 + (X.level == "b") + np.random.default_rng(0).normal(size=300)
    model = SpecifiedRegression(interactions=False).fit(X, y.rename("y"))
    again = smf.ols(model.specification_.formula, X.assign(y=y)).fit()
    assert rmse(again.fittedvalues, model.predict(X)) < 0.15
    assert model.specification_.equation().startswith("E[y] = ")
    assert len(repr(model.specification_).splitlines()) < 40


@pytest.mark.parametrize(
    ("draw", "kind", "expected"),
    [
        (lambda mu, rng: rng.poisson(mu), "count", {"poisson", "negative_binomial"}),
        (lambda mu, rng: rng.negative_binomial(1.0, 1 / (1 + mu)), "count", {"negative_binomial", "hurdle"}),
        (lambda mu, rng: mu * rng.gamma(2.0, 0.5, len(mu)), "positive", {"gamma"}),
        (lambda mu, rng: mu * np.exp(rng.normal(size=len(mu))), "positive", {"lognormal"}),
        (lambda mu, rng: (rng.uniform(size=len(mu)) < mu / (1 + mu)).astype(float), "binary", {"logistic"}),
    ],
)
def test_family_by_evidence(draw, kind: str, expected: set[str]) -> None:
    X = rows(1200, 2)
    mu = np.exp(1 + 0.5 * X.x0.to_numpy())
    y = np.asarray(draw(mu, np.random.default_rng(3)), dtype=float)
    metric = {"count": "poisson_deviance", "positive": "gamma_deviance", "binary": "log_loss"}[kind]
    model = SpecifiedRegression(target_kind=kind, metric=metric).fit(X, y)
    assert model.family_ in expected
    if "poisson" in expected and model.family_ == "negative_binomial":
        assert model.parts_[0].shape < 0.1  # a negative binomial without overdispersion is a Poisson
    lower, upper = model.predict_cdf(X, y)
    assert ((lower >= 0) & (lower <= upper) & (upper <= 1)).all()
    assert abs(np.mean((lower + upper) / 2) - 0.5) < 0.03


def test_split_inference_finds_only_what_is_there() -> None:
    X = rows(800, 5)
    y = 2 * X.x0 + np.random.default_rng(5).normal(size=800) * np.exp(0.5 * X.x1)
    table = SpecifiedRegression(inference="split").fit(X, y).split_terms_.set_index("term")
    assert table.loc["x0", "p_value"].min() < 1e-10
    assert abs(table.loc[["x0"], "estimate"].iloc[0] - 2) < 4 * table.loc[["x0"], "se"].iloc[0]


def test_several_targets() -> None:
    X = rows(300)
    Y = pd.DataFrame({"a": X.x0 + 1, "b": X.x1**2})
    model = SpecifiedRegression().fit(X, Y)
    assert model.predict(X).shape == (300, 2)
    tests = model.joint_.tests.set_index("term")["p_value"]
    assert max(tests["x0"], tests["x1"]) < 1e-10 < min(tests["x2"], tests["x3"])


# Bad input: a fit with a named finding, or one clear line; never a prediction that is not a number.
def fitted(X: pd.DataFrame, y, **settings) -> tuple[SpecifiedRegression, set[str]]:
    model = SpecifiedRegression(**settings).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    return model, {f["finding"] for f in model.fit_info_["findings"]}


def test_perfect_collinearity() -> None:
    X = rows().assign(twice=lambda f: 2 * f.x0)
    model, findings = fitted(X, X.x0 * 3 + X.x1)
    assert "perfect collinearity" in findings
    assert rmse(model.predict(X), X.x0 * 3 + X.x1) < 0.01


def test_constant_column() -> None:
    assert "constant column" in fitted(rows().assign(one=1.0), rows().x0)[1]


def test_more_columns_than_rows() -> None:
    X = rows(30, 60)
    assert "more columns than rows" in fitted(X, X.x0)[1]


@pytest.mark.parametrize("slopes", [[], [1.0, 1.0, 0.8]])
def test_far_too_few_rows_for_the_columns_cost_no_more_than_the_mean(slopes: list[float]) -> None:
    errors = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(540, 60))
        y = X[:, : len(slopes)] @ np.array(slopes) + rng.normal(size=540)
        model = SpecifiedRegression(family="gaussian").fit(X[:40], y[:40])
        errors.append((rmse(model.predict(X[40:]), y[40:]), rmse(y[:40].mean(), y[40:])))
        found = {f["finding"] for f in model.fit_info_["findings"]}
        assert found <= {"more columns than rows", "heavy tails"}
        assert model.coefficients_["estimate"].notna().all()
    found, mean = np.mean(errors, axis=0)
    assert found < (0.95 if slopes else 1.03) * mean


def test_few_columns_stay_free_of_a_penalty() -> None:
    X = rows(200)
    y = X.x0 - 0.5 * X.x1 + np.random.default_rng(0).normal(size=200)
    model = SpecifiedRegression(family="gaussian", interactions=False).fit(X, y)
    assert not {"few rows for the columns", "more columns than rows"} & {
        f["finding"] for f in model.fit_info_["findings"]
    }
    lines = [at for at, term in enumerate(model.parts_[0].design.terms) if term.kind == "linear"]
    own = np.isin(model.parts_[0].design.owner, lines)
    assert (model.parts_[0].design.groups[own] < 0).all()


def test_unseen_level_and_missing_values() -> None:
    X = rows().assign(level=np.tile(["a", "b"], 200))
    X.loc[::7, "x0"] = np.nan
    model, _ = fitted(X, X.x1 + (X.level == "a"))
    new = X.assign(level="c", x0=np.nan)
    predicted = model.predict(new)
    assert np.isfinite(predicted).all()
    with pytest.raises(InputError, match="x3"):
        model.predict(X.drop(columns="x3"))


def test_complete_separation() -> None:
    X = rows()
    model, findings = fitted(X, (X.x0 > 0).astype(float), target_kind="binary", metric="log_loss")
    assert "complete separation" in findings
    assert ((model.predict(X) >= 0) & (model.predict(X) <= 1)).all()


def test_zeros_in_a_gamma_target() -> None:
    X = rows()
    y = np.maximum(np.exp(X.x0) - 0.5, 0)
    assert "zeros in a positive target" in fitted(X, y, target_kind="positive")[1]
    with pytest.raises(InputError, match="above 0"):
        SpecifiedRegression(family="gamma").fit(X, y)


def test_counts_that_are_not_whole() -> None:
    X = rows()
    assert "non-integer counts" in fitted(X, np.exp(X.x0), target_kind="count")[1]


def test_infinite_values() -> None:
    X = rows()
    y = X.x1.copy()
    X.loc[3, "x0"] = np.inf
    assert "infinite values" in fitted(X, y)[1]
    y[5] = np.inf
    with pytest.raises(InputError, match="infinite"):
        SpecifiedRegression().fit(X, y)


def test_dates_as_text() -> None:
    X = rows().assign(day=pd.date_range("2020-01-01", periods=400).astype(str))
    assert "dates as text" in fitted(X, X.x0)[1]


def test_one_row_per_level() -> None:
    X = rows().assign(name=[f"row {i}" for i in range(400)])
    assert fitted(X, X.x0)[1] & {"one row per level", "many levels"}


def test_unknown_settings_name_the_nearest() -> None:
    with pytest.raises(InputError, match="poisson"):
        SpecifiedRegression(family="poison").fit(rows(), rows().x0)
