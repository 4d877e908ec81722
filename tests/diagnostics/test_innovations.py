"""Innovation checks: outside answers, planted faults, a right model left alone, and why not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.diagnostic import acorr_ljungbox, het_arch

from toolkit.diagnostics.battery import run_checks
from toolkit.diagnostics.innovation_tests import (
    arch_lm,
    cramer_von_mises_tail,
    kpss_level,
    largest_root,
    portmanteau,
    seasonal_f,
)
from toolkit.diagnostics.innovations import NAMES, innovation_checks

N = 400


def table(error, *, fold=0, series="a", in_sample=False, model_df=0, unseen=True, predicted=0.0, arm="regression"):
    error = np.asarray(error, dtype=float)
    return pd.DataFrame(
        {
            "arm": arm, "fold": fold, "series": series, "target": "y", "step": np.arange(len(error)),
            "observed": predicted + error, "predicted": predicted, "in_sample": in_sample, "unseen": unseen,
            "model_df": model_df, "power": 1.0,
        }
    )  # fmt: skip


def ask(innovations, periods=(12,), facts=()):
    found = innovation_checks("regression", {"facts": facts}, innovations, "y", periods)
    assert tuple(check.check for check in found) == NAMES
    return {check.check: check for check in found}


def noise(seed=0, n=N):
    return np.random.default_rng(seed).normal(size=n)


def autoregressive(rho, seed=0, n=N):
    e, y = noise(seed, n), np.zeros(n)
    for t in range(1, n):
        y[t] = rho * y[t - 1] + e[t]
    return y


def arch(seed=0, n=N):
    e, out, before = noise(seed, n), np.zeros(n), 0.0
    for t in range(n):
        out[t] = before = e[t] * np.sqrt(0.2 + 0.8 * before**2)
    return out


def test_statistics_are_those_of_statsmodels():
    e = autoregressive(0.2)
    theirs = acorr_ljungbox(e, [8], model_df=3)
    ours = portmanteau(e, 8, 3)
    assert (ours.statistic, ours.p_value) == pytest.approx((theirs.lb_stat.iloc[0], theirs.lb_pvalue.iloc[0]))
    assert arch_lm(e, 5, 2)[:2] == pytest.approx(tuple(het_arch(e, 5, ddof=2))[:2])


def test_kpss_has_its_published_critical_values():
    # Kwiatkowski et al. (1992), table 1: level stationarity
    for level, critical in ((0.10, 0.347), (0.05, 0.463), (0.025, 0.574), (0.01, 0.739)):
        assert cramer_von_mises_tail(critical) == pytest.approx(level, abs=0.001)
    assert cramer_von_mises_tail(0.0) == 1 and 0 < cramer_von_mises_tail(8.0) < 1e-12


def test_roots_and_seasons_are_found():
    assert largest_root(autoregressive(0.8, n=4_000))[0] == pytest.approx(0.8, abs=0.03)
    assert kpss_level(np.cumsum(noise()))[1] < 0.01 < kpss_level(noise())[1]
    t = np.arange(N)
    found = seasonal_f(noise() + np.sqrt(2) * np.sin(2 * np.pi * t / 12), t, 12)
    assert found.share == pytest.approx(0.5, abs=0.06)  # the variance of the season is that of the noise


def test_degrees_of_freedom_of_the_dynamics_keep_the_level():
    rng, rejected = np.random.default_rng(1), np.zeros(2)
    for _ in range(400):
        y = np.zeros(250)
        e = rng.normal(size=250)
        for t in range(2, 250):
            y[t] = 0.5 * y[t - 1] - 0.3 * y[t - 2] + e[t]
        X = np.column_stack([y[1:-1], y[:-2]])
        residual = y[2:] - X @ np.linalg.lstsq(X, y[2:], rcond=None)[0]
        rejected += [portmanteau(residual, 5, df).p_value < 0.05 for df in (2, 0)]
    with_df, without = rejected / 400
    assert 0.025 < with_df < 0.085  # two standard errors of the level, and the approximation at five lags
    assert without < 0.02  # residuals of an autoregression are whiter than noise


def test_white_innovations_are_left_alone():
    for innovations in (table(noise(3)), pd.concat([table(noise(s), series=s) for s in range(20)])):
        found = ask(innovations)
        assert {name: c.verdict for name, c in found.items() if name != "origin_stability"} == dict.fromkeys(
            NAMES[:-1], "good"
        )
        assert found["origin_stability"].reason == "there is a single fit"


FAULTS = {
    "innovation_ljung_box": autoregressive(0.5),
    "innovation_arch": arch(),
    "innovation_normality": np.random.default_rng(0).standard_t(2, N),
    "innovation_cusum": noise() + 0.8 * (np.arange(N) > 250),
    "innovation_season": noise() + np.sin(2 * np.pi * np.arange(N) / 12),
    "innovation_unit_root": np.cumsum(noise()),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_called(name):
    found = ask(table(FAULTS[name]))[name]
    assert found.verdict in ("notice", "poor") and found.effect >= found.threshold, found.reason
    assert found.details["n"] == N and found.details["rows"] == "after the first origin"
    panel = pd.concat([table(FAULTS[name] * (s + 1), series=s) for s in range(5)])
    assert ask(panel)[name].verdict in ("notice", "poor")


def test_coefficients_that_no_longer_serve_are_called():
    y, late = noise(5), np.arange(N) >= N - 60
    old = table(y, fold=0).assign(predicted=np.where(late, 1.0, 0.0))
    new = table(y, fold=3).assign(unseen=late)
    facts = ({"formula": "y ~ 1"}, {"formula": "y ~ trend"})
    found = ask(pd.concat([old, new]), facts=facts)["origin_stability"]
    assert found.verdict == "poor" and found.effect == pytest.approx(1 / np.std(y - old["predicted"], ddof=1))
    assert "2 different specifications" in found.reason and found.details["steps"] == 60
    same = ask(pd.concat([table(y), new]))["origin_stability"]
    assert same.verdict == "good" and same.effect == 0 and same.p_value == 1


def test_few_unseen_rows_are_joined_by_seen_ones_and_the_answer_says_so():
    few = table(autoregressive(0.8, n=120)).assign(unseen=lambda t: t["step"] >= 110)
    found = ask(few)["innovation_ljung_box"]
    assert found.verdict == "poor" and found.details["n"] == 120 and "seen in training" in found.reason
    enough = ask(few.assign(unseen=few["step"] >= 60))["innovation_ljung_box"]
    assert enough.details["n"] == 60 and enough.details["rows"] == "after the first origin"


def test_in_sample_innovations_come_before_later_ones():
    both = pd.concat([table(autoregressive(0.9), in_sample=True, model_df=2), table(noise(), fold=0)])
    found = ask(both)
    assert found["innovation_ljung_box"].details["rows"] == "in-sample"
    assert found["innovation_ljung_box"].details["model_df"] == 2


def test_a_model_of_logarithms_is_asked_about_logarithms():
    level = np.exp(np.linspace(0, 4, N))
    growing = table(noise()).assign(observed=level * np.exp(0.1 * noise(3)), predicted=level)
    assert ask(growing)["innovation_arch"].verdict != "good"
    on_logs = ask(growing.assign(power=0.0))
    assert {on_logs[name].verdict for name in NAMES[:-1]} == {"good"}
    below_zero = growing.assign(power=0.0, observed=growing["observed"] - 100, predicted=growing["predicted"] - 100)
    assert ask(below_zero)["innovation_arch"].p_value == pytest.approx(ask(growing)["innovation_arch"].p_value)


def test_not_applicable_says_why():
    assert "needs 30" in ask(table(noise(n=20)))["innovation_ljung_box"].reason
    assert "do not vary" in ask(table(np.ones(100)))["innovation_arch"].reason
    assert "no season" in ask(table(noise()), periods=())["innovation_season"].reason
    assert "fewer than three seasons" in ask(table(noise()), periods=(168,))["innovation_season"].reason
    assert "leave no degrees of freedom" in ask(table(noise(n=60), model_df=40))["innovation_ljung_box"].reason
    assert "estimated anew" in ask(table(noise(), in_sample=True))["origin_stability"].reason
    assert "no one-step" in ask(None)["innovation_cusum"].reason
    assert ask(None, facts=({"innovations": "one-step innovations: ValueError: x"},))["innovation_cusum"].reason == (
        "one-step innovations: ValueError: x"
    )


class Data:
    """What the battery asks of series data."""

    periods = (24,)
    target_kind = "real"


def test_errors_of_the_best_possible_forecasts_many_steps_ahead_are_no_failure():
    """The true model of an autoregression, 24 steps ahead: its errors are correlated, its innovations are not."""
    y, rho, parts = autoregressive(0.95, seed=2, n=2_000), 0.95, []
    for fold, origin in enumerate(range(1_000, 1_960, 24)):
        ahead = np.arange(1, 25)
        path = y[origin - 1] * rho**ahead
        half = 1.645 * np.sqrt((1 - rho ** (2 * ahead)) / (1 - rho**2))
        parts.append(pd.DataFrame({
            "arm": "regression", "repeat": 0, "fold": fold, "row": origin + ahead - 1, "series": "a",
            "time": origin + ahead - 1, "origin": origin - 1, "horizon": ahead, "target": "y",
            "observed": y[origin : origin + 24], "predicted": path, "lower": path - half, "upper": path + half,
            "n_train": origin, "group": None,
        }))  # fmt: skip
    innovations = table(y[1_000:1_960] - rho * y[999:1_959])
    found = run_checks(
        pd.concat(parts), {"regression": {"kind": "regression", "facts": ()}}, dataset=Data(), metric="rmse",
        innovations=innovations,
    )  # fmt: skip
    verdicts = {check.check: check for check in found}
    for name in ("durbin_watson", "breusch_godfrey", "ljung_box", "cusum", "sup_f"):
        assert verdicts[name].verdict == "not applicable" and "overlap" in verdicts[name].reason
    assert {name: check.reason for name, check in verdicts.items() if check.verdict == "poor"} == {}
    assert verdicts["innovation_ljung_box"].verdict == "good" and verdicts["innovation_ljung_box"].details["first"]
