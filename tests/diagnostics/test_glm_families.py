"""The generalised linear fits of the checks, against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm

from toolkit.diagnostics.influence import influence
from toolkit.diagnostics.least_squares import GLM_FAMILIES, fit_glm

MADE = {
    "gaussian_log": lambda rng, mu: mu + 0.1 * rng.normal(size=len(mu)),
    "poisson": lambda rng, mu: rng.poisson(mu).astype(float),
    "gamma": lambda rng, mu: rng.gamma(5, mu / 5),
    "binomial": lambda rng, mu: (rng.random(len(mu)) < mu / (1 + mu)).astype(float),
}
OURS = {
    "gaussian_log": sm.families.Gaussian(sm.families.links.Log()),
    "poisson": sm.families.Poisson(),
    "gamma": sm.families.Gamma(sm.families.links.Log()),
    "binomial": sm.families.Binomial(),
}


@pytest.mark.parametrize("family", [name for name in GLM_FAMILIES if name != "gaussian"])
def test_coefficients_and_leverage_equal_those_of_statsmodels(family):
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(200), rng.normal(size=(200, 2))])
    y = MADE[family](rng, np.exp(x @ [0.8, 0.4, -0.3]))
    fitted = sm.GLM(y, x, family=OURS[family]).fit(tol=1e-12)
    coefficients, mean = fit_glm(x, y, family)
    assert coefficients == pytest.approx(fitted.params, abs=1e-5)
    assert mean == pytest.approx(fitted.mu, rel=1e-4)
    assert influence(x, y, family).leverage == pytest.approx(fitted.get_hat_matrix_diag(observed=False), abs=1e-4)
