"""Series on a grid: named treatments, roles that cannot leak, origins."""

import numpy as np
import pandas as pd
import pytest

from toolkit.data.calendar import HOLIDAY, holiday_names
from toolkit.data.dataset import Dataset
from toolkit.data.origins import official, past_rows, rolling_origin
from toolkit.data.series import SeriesData
from toolkit.errors import InputError


def dataset(frame, **roles):
    roles = {"time": "t", "series": "s", **roles}
    return Dataset(frame, ("y",), (), {}, "real", **roles)


def hourly(n=200, **columns):
    t = pd.date_range("2024-01-01", periods=n, freq="h")
    return pd.DataFrame({"s": "a", "t": t, "y": np.arange(n, dtype=float), **columns})


def rules(data):
    return {finding["rule"] for finding in data.findings}


def test_a_gap_is_inserted_as_missing_and_a_repeat_averaged():
    frame = hourly(100, x=np.arange(100.0)).drop(index=[10, 11])
    frame = pd.concat([frame, frame.iloc[[5]].assign(y=105.0)], ignore_index=True)
    data = SeriesData.from_dataset(dataset(frame, known_ahead=("x",)), 3)
    assert len(data.frame) == 100 and data.freq == "h" and data.periods == (24,)
    assert data.frame["y"].isna().to_numpy().nonzero()[0].tolist() == [10, 11]
    assert data.frame["y"][5] == 55.0  # (5 + 105) / 2
    assert data.frame["x"][10:12].tolist() == [10.0, 11.0]  # known ahead: between its neighbours
    assert {"insert missing", "average repeats", "between neighbours"} <= rules(data)


def test_what_was_filled_keeps_its_kind():
    frame = hourly(100, rain=np.arange(100.0), wet=1, open=True, wind="NW").drop(index=[10, 11])
    roles = {"past_only": ("rain", "wet", "open", "wind")}
    data = SeriesData.from_dataset(dataset(frame, **roles), 3)
    assert data.frame["rain"][9:12].tolist() == [9.0, 9.0, 9.0]
    kinds = {column: data.frame[column].dtype for column in roles["past_only"]}
    assert kinds == {"rain": "float64", "wet": "float64", "open": "bool", "wind": "object"}


def test_daylight_saving_becomes_wall_clock_time():
    t = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"s": "a", "t": t, "y": np.arange(72.0)})
    data = SeriesData.from_dataset(dataset(frame), 3)
    assert "wall clock" in rules(data)
    missing = data.frame.loc[data.frame["y"].isna(), "t"].tolist()
    assert missing == [pd.Timestamp("2024-03-31 02:00")]  # the hour that spring leaves out


@pytest.mark.parametrize(
    ("freq", "periods"), [("MS", (12,)), ("QS", (4,)), ("D", (7,)), ("W-FRI", (52,)), ("30min", (48, 336))]
)
def test_frequency_and_seasons_are_found(freq, periods):
    t = pd.date_range("2010-01-01", periods=700, freq=freq)
    data = SeriesData.from_dataset(dataset(pd.DataFrame({"s": "a", "t": t, "y": 1.0 * np.arange(700)})), 2)
    assert data.freq.split("-")[0] == freq.split("-")[0] and data.periods == periods


def test_future_holds_only_what_is_known_ahead():
    frame = hourly(50, temp=1.0, rain=2.0)
    data = SeriesData.from_dataset(dataset(frame, known_ahead=("temp",), past_only=("rain",)), 5)
    future = data.future(pd.Timestamp("2024-01-02"))
    assert list(future) == ["s", "t", "temp"] and len(future) == 5
    with pytest.raises(InputError, match="'rain', which is not known ahead"):
        data.checked_future(future.assign(rain=1.0))
    with pytest.raises(InputError, match="'temp' is named in known_ahead but has no value at 2024-01-03 02:00"):
        data.future(data.ends())


def test_a_feature_without_a_role_is_only_known_up_to_the_origin():
    data = SeriesData.from_dataset(
        Dataset(hourly(50, x=1.0), ("y",), ("x",), {"x": "number"}, "real", time="t", series="s"), 5
    )
    assert data.past_only == ("x",) and "past_only" in rules(data)


def test_working_days_beside_a_holiday():
    # Victoria: Melbourne Cup on Tuesday 4 November 2014, Christmas on a Thursday, Boxing Day on the Friday, New Year.
    t = pd.Series(pd.to_datetime(["2014-11-02", "2014-11-03", "2014-11-04", "2014-11-05", "2014-12-24", "2014-12-25",
                                  "2014-12-27", "2014-12-29", "2014-12-31", "2015-01-02", "2015-01-05"]))  # fmt: skip
    assert holiday_names(t, "AU-VIC").tolist() == [
        "none", "bridge day", "Melbourne Cup Day", "none", "day before a holiday", "Christmas Day",
        "between holidays", "between holidays", "between holidays", "bridge day", "none",
    ]  # fmt: skip


def test_holidays_of_a_country_are_known_ahead():
    t = pd.date_range("2023-12-01", periods=60, freq="D")
    data = SeriesData.from_dataset(dataset(pd.DataFrame({"s": "a", "t": t, "y": np.arange(60.0)})), 5, country="US")
    named = data.frame.set_index("t")[HOLIDAY]
    assert named["2023-12-25"] == "Christmas Day" and named["2023-12-26"] == "between holidays"
    assert len(data.future(data.ends())) == 5
    with pytest.raises(InputError, match="unknown country 'XX'"):
        SeriesData.from_dataset(dataset(pd.DataFrame({"s": "a", "t": t, "y": 1.0})), 5, country="XX")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": "text"}, "target 'y' holds text"),
        ({"y": np.inf}, "infinite"),
        ({"y": np.nan}, "no value at all"),
        ({"t": "not a date"}, "expected dates"),
    ],
)
def test_bad_columns_are_one_line(change, message):
    with pytest.raises(InputError, match=message) as caught:
        SeriesData.from_dataset(dataset(hourly(50).assign(**change)), 5)
    assert "\n" not in str(caught.value)


def test_a_static_column_may_not_vary():
    with pytest.raises(InputError, match="'x' is named in static but varies within series 'a'"):
        SeriesData.from_dataset(dataset(hourly(50, x=np.arange(50)), static=("x",)), 5)


def test_rolling_origins_judge_every_row_once_and_train_on_the_past():
    data = SeriesData.from_dataset(dataset(hourly(200)), 24)
    splits = rolling_origin(data, origins=3)
    judged = np.concatenate([fold.judge for fold in splits.folds])
    assert judged.tolist() == list(range(128, 200))
    for fold in splits.folds:
        assert fold.train.max() == fold.judge.min() - 1
        assert (past_rows(data, fold.judge) == fold.train).all()
    sliding = rolling_origin(data, origins=3, window=50)
    assert {len(fold.train) for fold in sliding.folds} == {50}
    with pytest.raises(InputError, match="need more than 240 steps"):
        rolling_origin(data, origins=10)


@pytest.mark.parametrize(("rows", "origins"), [(30, 1), (60, 2), (100, 4), (1_000, 10)])
def test_origins_that_nobody_asked_for_leave_half_of_the_history(rows, origins):
    splits = rolling_origin(SeriesData.from_dataset(dataset(hourly(rows)), 12))
    assert len(splits.folds) == origins
    assert len(splits.folds[0].train) >= rows / 2


def test_unequal_ends_share_calendar_origins():
    long, short = hourly(100), hourly(90).assign(s="b")
    data = SeriesData.from_dataset(dataset(pd.concat([long, short], ignore_index=True)), 15)
    fold = rolling_origin(data, origins=1).folds[0]
    counts = data.frame.iloc[fold.judge].groupby("s").size()
    assert counts.to_dict() == {"a": 15, "b": 5}


def test_official_split_needs_the_test_part_last():
    frame = hourly(30, split=["train"] * 25 + ["test"] * 5)
    data = SeriesData.from_dataset(dataset(frame), 5)
    fold = official(data).folds[0]
    assert fold.judge.tolist() == list(range(25, 30))
    frame["split"] = ["test"] * 5 + ["train"] * 25
    with pytest.raises(InputError, match="training row after its test part"):
        official(SeriesData.from_dataset(dataset(frame), 5))
