"""Every finding fires where it should, and is silent where it should be."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from toolkit.data.catalog import load_dataset
from toolkit.data.dataset import Dataset
from toolkit.data.findings import find, identical_x_groups
from toolkit.data.splits import choose_splits

N = 400


def clean(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "size": rng.normal(size=n),
        "rooms": rng.integers(1, 6, n),
        "income": rng.lognormal(size=n),
        "town": rng.choice(["a", "b", "c"], n),
        "y": rng.normal(size=n),
    })  # fmt: skip


def found(frame: pd.DataFrame, name: str | None = None, **roles) -> list[dict]:
    everything = find(Dataset.from_frame(frame, "y", **roles))
    return everything if name is None else [finding for finding in everything if finding["finding"] == name]


def columns(frame: pd.DataFrame, name: str, **roles) -> list:
    return [finding["column"] for finding in found(frame, name, **roles)]


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_table_has_none(seed):
    assert found(clean(seed=seed)) == []


def test_every_finding_has_the_same_four_parts():
    frame = clean().assign(one=1, row=range(N))
    for finding in found(frame):
        assert set(finding) == {"finding", "column", "message", "advice"}
        assert finding["message"] and finding["advice"]


def test_missing_target():
    frame = clean()
    frame.loc[:4, "y"] = np.nan
    frame.loc[5, "y"] = np.inf
    messages = [finding["message"] for finding in found(frame, "missing_target")]
    assert messages == [
        "target 'y' is missing in 5 of 400 rows; they are left out",
        "target 'y' is infinite in 1 of 400 rows; they are left out",
    ]


def test_constant_column():
    frame = clean().assign(one=1, word="same", nothing=np.nan, nearly=[1] * (N - 1) + [2])
    assert columns(frame, "constant_column") == ["one", "word", "nothing"]


@pytest.mark.parametrize(
    ("values", "fires"),
    [
        (np.arange(N), True),
        (np.arange(N)[::-1] + 1_000.0, True),
        (np.random.default_rng(0).permutation(N), True),
        ([f"customer {i}" for i in range(N)], True),
        (np.random.default_rng(0).normal(size=N), False),
        (np.random.default_rng(0).integers(0, N, N), False),
        (np.random.default_rng(0).choice(10**9, N, replace=False), False),  # no counter, and not called an id
        (np.repeat(np.arange(N // 4), 4), False),
    ],
)
def test_identifier_column(values, fires):
    assert columns(clean().assign(extra=values), "identifier_column") == (["extra"] if fires else [])


def test_identifier_by_its_name():
    frame = clean().assign(parcel_id=np.random.default_rng(0).choice(10**9, N, replace=False))
    assert columns(frame, "identifier_column") == ["parcel_id"]


def test_date_column():
    frame = clean().assign(day=pd.date_range("2024-01-01", periods=N).astype(str))
    assert columns(frame, "date_column") == ["day"]
    assert columns(frame, "date_column", time="day") == []


@pytest.mark.parametrize(
    "leak",
    [
        lambda f: f.y,
        lambda f: -3.5 * f.y + 12,
        lambda f: np.exp(f.y),
        lambda f: -(f.y**3),
        lambda f: f.y.mask(f.index < 20),  # some values missing
    ],
)
def test_one_column_determines_the_target(leak):
    assert columns(clean().assign(leak=leak), "determines_target") == ["leak"]


def test_a_code_determines_the_target():
    frame = clean().assign(y=np.tile([1.5, 2.5, 4.0, -1.0], N // 4))
    frame["code"] = frame.y.map({1.5: "k", 2.5: "q", 4.0: "b", -1.0: "a"})
    assert columns(frame, "determines_target") == ["code"]


@pytest.mark.parametrize("leak", [lambda f: f.y.round(1), lambda f: f.y + 0.05 * np.sin(f.index), lambda f: f.y**2])
def test_a_close_relation_is_not_a_rule(leak):
    assert columns(clean().assign(leak=leak), "determines_target") == []


def parts(n: int = N, wrong: int = 0, digits: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = clean(n).assign(casual=rng.poisson(30, n), members=rng.poisson(90, n), twin=lambda f: f["size"] * 2)
    frame["y"] = (frame.casual + frame.members).astype(float).round(digits)
    frame.loc[rng.choice(n, wrong, replace=False), "y"] += 17
    return frame


@pytest.mark.parametrize("wrong", [0, 8])
def test_a_sum_determines_the_target(wrong):
    assert columns(parts(wrong=wrong), "determines_target") == ["casual, members"]


def test_a_weighted_sum_in_rounded_figures():
    frame = clean()
    frame["net"], frame["tax"] = frame.income * 1000, frame["size"] * 1000
    frame["y"] = (1.19 * frame.net - frame.tax).round(2)
    found_in = columns(frame.drop(columns=["income", "size"]), "determines_target")
    assert found_in == ["net, tax"]


def test_a_product_determines_the_target():
    rng = np.random.default_rng(2)
    frame = clean().assign(units=rng.integers(1, 50, N), price=rng.lognormal(size=N))
    frame["y"] = frame.units * frame.price
    assert columns(frame, "determines_target") == ["units, price"]


def test_a_strong_signal_with_noise_is_not_a_rule():
    frame = clean()
    frame["y"] = 3 * frame["size"] + frame.rooms + np.random.default_rng(3).normal(scale=0.01, size=N)
    assert columns(frame, "determines_target") == []


def test_more_columns_than_rows_are_no_sum():
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(40, 60))).add_prefix("c").assign(y=rng.normal(size=40))
    assert columns(wide, "determines_target") == []
    assert [finding["finding"] for finding in found(wide)] == ["more_columns_than_rows"]


def test_casual_and_registered_are_caught_in_bike_sharing():
    everything = load_dataset("bike_sharing_hourly")
    assert not [finding for finding in find(everything) if finding["finding"] == "determines_target"]
    features = [*everything.features, "casual", "registered"]
    leaking = load_dataset("bike_sharing_hourly", features=features)
    hits = [finding for finding in find(leaking) if finding["finding"] == "determines_target"]
    assert [hit["column"] for hit in hits] == ["casual, registered"]
    assert "data.drop: [casual, registered]" in hits[0]["advice"]


def test_duplicated_rows():
    frame = clean()
    assert found(frame, "duplicated_rows") == []
    twice = pd.concat([frame, frame.iloc[:7]])
    assert found(twice, "duplicated_rows")[0]["message"].startswith("7 of 407 rows")
    assert found(twice, "repeated_x") == []  # the same X with the same y


def test_repeated_x():
    frame = clean()
    again = frame.iloc[:10].assign(y=lambda f: f.y + 1)
    hits = found(pd.concat([frame, again]), "repeated_x")
    assert len(hits) == 1
    assert "5% of rows" in hits[0]["message"] and "20 rows" in hits[0]["message"]
    assert "group: identical_rows" in hits[0]["advice"]


def test_missing_values_count_as_equal():
    frame = pd.DataFrame({"x": [np.nan, np.nan, 1.0], "w": [None, None, "a"], "y": [1.0, 2.0, 4.0]})
    assert identical_x_groups(Dataset.from_frame(frame, "y")).tolist() == [0, 0, 1]


def test_identical_rows_are_found_in_any_column():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 2, (500, 20))).add_prefix("c")
    frame.loc[250:, "c0":"c17"] = frame.loc[:249, "c0":"c17"].to_numpy()
    frame.loc[300:320] = frame.loc[50:70].to_numpy()
    frame["c19"] = frame["c19"].map({0: "no", 1: None})
    expected = frame.groupby(list(frame), sort=False, dropna=False).ngroup().to_numpy()
    assert expected.max() < 499
    groups = identical_x_groups(Dataset.from_frame(frame.assign(y=rng.normal(size=500)), "y"))
    np.testing.assert_array_equal(groups, expected)


def test_rand_hie_is_caught_and_split_by_identical_rows():
    frame = sm.datasets.randhie.load_pandas().data
    data = Dataset.from_frame(frame, "mdvis")
    hit = next(finding for finding in find(data) if finding["finding"] == "repeated_x")
    share = frame.duplicated([c for c in frame if c != "mdvis"], keep=False).mean()
    assert share > 0.99
    assert f"repeated X found in {share:.0%} of rows" in hit["message"]
    splits = choose_splits(data)
    assert splits.scheme == "group"
    assert f"repeated X found in {share:.0%} of rows" in splits.reason
    groups = identical_x_groups(data)
    for fold in splits.folds:
        assert not set(groups[fold.train]) & set(groups[fold.judge])


def times(stamps) -> pd.DataFrame:
    stamps = pd.Index(stamps)
    return clean(len(stamps)).assign(t=stamps)


@pytest.mark.parametrize(
    "stamps",
    [
        pd.date_range("2024-01-01", periods=100, freq="h"),
        pd.date_range("2024-01-01", periods=100, freq="D"),
        pd.bdate_range("2024-01-01", periods=100),
        pd.date_range("2010-01-31", periods=60, freq="ME"),
        pd.date_range("2010-01-01", periods=40, freq="QS"),
        pd.date_range("1980-01-01", periods=40, freq="YS"),
        np.arange(100),
    ],
)
def test_regular_times_are_silent(stamps):
    frame = times(stamps).sample(frac=1, random_state=0)  # the order of the rows does not matter
    assert found(frame, "time_gaps", time="t") == found(frame, "time_repeats", time="t") == []


def test_gaps_are_counted():
    stamps = pd.date_range("2024-01-01", periods=100, freq="h")
    keep = np.ones(100, dtype=bool)
    keep[[10, 50, 51, 52]] = False
    (hit,) = found(times(stamps[keep]), "time_gaps", time="t")
    assert hit["message"] == (
        "2 gaps in 't', 4 steps of 1 hour absent in all; the longest, of 4 hours, begins after 2024-01-03 01:00:00"
    )
    holiday = pd.bdate_range("2024-01-01", periods=100).delete([7])
    assert "1 gap in 't', 1 step of 1 day absent" in found(times(holiday), "time_gaps", time="t")[0]["message"]
    assert "1 step of 1 absent" in found(times(np.delete(np.arange(50), 20)), "time_gaps", time="t")[0]["message"]


def test_repeats_are_counted_within_a_series():
    stamps = pd.date_range("2024-01-01", periods=50, freq="D")
    frame = times(stamps.append(stamps)).assign(shop=["a"] * 50 + ["b"] * 50)
    assert "50 rows repeat the 't'" in found(frame, "time_repeats", time="t")[0]["message"]
    assert found(frame, "time_repeats", time="t", series="shop") == []


def test_bike_sharing_lacks_165_hours():
    hits = [finding for finding in find(load_dataset("bike_sharing_hourly")) if finding["finding"] == "time_gaps"]
    assert "165 steps of 1 hour absent" in hits[0]["message"]  # the figure of the card
    assert "begins after 2012-10-29" in hits[0]["message"]


def test_mixed_types():
    frame = clean().astype({"town": object})
    frame["mixed"] = [i if i % 2 else "text" for i in range(N)]
    frame["stray"] = [str(i % 9) if i % 10 else "?" for i in range(N)]
    frame["codes"] = [f"A{i % 7}" for i in range(N)]
    frame["numerals"] = [str(i % 5) for i in range(N)]
    hits = found(frame, "mixed_types")
    assert [hit["column"] for hit in hits] == ["mixed", "stray"]
    assert "mixes int and str values" in hits[0]["message"]
    assert "numbers in 90.0% of its rows and texts such as '?'" in hits[1]["message"]


def test_levels_seen_once():
    frame = clean()
    frame.loc[3, "town"] = "nowhere"
    (hit,) = found(frame, "level_seen_once")
    assert hit["column"] == "town"
    assert "1 of 4 levels" in hit["message"] and "nowhere" in hit["message"]
