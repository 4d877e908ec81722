"""The tests behind the verdict against known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.comparison.tables import folds_table, origins_table
from toolkit.comparison.bayes import correlated_t_test
from toolkit.comparison.confidence_set import confidence_set
from toolkit.comparison.design import cosine_covariance, cosine_terms, make_design, sum_covariance
from toolkit.comparison.encompassing import encompassing
from toolkit.comparison.estimate import p_value
from toolkit.comparison.forecast_tests import clark_west, diebold_mariano, fixed_b, mincer_zarnowitz
from toolkit.comparison.power import minimal_detectable_gain, units_needed
from toolkit.comparison.row_scores import score_rows
from toolkit.comparison.rows import pair_rows
from toolkit.comparison.seeds import seed_variance
from toolkit.comparison.tests import clustered_clt, corrected_t, paired_bootstrap, row_test
from toolkit.errors import InputError
from toolkit.evaluation.scores import METRICS, score

PAIR = ("regression", "neural")


def test_corrected_t_by_hand():
    # mean .02, s = .0158114, se = s sqrt(1/5 + 1/4) = .0106066, t = 1.885618 on 4 degrees of freedom
    found = corrected_t(np.array([0.01, 0.03, 0.0, 0.04, 0.02]), 0.25)
    assert found.gain == pytest.approx(0.02)
    assert found.se == pytest.approx(0.0106066, rel=1e-5)
    assert p_value(found) == pytest.approx(2 * stats.t.sf(1.8856181, 4), rel=1e-6)


def test_correlated_t_test_is_a_student_posterior():
    gains = np.array([0.01, 0.03, 0.0, 0.04, 0.02])
    rho = 0.25 / 1.25  # the correlation that belongs to n_judge / n_train = 1/4
    scale = np.sqrt((1 / 5 + rho / (1 - rho)) * gains.var(ddof=1))
    found = correlated_t_test(gains, 0.25, 0.01)
    assert found["neural"] == pytest.approx(1 - stats.t.cdf(0.01, 4, 0.02, scale))
    assert found["regression"] == pytest.approx(stats.t.cdf(-0.01, 4, 0.02, scale))
    assert sum(found.values()) == pytest.approx(1)


def test_diebold_mariano_agrees_with_statsmodels():
    from statsmodels.tsa.stattools import diebold_mariano_test

    rng = np.random.default_rng(0)
    y = rng.normal(size=80)
    first, second = y + rng.normal(size=80), y + 0.8 * rng.normal(size=80)
    for h in (1, 4, 12):
        known = diebold_mariano_test(y, first, second, criterion="mae", harvey_adj=True, horizon=h)
        found = diebold_mariano(np.abs(y - first) - np.abs(y - second), h)
        assert found["statistic"] == pytest.approx(known.statistic, rel=1e-10)
        assert found["p_value"] == pytest.approx(known.pvalue, rel=1e-8)


@pytest.mark.parametrize(("n", "h"), [(30, 1), (30, 12), (100, 12), (200, 24)])
def test_fixed_b_holds_its_size(n, h):
    rng = np.random.default_rng(1)
    noise = np.cumsum(rng.normal(size=(1500, n + h)), axis=1)
    rejected = np.mean([fixed_b(one, h)["p_value"] < 0.05 for one in noise[:, h:] - noise[:, :-h]])
    assert 0.03 <= rejected <= 0.07


def test_cosines_are_the_textbook_projection():
    x = np.random.default_rng(2).normal(size=50)
    x -= x.mean()
    terms = cosine_terms(50)
    basis = np.sqrt(2 / 50) * np.cos(np.pi * np.outer(np.arange(1, terms + 1), np.arange(50) + 0.5) / 50)
    assert cosine_covariance(x[:, None], terms)[0, 0] == pytest.approx(50 * np.mean((basis @ x) ** 2))


@pytest.mark.parametrize("name", ["rmse", "mae", "mse", "r2", "auc", "log_loss"])
def test_row_scores_average_to_the_score(name):
    rng = np.random.default_rng(3)
    cell = np.repeat([0, 1], [40, 60])
    y = (rng.random(100) > 0.5).astype(float) if name in ("auc", "log_loss") else rng.normal(size=100)
    predicted = np.clip(rng.random(100), 0.05, 0.95) if name in ("auc", "log_loss") else y + rng.normal(size=100)
    scores, rows, row_level = score_rows(METRICS[name], y, predicted, cell, 2)
    assert row_level
    for one in (0, 1):
        at = cell == one
        assert scores[one] == pytest.approx(score(name, y[at], predicted[at]))
        assert rows[at].mean() == pytest.approx(scores[one])
    if name == "auc":
        assert scores[0] == pytest.approx(roc_auc_score(y[:40], predicted[:40]))


def test_delta_method_matches_resampling():
    """Standard error of an RMSE difference: by rows, and by drawing rows again."""
    paired = pair_rows(folds_table(n=500, gain=0.1, folds=2).query("fold == 0"), "rmse", PAIR)
    found = clustered_clt(paired, make_design(paired, "holdout"))
    rng, y, p = np.random.default_rng(0), paired.observed, paired.predicted
    drawn = []
    for _ in range(2000):
        at = rng.integers(0, len(y), len(y))
        drawn.append(score("rmse", y[at], p[at, 0]) - score("rmse", y[at], p[at, 1]))
    assert found.se == pytest.approx(np.std(drawn), rel=0.08)


def test_holdout_bootstrap_is_near_the_t_interval_without_skewness():
    paired = pair_rows(folds_table(n=600, gain=0.05, folds=2).query("fold == 0"), "mae", PAIR)
    design = make_design(paired, "holdout")
    boot, plain = paired_bootstrap(paired, design, seed=1), clustered_clt(paired, design)
    assert boot.name == "paired_bootstrap"
    assert np.quantile(boot.draws, 0.975) == pytest.approx(stats.t.ppf(0.975, plain.df), rel=0.1)


def test_clusters_by_hand_and_wider_than_rows():
    rng = np.random.default_rng(4)
    table = folds_table(n=200, noise=0.3)
    groups = np.arange(200) // 10
    shift = rng.normal(size=20)[groups]
    table.loc[table["arm"] == "neural", "predicted"] += np.tile(shift, 1)
    paired = pair_rows(table, "mse", PAIR)
    by_row = make_design(paired, "kfold")
    by_group = make_design(paired, "kfold", groups)
    psi = paired.weight * (paired.gain - paired.estimate)
    sums = np.bincount(groups[paired.row], psi)
    inflation = 1 + 200 / 160
    assert sum_covariance(psi, by_group)[0][0, 0] == pytest.approx(inflation * 20 / 19 * np.sum(sums**2))
    assert row_test(paired, by_group).df == 19
    assert row_test(paired, by_row).df == 199


def test_repeats_do_not_count_rows_twice():
    once = pair_rows(folds_table(n=300, noise=0.0, gain=0.1), "mae", PAIR)
    table = folds_table(n=300, noise=0.0, gain=0.1)
    again = pair_rows(pd.concat([table, table.assign(repeat=1)]), "mae", PAIR)
    first, second = (clustered_clt(p, make_design(p, "kfold")) for p in (once, again))
    assert first.se == pytest.approx(second.se)
    assert first.n == second.n == 300


def test_seed_variance_is_that_of_the_mean_of_members():
    table = folds_table(n=2000, noise=0.0)
    net = table[table["arm"] == "neural"]
    rng = np.random.default_rng(5)
    shifts = rng.normal(size=8) * 0.2  # each member is off by a constant: MSE of the mean then varies with the shifts
    members = pd.concat([net.assign(member=k, predicted=net["predicted"] + s) for k, s in enumerate(shifts)])
    table.loc[net.index, "predicted"] = net["predicted"] + shifts.mean()
    paired = pair_rows(table, "mse", PAIR)
    variance, df, by_arm = seed_variance(paired, members)
    error = (net["observed"] - net["predicted"]).mean()
    slope = -2 * (error - shifts.mean())  # derivative of the MSE in the shift
    assert variance == pytest.approx(slope**2 * shifts.var(ddof=1) / 8, rel=0.35)
    assert df == 7 and set(by_arm) == {"neural"}


def test_encompassing_outcomes():
    rng = np.random.default_rng(6)
    n = 600
    a, b = rng.normal(size=n), rng.normal(size=n)
    table = folds_table(n=n)
    y = a + b + 0.3 * rng.normal(size=n)
    table["observed"] = np.tile(y, 2)

    def outcome(first, second):
        table["predicted"] = np.concatenate([first, second])
        paired = pair_rows(table, "rmse", PAIR)
        return encompassing(paired, make_design(paired, "kfold"))[0]

    both = outcome(a, b)
    assert both["outcome"] == "combine" and both["use_both"]
    # best single weight of b against a: y - a = w (b - a) has w = 1/2
    assert both["weight"] == pytest.approx(0.5, abs=0.06)
    assert outcome(a, a + b)["outcome"] == "net adds"
    assert outcome(a + b, b)["outcome"] == "regression adds"


def test_mincer_zarnowitz_finds_a_wrong_slope():
    table = folds_table(n=400, noise=0.0)
    at = table["arm"] == "neural"
    table.loc[at, "predicted"] = table.loc[at, "observed"] * 2 + np.random.default_rng(99).normal(size=at.sum())
    paired = pair_rows(table, "rmse", PAIR)
    found = mincer_zarnowitz(paired, make_design(paired, "kfold"), 1)
    assert found.p_value < 1e-6
    assert found.details["slope"] == pytest.approx(0.5, abs=0.05)


def test_clark_west_adds_the_noise_of_the_larger_model_back():
    table = origins_table(gain=0.0)
    paired = pair_rows(table, "mse", PAIR)
    found = clark_west(paired, make_design(paired, "rolling_origin"))
    first, second = paired.predicted.T
    y = paired.observed
    assert found.estimate == pytest.approx(np.mean((y - first) ** 2 - (y - second) ** 2 + (first - second) ** 2))


def test_panels_take_the_widest_of_their_variances():
    paired = pair_rows(origins_table(origins=20, series=12, gain=0.1), "mae", PAIR)
    design = make_design(paired, "rolling_origin")
    assert design.kind == "panel" and design.n == 20
    assert sum_covariance(paired.weight * (paired.gain - paired.estimate), design)[2] in ("serial", "series", "two-way")
    one_date = pair_rows(origins_table(origins=1, series=12), "mae", PAIR)
    by_series = row_test(one_date, make_design(one_date, "rolling_origin"))
    assert by_series.name == "series_test" and by_series.n == 12
    few = make_design(pair_rows(origins_table(origins=20, series=3), "mae", PAIR), "rolling_origin")
    assert few.kind == "time" and "3 series" in few.notes[0]


def test_power_is_the_power():
    """At the minimal detectable gain the decision rule says `neural` in four of five draws."""
    paired = pair_rows(folds_table(n=500), "rmse", PAIR)
    found = row_test(paired, make_design(paired, "kfold"))
    gain = minimal_detectable_gain(found, 0.01)
    drawn = gain + found.se * np.random.default_rng(0).standard_t(found.df, size=20_000)
    clear = max(0.01 + stats.t.ppf(0.95, found.df) * found.se, stats.t.ppf(0.975, found.df) * found.se)
    assert np.mean(drawn > clear) == pytest.approx(0.8, abs=0.01)
    needed = units_needed(found, 0.5, 500)
    assert needed["claim"] == "equivalent" and needed["needed"] >= 500


def test_confidence_set_drops_the_bad_arm():
    table = folds_table(n=500, gain=0.0)
    bad = table[table["arm"] == "regression"].copy()
    bad["arm"], bad["predicted"] = "naive", 0.0
    found = {t.details["arm"]: t for t in confidence_set(pd.concat([table, bad]), "rmse", (*PAIR, "naive"))}
    assert not found["naive"].details["included"]
    assert found["regression"].details["included"] or found["neural"].details["included"]


def test_confidence_set_over_folds_counts_the_luck_of_training_rows():
    table = folds_table(n=500, gain=0.03)
    third = folds_table(n=500, gain=0.03, seed=0, noise=0.3).query("arm == 'neural'").assign(arm="third")
    tables = pd.concat([table, third]).drop(columns="n_train")

    def p_values(n_train: int) -> np.ndarray:
        return np.array([t.p_value for t in confidence_set(tables, "rmse", (*PAIR, "third"), n_train=n_train)])

    many, few = p_values(10**9), p_values(250)  # a variance factor of 1 and of 3
    assert (few >= many).all() and (few > many).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: pd.concat([t, t.iloc[:3]]), "3 rows are predicted more than once"),
        (lambda t: t.assign(predicted=t["predicted"].mask(t.index == 2)), "missing or infinite"),
        (
            lambda t: t[(t["arm"] == "neural") | (t["row"] < 50)].drop(
                t[(t["arm"] == "neural") & (t["row"] < 50)].index
            ),
            "common",
        ),
    ],
)
def test_unpaired_tables_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        pair_rows(change(folds_table(n=100)), "rmse", PAIR)
