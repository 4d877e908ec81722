"""The formula arm against statsmodels, against arithmetic, and against formulas that cannot work."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
import yaml
from sklearn.base import clone

from toolkit.data.dataset import Dataset
from toolkit.errors import InputError
from toolkit.models.formula import FormulaRegression
from toolkit.models.formula_design import back_to_units, read_formula, used_columns
from toolkit.models.regression import SpecifiedRegression


def rows(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=n), "hr": rng.integers(0, 4, n), "town": rng.choice(["u", "v"], n)})
    frame["y"] = np.exp(0.5 + 0.4 * frame["a"] + 0.2 * frame["hr"] + rng.normal(size=n) * (0.2 + 0.1 * frame["hr"]))
    frame["count"] = rng.poisson(np.exp(0.3 + 0.3 * frame["a"]))
    frame["hit"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-frame["a"]))).astype(float)
    return frame


FEATURES = ["a", "hr", "town"]


@pytest.mark.parametrize("cov", ["HC0", "HC1", "HC2", "HC3"])
def test_least_squares_equals_statsmodels(cov: str) -> None:
    data = rows()
    ours = FormulaRegression("np.log(y) ~ a * C(hr) + town", cov=cov).fit(data[FEATURES], data["y"]).coefficients_
    theirs = smf.ols("np.log(y) ~ a * C(hr) + town", data).fit(cov_type=cov, use_t=True)
    ours = ours.set_index("column").loc[list(theirs.params.index)]
    np.testing.assert_allclose(ours["estimate"], theirs.params, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours["se"], theirs.bse, rtol=1e-9)
    np.testing.assert_allclose(ours["p_value"], theirs.pvalues, rtol=1e-7, atol=1e-300)
    np.testing.assert_allclose(ours[["lower", "upper"]], theirs.conf_int(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("family", "target"), [("poisson", "count"), ("binomial", "hit"), ("gamma", "y")])
def test_generalised_linear_models_equal_statsmodels(family: str, target: str) -> None:
    data = rows()
    arm = FormulaRegression(f"{target} ~ a + C(hr)", family=family).fit(data[FEATURES], data[target])
    law = {
        "poisson": sm.families.Poisson(),
        "binomial": sm.families.Binomial(),
        "gamma": sm.families.Gamma(sm.families.links.Log()),
    }[family]
    theirs = smf.glm(f"{target} ~ a + C(hr)", data, family=law).fit(cov_type="HC0")
    ours = arm.coefficients_.set_index("column").loc[list(theirs.params.index)]
    np.testing.assert_allclose(ours["estimate"], theirs.params, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours["se"], theirs.bse, rtol=1e-5)
    np.testing.assert_allclose(arm.predict(data[FEATURES]), theirs.predict(data), rtol=1e-6)


def test_the_binomial_family_is_chosen_for_a_binary_target() -> None:
    data = rows()
    predicted = FormulaRegression("hit ~ a").fit(data[FEATURES], data["hit"]).predict(data[FEATURES])
    assert ((predicted > 0) & (predicted < 1)).all()


def test_groups_make_the_covariance_cluster_robust() -> None:
    data = rows()
    groups = np.arange(len(data)) // 10
    ours = FormulaRegression("np.log(y) ~ a").fit(data[FEATURES], data["y"], groups=groups)
    theirs = smf.ols("np.log(y) ~ a", data).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert ours.fit_info_["covariance"] == "cluster"
    np.testing.assert_allclose(ours.coefficients_["se"], theirs.bse, rtol=1e-8)


def test_smearing_by_hand() -> None:
    """exp(1 + r) averaged over residuals -1, 0, 1; the median is exp(1)."""
    linear, spread = np.array([1.0]), np.array([-1.0, 0.0, 1.0])
    assert back_to_units(linear, spread, "log", "rmse")[0] == pytest.approx(np.exp([0.0, 1.0, 2.0]).mean())
    assert back_to_units(linear, spread, "log", "mae")[0] == pytest.approx(np.e)
    assert back_to_units(linear, spread, "log1p", "rmsle")[0] == pytest.approx(np.expm1(1.0))
    assert back_to_units(linear, spread, "", "rmse")[0] == 1.0


def test_smearing_removes_the_bias_of_a_log_fit() -> None:
    data = rows(4_000)
    smeared = FormulaRegression("np.log(y) ~ a + C(hr)").fit(data[FEATURES], data["y"]).predict(data[FEATURES])
    assert smeared.mean() == pytest.approx(data["y"].mean(), rel=0.03)


def test_several_targets_share_the_right_side() -> None:
    data = rows()
    both = FormulaRegression("~ a + C(hr)").fit(data[FEATURES], data[["y", "count"]])
    one = FormulaRegression("count ~ a + C(hr)").fit(data[FEATURES], data["count"])
    assert both.predict(data[FEATURES]).shape == (len(data), 2)
    np.testing.assert_allclose(both.predict(data[FEATURES])[:, 1], one.predict(data[FEATURES]))


def test_unseen_levels_and_missing_values_are_named_and_never_nan() -> None:
    data = rows()
    data.loc[:9, "a"] = np.nan
    arm = FormulaRegression("np.log(y) ~ a + town + C(hr)").fit(data[FEATURES], data["y"])
    new = pd.DataFrame({"a": [np.nan, np.inf], "hr": [99, 1], "town": ["elsewhere", None]})
    assert np.isfinite(arm.predict(new)).all()
    named = {(finding["finding"], finding["column"]) for finding in arm.fit_info_["findings"]}
    assert {("missing values", "a"), ("unseen level", "town"), ("unseen level", "hr")} <= named | {
        (finding["finding"], finding["column"]) for finding in arm.design_.findings_
    }


def test_dependent_columns_are_named_and_the_fit_stands() -> None:
    data = rows()
    data["twice"] = 2 * data["a"]
    arm = FormulaRegression("y ~ a + twice").fit(data[["a", "twice"]], data["y"])
    plain = FormulaRegression("y ~ a").fit(data[["a"]], data["y"])
    assert [finding["finding"] for finding in arm.fit_info_["findings"]] == ["dependent column"]
    np.testing.assert_allclose(arm.predict(data[["a", "twice"]]), plain.predict(data[["a"]]))


@pytest.mark.parametrize(
    ("formula", "line"),
    [
        ("y ~ aa", "no column 'aa', did you mean 'a'"),
        ("yy ~ a", "its left side is 'yy', but the target is y"),
        ("np.cos(y) ~ a", "cannot be transformed back"),
        ("y ~ a +* hr", "cannot read"),
        ("", "nothing to fit"),
        ("np.log(y) ~ a", "log(y) is not defined on 1 rows; try log1p"),
        ("y ~ np.nothing(a)", "cannot evaluate"),
    ],
)
def test_formulas_that_cannot_work_end_in_one_line(formula: str, line: str) -> None:
    data = rows()
    data.loc[0, "y"] = 0.0
    with pytest.raises(InputError) as caught:
        FormulaRegression(formula).fit(data[FEATURES], data["y"])
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "line"), [("gamma", "positive target"), ("poisson", "0 or more"), ("binomial", "between")]
)
def test_families_refuse_targets_they_cannot_have(family: str, line: str) -> None:
    data = rows()
    with pytest.raises(InputError, match=line):
        FormulaRegression("~ a", family=family).fit(data[FEATURES], data["y"] - 10)
    with pytest.raises(InputError, match="did you mean 'poisson'"):
        FormulaRegression("~ a", family="poison").fit(data[FEATURES], data["y"])


def test_the_check_before_the_first_fit() -> None:
    data = rows()
    dataset = Dataset(data, ("y",), tuple(FEATURES), dict.fromkeys(FEATURES, "number"), "positive")
    FormulaRegression("np.log(y) ~ a").check_columns(dataset)
    with pytest.raises(InputError, match="no column 'b'"):
        FormulaRegression("np.log(y) ~ b").check_columns(dataset)


def test_clone_and_the_parts_of_a_formula() -> None:
    assert clone(FormulaRegression("y ~ a", cov="HC1")).get_params()["cov"] == "HC1"
    assert read_formula("np.log1p(cnt) ~ a").scale == "log1p"
    assert read_formula("a + b").target is None
    assert read_formula("u + v ~ a").target is None


@pytest.mark.parametrize("bend", ["bs(a, df=5)", "cr(a, df=5)", "poly(a, 3)"])
def test_columns_inside_a_stateful_transform_are_found(bend: str) -> None:
    data = rows()
    arm = FormulaRegression(f"{bend} + C(hr)").fit(data[FEATURES], data["y"])
    assert used_columns(f"{bend} + C(hr)") == ["a", "hr"]
    np.testing.assert_allclose(arm.predict(data[FEATURES].iloc[:50]), arm.predict(data[FEATURES])[:50])
    with pytest.raises(InputError, match="no column 'b'"):
        FormulaRegression(f"{bend.replace('(a', '(b')}").fit(data[FEATURES], data["y"])
    assert used_columns("np.log(a) + I(hr ** 2):town") == ["a", "hr", "town"]


def searched(kind: str, n: int = 500) -> tuple[pd.DataFrame, pd.Series]:
    """Rows with what a formula finds hard: a name with a space, a date, gaps, a long tail."""
    rng = np.random.default_rng(1)
    X = pd.DataFrame(
        {
            "a b": rng.normal(size=n),
            "size": np.exp(1.5 * rng.normal(size=n)),
            "town": rng.choice(["u", "v", "w"], n),
            "when": pd.date_range("2020-01-01", periods=n, freq="31h"),
            "hole": rng.normal(size=n),
        }
    )
    gone = rng.uniform(size=n) < 0.2
    signal = np.sin(X["a b"]) + 0.5 * np.log(X["size"]) + (X["town"] == "u") + gone
    signal += 0.5 * np.sin(X["when"].dt.hour / 4)
    X.loc[gone, "hole"] = np.nan
    noise = 0.4 * rng.normal(size=n)
    y = {
        "gaussian": signal + noise,
        "lognormal": np.exp(0.5 * signal + noise),
        "poisson": rng.poisson(np.exp(0.5 * signal)).astype(float),
        "negative_binomial": rng.negative_binomial(2, 2 / (2 + np.exp(0.5 * signal))).astype(float),
        "logistic": (signal + noise > 0.5).astype(float),
        "gaussian_log": np.exp(0.4 * signal) + 0.2 * np.abs(noise),
    }[kind]
    return X, pd.Series(y, name="y")


@pytest.mark.parametrize("kind", ["gaussian", "lognormal", "poisson", "negative_binomial", "logistic", "gaussian_log"])
def test_a_searched_specification_runs_again_as_a_formula(kind: str) -> None:
    X, y = searched(kind)
    search = SpecifiedRegression(family=kind, interactions=False).fit(X, y)
    frozen = yaml.safe_load(yaml.safe_dump(search.fit_info_["frozen"]))  # as it would stand in a pipeline file
    again = FormulaRegression(**frozen).fit(X, y)
    one, other = search.predict(X), again.predict(X)
    assert np.sqrt(np.mean((one - other) ** 2)) < 0.35 * np.std(one)  # bends have lost their penalties
    assert np.corrcoef(one, other)[0, 1] > 0.95


def test_without_penalties_the_frozen_formula_is_the_same_fit() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(-1, 1, size=(400, 3)), columns=["a", "b", "c d"])
    y = pd.Series(X["a"] - 2 * X["b"] + 0.5 * X["c d"] + rng.normal(size=400), name="y")
    search = SpecifiedRegression().fit(X, y)
    assert set(search.specification_.terms["kind"]) == {"linear"}
    again = FormulaRegression(**search.fit_info_["frozen"]).fit(X, y)
    np.testing.assert_allclose(again.predict(X), search.predict(X), rtol=1e-6, atol=1e-6)
    theirs = smf.ols("y ~ a + b + Q('c d')", X.assign(y=y)).fit()
    np.testing.assert_allclose(theirs.fittedvalues, search.predict(X), rtol=1e-6, atol=1e-6)


def test_a_formula_says_itself_what_gaps_are() -> None:
    X = pd.DataFrame({"x": [1.0, np.nan, 3.0, 4.0, np.nan, 6.0], "z": [0.0, 1.0, 1.0, 0.0, 2.0, 1.0]})
    y = pd.Series([1.0, 9.0, 3.0, 4.0, 9.0, 6.0], name="y")
    arm = FormulaRegression("y ~ x.fillna(0.0) + I(x.isna() * 1.0)").fit(X, y)
    np.testing.assert_allclose(arm.predict(X), y, atol=1e-9)
    assert not arm.fit_info_["findings"]
