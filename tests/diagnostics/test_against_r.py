"""The numbers of R (lmtest, car, strucchange, tseries, nortest, spdep, AER) on frozen data; see reference/make_r.R."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from toolkit.diagnostics.assumptions_dependence import (
    breusch_godfrey,
    durbin_watson,
    intraclass_correlation,
    ljung_box,
)
from toolkit.diagnostics.assumptions_distribution import anderson_darling, jarque_bera, mardia
from toolkit.diagnostics.assumptions_family import dispersion_test
from toolkit.diagnostics.assumptions_form import rainbow, reset
from toolkit.diagnostics.assumptions_variance import breusch_pagan
from toolkit.diagnostics.calibration import calibration_line
from toolkit.diagnostics.collinearity import condition_indices, generalised_vif, vif
from toolkit.diagnostics.influence import influence
from toolkit.diagnostics.least_squares import basis, fit_glm, residualise
from toolkit.diagnostics.residuals import morans_i
from toolkit.diagnostics.stability import ols_cusum, sup_f, sup_f_p_value

R = json.loads((Path(__file__).parents[1] / "reference" / "r_diagnostics.json").read_text(encoding="utf-8"))
close = pytest.approx


def columns(*parts):
    parts = [np.asarray(part, dtype=float) for part in parts]
    return np.column_stack([np.ones(len(parts[0])), *parts])


@pytest.fixture
def stackloss():
    data = R["stackloss"]["data"]
    x = columns(data["Air.Flow"], data["Water.Temp"], data["Acid.Conc."])
    y = np.asarray(data["stack.loss"], dtype=float)
    return x, y, residualise(y, basis(x)), R["stackloss"]


def same(found, answer, digits=1e-6):
    assert found[0] == close(answer["statistic"], rel=digits)
    assert found[1] == close(answer["p_value"], rel=digits, abs=1e-12)


def test_influence_is_r_s(stackloss):
    x, y, _, answer = stackloss
    found = influence(x, y)
    for mine, name in ((found.leverage, "leverage"), (found.cook, "cook"), (found.dffits, "dffits"),
                       (found.studentised, "studentised")):  # fmt: skip
        np.testing.assert_allclose(mine, answer[name], rtol=1e-6)
    assert found.cook[20] == close(0.692, abs=5e-4)  # the textbook's row 21


@pytest.mark.parametrize(("case", "family"), [("counts", "poisson"), ("binary", "binomial"), ("gamma", "gamma")])
def test_influence_and_coefficients_of_a_glm(case, family):
    answer = R[case]
    x, y = np.array(answer["design"], dtype=float), np.array(answer["y"], dtype=float)
    np.testing.assert_allclose(fit_glm(x, y, family)[0], answer["coefficients"], rtol=1e-6)
    found = influence(x, y, family)
    np.testing.assert_allclose(found.leverage, answer["leverage"], rtol=1e-6)
    np.testing.assert_allclose(found.cook, answer["cook"], rtol=1e-6, atol=1e-10)


def test_variance(stackloss):
    x, _, e, answer = stackloss
    same(breusch_pagan(e, x), answer["breusch_pagan"])
    same(breusch_pagan(e, x, studentize=False), answer["breusch_pagan_plain"])
    same(breusch_pagan(e, np.column_stack([x, x[:, 1:] ** 2])), answer["white"])


def test_engel_has_the_known_breusch_pagan():
    import statsmodels.api as sm

    data = sm.datasets.engel.load_pandas().data
    x = columns(data["income"])
    assert breusch_pagan(residualise(data["foodexp"].to_numpy(), basis(x)), x).statistic == close(109, abs=0.5)


def test_functional_form(stackloss):
    x, y, e, answer = stackloss
    found = reset(e, basis(x), y - e, robust=False)
    same(found, answer["reset"])
    same(rainbow(y, x), answer["rainbow"])
    robust = R["reset_robust"]
    x, y = columns(robust["x"]), np.array(robust["y"], dtype=float)
    fitted = y - residualise(y, basis(x))
    same(reset(y, basis(x), fitted), robust)


def test_dependence(stackloss):
    x, _, e, answer = stackloss
    same(durbin_watson(e, x), answer["durbin_watson"])
    for order, one in enumerate(answer["breusch_godfrey"], 1):
        same(breusch_godfrey(e, x, order), one)
    same(ljung_box(e, 4), answer["ljung_box"])
    anova = R["anova"]
    same(intraclass_correlation(np.array(anova["y"]), np.array(anova["group"])), anova)


def test_distribution(stackloss):
    *_, e, answer = stackloss
    same(jarque_bera(e), answer["jarque_bera"])
    same(anderson_darling(e), answer["anderson_darling"])
    skewness, _, kurtosis, _ = mardia(np.array(R["mardia"]["data"], dtype=float))
    assert skewness == close(R["mardia"]["skewness_statistic"], rel=1e-8)
    assert kurtosis == close(R["mardia"]["kurtosis"], rel=1e-8)


def test_collinearity():
    answer = R["longley"]
    x = np.column_stack([answer["data"][name] for name in answer["data"] if name != "Employed"]).astype(float)
    np.testing.assert_allclose(vif(x), answer["vif"], rtol=1e-6)
    assert sorted(vif(x).round(1))[-1] == close(1788.5, abs=0.1)
    indices, proportions = condition_indices(columns(x))
    np.testing.assert_allclose(np.sort(indices), np.sort(answer["condition_index"]), rtol=1e-6)
    order = np.argsort(indices)
    np.testing.assert_allclose(proportions[order], np.array(answer["proportions"]), atol=1e-6)


def test_generalised_vif_for_factors():
    answer = R["warpbreaks"]
    table = generalised_vif(np.array(answer["design"], dtype=float), answer["terms"])
    np.testing.assert_allclose(table["gvif"], answer["gvif"], rtol=1e-6)
    assert list(table["df"]) == answer["df"]


def test_stability(stackloss):
    _, _, e, answer = stackloss
    found = ols_cusum(e, columns=4)
    assert (found.statistic, found.p_value) == close(
        (answer["cusum"]["statistic"], answer["cusum"]["p_value"]), rel=1e-6
    )
    y = np.array(R["nile"]["data"], dtype=float)
    statistic, at, _ = sup_f(y, np.ones((len(y), 1)))
    assert statistic == close(R["nile"]["sup_f"]["statistic"], rel=1e-6)
    assert at + 1 == R["nile"]["breakpoint"] == 28  # 1898, the dam at Aswan
    slope = R["slope"]
    statistic, at, _ = sup_f(np.array(slope["y"]), columns(slope["x"]))
    assert statistic == close(slope["sup_f"]["statistic"], rel=1e-6)
    assert at + 1 == slope["breakpoint"]
    # strucchange interpolates Hansen's simulated tables, ours is an expansion of the tail: they meet to 0.01
    for value, p in zip((8, 10, 12, 15, 20), slope["p_values"], strict=True):
        assert sup_f_p_value(value, 2) == close(p, abs=0.012)


def test_counts_and_space():
    counts = R["counts"]
    same(dispersion_test(np.array(counts["y"], dtype=float), np.array(counts["mean"])), counts["dispersion"])
    moran = R["moran"]
    i, z, p = morans_i(np.array(moran["z"]), np.array(moran["neighbours"]))
    assert (i, z, p) == close((moran["i"], moran["statistic"], moran["p_value"]), rel=1e-6)


def test_calibration_line():
    answer = R["calibration"]
    line = calibration_line(np.array(answer["y"], dtype=float), np.array(answer["p"]))
    assert [line.intercept, line.slope] == close(answer["coefficients"], rel=1e-8)
    assert (line.statistic, line.p_value) == close((answer["statistic"], answer["p_value"]), rel=1e-6)


def test_quantile_residuals_at_fixed_draws():
    a = R["quantile"]
    y, mu, u = (np.array(a[name], dtype=float) for name in ("y", "mu", "u"))
    for law, name in ((stats.poisson(mu), "poisson"), (stats.nbinom(2, 2 / (2 + mu)), "negative_binomial")):
        lower = np.where(y >= 1, law.cdf(y - 1), 0.0)
        np.testing.assert_allclose(lower + u * (law.cdf(y) - lower), a[name], rtol=1e-8)


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_a_row_with_a_coefficient_of_its_own_moves_no_other(family):
    """Its hat value is 1 and its residual 0: R gives NaN; here its influence is 0, that of the others is untouched."""
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(80), rng.normal(size=80)])
    y = x[:, 1] + rng.normal(size=80)
    y = (y > 0).astype(float) if family == "binomial" else y
    own = np.zeros((81, 1))
    own[80] = 1.0
    wider = np.hstack([np.vstack([x, [1.0, 0.3]]), own])
    plain, found = influence(x, y, family), influence(wider, np.append(y, 1.0), family)
    assert found.leverage[80] == pytest.approx(1, abs=1e-6)
    assert found.cook[80] == found.dffits[80] == found.studentised[80] == 0
    np.testing.assert_allclose(found.cook[:80] * 3, plain.cook * 2, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(found.dffits[:80], plain.dffits, rtol=1e-4, atol=1e-8)
