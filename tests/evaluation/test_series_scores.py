"""Scores of forecasts: figures of the M4 organisers, for-loops, and intervals over origins."""

import numpy as np
import pandas as pd
import pytest

from toolkit.data.dataset import Dataset
from toolkit.data.origins import official
from toolkit.data.series import SeriesData
from toolkit.errors import InputError
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.evaluation.series_intervals import (
    conformal_over_origins,
    crps_from_quantiles,
    interval_score_table,
    interval_scores_by_horizon,
    winkler,
)
from toolkit.evaluation.series_scores import OFFICIAL_NAIVE2, owa, relative, series_score
from toolkit.models.classical import Naive, SeasonalNaive


def rows(observed, predicted, **columns):
    return pd.DataFrame({"series": "a", "target": "y", "observed": observed, "predicted": predicted, **columns})


def test_m4_hourly_baselines_are_the_official_figures(shared):
    frame = pd.read_parquet(shared / "data" / "m4_hourly" / "m4_hourly.parquet")
    card = {"time": {"seasonal_periods": [24, 168], "m_used_for_mase": 24}, "splits": {"column": "split"}}
    source = Dataset(frame, ("y",), (), {}, "real", time="ds", series="unique_id", card=card)
    data = SeriesData.from_dataset(source, 48)
    table = evaluate_forecasts(data, official(data), {"naive": Naive(48), "snaive": SeasonalNaive(48)}).predictions
    found = {
        (arm, metric): series_score(metric, part) for arm, part in table.groupby("arm") for metric in ("smape", "mase")
    }
    # Evaluation sheet of Mcompetitions/M4-methods.
    assert found["snaive", "smape"] == pytest.approx(13.912, abs=5e-4)
    assert found["snaive", "mase"] == pytest.approx(1.193, abs=5e-4)
    assert found["naive", "smape"] == pytest.approx(43.003, abs=5e-4)
    assert found["naive", "mase"] == pytest.approx(11.608, abs=5e-4)
    assert owa(13.912, 1.193, OFFICIAL_NAIVE2["m4_hourly"]) == pytest.approx(0.627, abs=1e-3)


def naive2(y, period, horizon):
    """Naive2 of the M4 organisers' R code: the last value, seasonally adjusted where a test at 10 % finds a season."""
    from statsmodels.tsa.seasonal import seasonal_decompose

    n, place = len(y), np.ones(horizon)
    if period > 1 and n >= 3 * period:
        centred = y - y.mean()
        r = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, period + 1)]) / (centred @ centred)
        limit = 1.645 / np.sqrt(n) * np.sqrt(np.cumsum(np.r_[1, 2 * r**2]))
        if abs(r[period - 1]) > limit[period - 1]:
            season = seasonal_decompose(y, model="multiplicative", period=period).seasonal
            place, y = np.resize(season[-period:], horizon), y / season
    return y[-1] * place


@pytest.mark.parametrize("name", ["m4_hourly", "m4_weekly"])
def test_naive2_and_with_it_owa_are_the_official_figures(shared, name):
    frame = pd.read_parquet(shared / "data" / name / f"{name}.parquet").sort_values(["unique_id", "ds"])
    period, parts = {"m4_hourly": 24, "m4_weekly": 1}[name], []
    for series, rows_of in frame.groupby("unique_id", sort=False):
        test = (rows_of["split"] == "test").to_numpy()
        y, future = rows_of["y"].to_numpy(float)[~test], rows_of["y"].to_numpy(float)[test]
        scale = np.abs(y[period:] - y[:-period]).mean()
        made = naive2(y, period, len(future))
        parts.append(rows(future, made, scale=scale).assign(series=series))
    table = pd.concat(parts, ignore_index=True)
    smape, mase = series_score("smape", table), series_score("mase", table)
    assert (smape, mase) == pytest.approx(OFFICIAL_NAIVE2[name], abs=5e-4)
    assert owa(smape, mase, OFFICIAL_NAIVE2[name]) == pytest.approx(1.0, abs=3e-4)


def test_scores_by_hand():
    table = rows([2.0, 4.0], [1.0, 6.0], scale=2.0, root_scale=2.0)
    assert series_score("mae", table) == 1.5
    assert series_score("mase", table) == 0.75
    assert series_score("rmsse", table) == pytest.approx(np.sqrt(2.5) / 2)
    assert series_score("smape", table) == pytest.approx((200 / 3 + 40) / 2)
    assert series_score("mape", table) == 50.0
    plain, metric = relative(table.assign(lower=0.0, upper=0.0), "mase")
    assert metric == "mae" and np.abs(plain["observed"] - plain["predicted"]).mean() == 0.75
    with pytest.raises(InputError, match="MASE is defined on none of 2 rows"):
        series_score("mase", table.assign(scale=np.nan))


def test_crps_of_normal_quantiles():
    from scipy.stats import norm

    levels = np.arange(1, 200) / 200
    found = crps_from_quantiles(np.array([0.7]), norm.ppf(levels)[None], levels)[0]
    y = 0.7  # closed form: Gneiting and Raftery (2007)
    assert found == pytest.approx(y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi), abs=2e-3)


def test_winkler_by_hand():
    y, lower, upper = np.array([1.0, 5.0, -1.0]), np.zeros(3), np.full(3, 2.0)
    assert winkler(y, lower, upper, 0.9).tolist() == pytest.approx([2.0, 62.0, 22.0])


def many_origins(origins=60, spread=1.0, arm="a"):
    rng = np.random.default_rng(0)
    parts = []
    for fold in range(origins):
        time = pd.date_range("2024-01-01", periods=5) + pd.Timedelta(days=5 * fold)
        error = rng.normal(size=5) * spread * np.sqrt(np.arange(1, 6))
        part = rows(error, 0.0, scale=spread, arm=arm, repeat=0, fold=fold, horizon=np.arange(1, 6), time=time)
        parts.append(part.assign(origin=time[0] - pd.Timedelta(days=1)))
    table = pd.concat(parts, ignore_index=True)
    half = 1.645 * spread * np.sqrt(table["horizon"])
    return table.assign(lower=-half, upper=half)


def test_conformal_intervals_cover_and_see_only_earlier_origins():
    table = many_origins()
    out = conformal_over_origins(table)
    judged = out[out["conformal_lower"].notna()]
    inside = judged["observed"].between(judged["conformal_lower"], judged["conformal_upper"]).mean()
    assert 0.85 < inside < 0.96 and judged["fold"].min() == 4
    table.loc[table["fold"] == 59, "observed"] = 1e6
    again = conformal_over_origins(table)
    pd.testing.assert_series_equal(out["conformal_upper"], again["conformal_upper"])


def test_the_half_width_of_an_origin_is_a_quantile_of_the_errors_before_it():
    table = many_origins(30)
    out = conformal_over_origins(table, coverage=0.8)
    before = table[(table["fold"] < 29) & (table["horizon"] == 3)]
    rank = int(np.ceil(0.8 * (len(before) + 1)))
    row = out[(out["fold"] == 29) & (out["horizon"] == 3)].iloc[0]
    assert row["conformal_upper"] - row["predicted"] == pytest.approx(np.sort(before["observed"].abs())[rank - 1])
    assert row["predicted"] - row["conformal_lower"] == pytest.approx(row["conformal_upper"] - row["predicted"])


def test_scores_of_intervals_overall_and_by_horizon():
    table = conformal_over_origins(pd.concat([many_origins(), many_origins(spread=7.0, arm="b")], ignore_index=True))
    scores = interval_score_table(table, 0.9).set_index(["arm", "metric"])
    # Losses are in units of the scale: a series seven times as large has the same scores.
    a, b = (scores.loc[arm]["mean"].astype(float) for arm in ("a", "b"))
    assert a.to_dict() == pytest.approx(b.to_dict())
    inside = (table["observed"].abs() <= table["upper"])[table["arm"] == "a"].mean()
    assert a["own_coverage"] == pytest.approx(inside) and 0.85 < a["coverage"] < 0.96
    assert len(scores.loc[("a", "coverage"), "per_fold"]) == 56  # the first four have too few errors behind them
    # The expected score of a normal with the right spread: sd / sqrt(pi) for CRPS (Gneiting and Raftery 2007)
    expected = np.sqrt(np.arange(1, 6)).mean() / np.sqrt(np.pi)
    assert a["crps"] == pytest.approx(expected, rel=0.1)
    # Winkler: half the pinball loss of both ends together, times 4 / (1 - coverage)
    assert a["own_winkler"] == pytest.approx(a["own_pinball"] * 4 / 0.1)
    steps = interval_scores_by_horizon(table, 0.9).set_index(["arm", "horizon", "metric"])["value"]
    assert steps["a", 5, "crps"] > 1.5 * steps["a", 1, "crps"]
    assert steps.xs("coverage", level="metric")["a"].mean() == pytest.approx(a["coverage"], abs=0.01)
    assert interval_score_table(many_origins(1), 0.9)["metric"].str.startswith("own_").all()
