"""Forecasts from anywhere, good and bad."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.comparison.judge import judge
from toolkit.errors import InputError


def wide(n: int = 240, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = 10 + rng.normal(size=n)
    return pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=n, freq="h"),
            "real": y,
            "ols": y + rng.normal(size=n),
            "net": y + 0.6 * rng.normal(size=n),
            "net_2": y + 0.6 * rng.normal(size=n),
        }
    )


def test_published_electricity_prices(shared):
    """Lago et al. (2021): daily Diebold-Mariano-HLN p-values .046, .115, .004."""
    for market, known in (("np", 0.046), ("fr", 0.115), ("de", 0.004)):
        found = judge(
            shared / "benchmarks" / "epf_forecasts" / f"{market}.parquet",
            "real_price",
            ["lear=lear_ensemble", "dnn=dnn_ensemble"],
            time="datetime",
            horizon=24,
        )
        test = next(t for t in found.tests if t.name == "diebold_mariano_hln" and "horizon" not in t.details)
        assert test.p_value == pytest.approx(known, abs=0.003)
        assert test.n == 728


def test_long_is_wide():
    table = wide()
    long = table.melt(["when", "real"], ["ols", "net"], "model", "forecast").sample(frac=1, random_state=0)
    a = judge(table, "real", ["ols", "net"], time="when", horizon=24)
    b = judge(long, "real", ["ols", "net"], time="when", horizon=24, model_column="model", prediction_column="forecast")
    assert a.verdict.estimate == pytest.approx(b.verdict.estimate)
    assert a.verdict.sentence == b.verdict.sentence


def test_means_of_columns_and_more_than_two():
    found = judge(wide(), "real", ["ols", "both=net+net_2", "net_*"], time="when", horizon=24)
    assert list(dict.fromkeys(found.predictions["arm"])) == ["ols", "both", "net"]
    assert {t.details["arm"] for t in found.tests if t.name == "model_confidence_set"} == {"ols", "both", "net"}


def names(found) -> dict[str, int]:
    return {f["finding"]: f["count"] for f in found.findings}


def test_findings_say_what_was_left_out():
    table = wide()
    table.loc[[3, 7], "net"] = [np.nan, np.inf]
    found = judge(table.iloc[::-1], "real", ["ols", "net"], time="when", horizon=24)
    assert names(found)["missing values"] == 2
    assert "time not sorted" in names(found)
    assert names(found)["incomplete origins"] == 22  # the day with two rows missing
    assert len(found.predictions) == 2 * (240 - 24)


def test_unpaired_rows_two_folds_and_constant_difference():
    long = wide().melt(["when", "real"], ["ols", "net"], "model", "forecast")
    found = judge(
        long.drop(long.index[[0, 300]]),
        "real",
        ["ols", "net"],
        time="when",
        model_column="model",
        prediction_column="forecast",
    )
    assert names(found)["unpaired rows"] == 1
    table = wide().assign(fold=np.arange(240) % 2, up=lambda t: t["real"] + 1, more=lambda t: t["real"] + 2)
    assert "two folds only" in names(judge(table, "real", ["ols", "net"], fold="fold"))
    assert "constant loss difference" in names(judge(table, "real", ["more", "up"]))


@pytest.mark.parametrize(
    ("change", "models", "words"),
    [
        (lambda t: t, ["ols"], "two or more"),
        (lambda t: t, ["ols", "nett"], "did you mean 'net'"),
        (lambda t: t.assign(net="a"), ["ols", "net"], "expected numbers"),
        (lambda t: t.assign(net=np.nan), ["ols", "net"], "no finite value"),
        (lambda t: pd.concat([t, t.iloc[:2]]), ["ols", "net"], "2 rows are repeated"),
        (lambda t: t.iloc[:2], ["ols", "net"], "only 2 rows"),
        (lambda t: t, ["ols", "ols"], "named twice"),
    ],
)
def test_mistakes_are_one_line(change, models, words):
    with pytest.raises(InputError, match=words) as caught:
        judge(change(wide()), "real", models, time="when")
    assert "\n" not in str(caught.value)


def test_repeated_keys_in_long_format():
    long = wide().melt(["when", "real"], ["ols", "net"], "model", "forecast")
    with pytest.raises(InputError, match="keys are repeated"):
        judge(pd.concat([long, long.iloc[:1]]), "real", time="when", model_column="model", prediction_column="forecast")
