"""Roles: what is inferred, what is left out, and one line for every mistake."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from toolkit.data.dataset import Dataset
from toolkit.errors import InputError


def table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "when": pd.date_range("2024-01-01", periods=n, freq="D").strftime("%Y-%m-%d"),
        "size": rng.normal(size=n),
        "rooms": rng.integers(1, 6, n),
        "town": rng.choice(["a", "b", "c"], n),
        "note": [f"text number {i}" for i in range(n)],
        "price": rng.normal(size=n),
    })  # fmt: skip


def test_roles_are_inferred():
    data = Dataset.from_frame(table(), "price")
    assert data.features == ("when", "size", "rooms", "town", "note")
    assert data.kinds == {"when": "date", "size": "number", "rooms": "number", "town": "category", "note": "text"}
    assert (data.target_kind, data.targets, data.dropped) == ("real", ("price",), {})
    assert data.X.shape == (60, 5)
    assert data.y.name == "price"


def test_the_frame_of_the_user_stays_as_it_is():
    frame = table()
    frame.loc[3, "price"] = np.nan
    frame["size"] = frame["size"].where(frame["rooms"] > 1, np.inf)
    before = frame.copy(deep=True)
    Dataset.from_frame(frame, "price", time="when", kinds={"rooms": "category"})
    pd.testing.assert_frame_equal(frame, before)


def test_named_roles_are_not_features_unless_listed():
    data = Dataset.from_frame(table(), "price", time="when", groups="town", drop=["note"])
    assert data.features == ("size", "rooms")
    assert data.frame["when"].dtype.kind == "M"
    assert "note" in data.frame
    listed = Dataset.from_frame(table(), "price", time="when", features=["when", "size"])
    assert listed.features == ("when", "size")
    assert listed.kinds["when"] == "date"


def test_rows_without_a_finite_target_are_left_out_and_counted():
    frame = table()
    frame.loc[[1, 2, 3], "price"] = np.nan
    frame.loc[4, "price"] = -np.inf
    data = Dataset.from_frame(frame, "price")
    assert data.dropped == {"target 'price' is missing": 3, "target 'price' is infinite": 1}
    assert list(data.frame.index) == list(range(56))
    assert data.frame["note"].iloc[1] == "text number 5"


def test_infinite_features_become_missing_and_are_said():
    frame = table()
    frame.loc[[0, 7], "size"] = [np.inf, -np.inf]
    data = Dataset.from_frame(frame, "price")
    assert data.frame["size"].isna().sum() == 2
    assert data.notes[0]["finding"] == "infinite_values"
    assert "2 infinite values in 'size'" in data.notes[0]["message"]


@pytest.mark.parametrize(
    ("values", "kind", "levels"),
    [
        ([1.5, -2.0, 3.0, 0.0], "real", ()),
        ([1.5, 2.0, 3.0, 0.1], "positive", ()),
        ([0, 3, 1, 7], "count", ()),
        ([326, 5000, 18823, 400], "positive", ()),  # whole dollars are amounts, not counts
        ([0, 1, 1, 0], "binary", (0, 1)),
        ([1, 2, 2, 1], "binary", (1, 2)),
        ([True, False, True, True], "binary", (False, True)),
        (["yes", "no", "no", "yes"], "binary", ("no", "yes")),
        (["1.5", "2.5", "3", "-4"], "real", ()),
        ([Decimal("1.5"), Decimal("2.5"), Decimal("3"), Decimal("9")], "positive", ()),
    ],
)
def test_kind_of_the_target(values, kind, levels):
    data = Dataset.from_frame(pd.DataFrame({"x": range(4), "y": values}), "y")
    assert data.target_kind == kind
    assert data.levels == levels
    assert data.y.dtype == float


def test_a_binary_target_is_zero_and_one_in_the_order_of_its_levels():
    data = Dataset.from_frame(pd.DataFrame({"x": range(4), "y": ["no", "yes", None, "no"]}), "y")
    assert data.y.tolist() == [0.0, 1.0, 0.0]
    assert data.levels == ("no", "yes")
    assert Dataset.from_frame(pd.DataFrame({"x": range(3), "y": [5, 9, 5]}), "y").y.tolist() == [0.0, 1.0, 0.0]


def test_several_targets():
    frame = table().assign(cost=lambda f: f.price + 10, zero=[0, 1] * 30)
    data = Dataset.from_frame(frame, ["price", "cost"])
    assert data.target_kind == "real"
    assert list(data.y) == ["price", "cost"]
    assert "cost" not in data.features
    assert Dataset.from_frame(frame, ["cost", "zero"]).frame["zero"].tolist() == [0.0, 1.0] * 30


def test_several_columns_name_a_series_or_a_group():
    frame = table().assign(street=["x", "y"] * 30)
    data = Dataset.from_frame(frame, "price", groups=["town", "street"])
    assert data.groups == "town..street"
    assert data.frame["town..street"].nunique() == 6
    assert {"town", "street"} <= set(data.features)
    assert data.groups not in data.features


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2024-01-31T10:00:00+02:00", "2024-02-01T10:00:00+01:00"], ["2024-01-31 10:00", "2024-02-01 10:00"]),
        (["31.12.2023", "30.12.2023"], ["2023-12-31", "2023-12-30"]),
        (["05.01.2024", "13.01.2024"], ["2024-01-05", "2024-01-13"]),  # dots: the day comes first
        (["05.01.2024 10:30", "06.01.2024 11:00"], ["2024-01-05 10:30", "2024-01-06 11:00"]),
        (["05/01/2024", "05/31/2024"], ["2024-05-01", "2024-05-31"]),
        (["05/01/2024", "13/01/2024"], ["2024-01-05", "2024-01-13"]),  # no thirteenth month
        (pd.period_range("2024-01", periods=2, freq="M"), ["2024-01-01", "2024-02-01"]),
        (pd.date_range("2024-01-01", periods=2, tz="UTC"), ["2024-01-01", "2024-01-02"]),
        (pd.date_range("2024-07-01", periods=2, tz="Europe/Berlin"), ["2024-07-01", "2024-07-02"]),
        (["2024-03-31T01:00+01:00", "2024-03-31 03:00:00 +0200"], ["2024-03-31 01:00", "2024-03-31 03:00"]),
        (["31-01-2024", "28-02-2024"], ["2024-01-31", "2024-02-28"]),
    ],
)
def test_times_become_stamps_without_a_zone(values, expected):
    data = Dataset.from_frame(pd.DataFrame({"t": values, "x": [1, 2], "y": [1.5, 2.5]}), "y", time="t")
    assert data.frame["t"].tolist() == [pd.Timestamp(stamp) for stamp in expected]


def test_step_numbers_stay_numbers():
    data = Dataset.from_frame(pd.DataFrame({"step": [3, 1, 2], "y": [1.0, 2.0, 4.0]}), "y", time="step")
    assert data.frame["step"].tolist() == [3, 1, 2]
    assert data.features == ()


def test_rows_without_a_time_are_left_out_and_counted():
    frame = table()
    frame.loc[5, "when"] = None
    assert Dataset.from_frame(frame, "price", time="when").dropped == {"time 'when' is missing": 1}


def test_named_kinds_change_the_column_where_they_must():
    frame = table().assign(code=["1", "2"] * 30, grade=["low", "high"] * 30)
    data = Dataset.from_frame(frame, "price", kinds={"code": "number", "grade": ["low", "high"], "rooms": "cyclic"})
    assert data.kinds["code"] == "number"
    assert data.frame["code"].tolist()[:2] == [1.0, 2.0]
    assert data.kinds["grade"] == "ordinal"
    assert list(data.frame["grade"].cat.categories) == ["low", "high"]
    assert data.kinds["rooms"] == "cyclic"


def test_decimals_from_a_database_are_numbers():
    frame = pd.DataFrame({"x": [Decimal("1.5"), None, Decimal("2")], "y": [1.0, 2.0, 4.0]})
    data = Dataset.from_frame(frame, "y")
    assert data.kinds["x"] == "number"
    assert data.frame["x"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("values", "kind", "dtype"),
    [
        (pd.array([1, None] * 30, dtype="Int64"), "number", float),
        (pd.array([1, 2] * 30, dtype="Int64"), "number", int),
        (pd.array([1.5, None] * 30, dtype="Float64"), "number", float),
        (pd.array([True, None] * 30, dtype="boolean"), "category", object),
        (pd.array([True, False] * 30, dtype="boolean"), "category", bool),
        (pd.array([1, 2] * 30, dtype="int64[pyarrow]"), "number", int),
        (pd.period_range("2000-01", periods=60, freq="M"), "date", "M8[ns]"),
        (pd.to_timedelta(range(60), unit="min"), "number", float),
        (pd.Categorical(["low", "high"] * 30, ["low", "high"], ordered=True), "ordinal", None),
    ],
)
def test_features_come_in_plain_types(values, kind, dtype):
    data = Dataset.from_frame(table().assign(extra=values), "price")
    assert data.kinds["extra"] == kind
    if dtype is not None:
        assert data.frame["extra"].dtype == np.dtype(dtype)


def test_taking_rows_keeps_the_roles():
    data = Dataset.from_frame(table(), "price", time="when")
    few = data.take([5, 3])
    assert few.frame["note"].tolist() == ["text number 5", "text number 3"]
    assert (few.features, few.time, list(few.frame.index)) == (data.features, "when", [0, 1])


def test_the_hash_sees_values_names_and_order():
    data = Dataset.from_frame(table(), "price")
    assert data.sha256 == Dataset.from_frame(table(), "price").sha256
    changed = table()
    changed.loc[0, "rooms"] += 1
    others = [
        Dataset.from_frame(changed, "price"),
        Dataset.from_frame(table().iloc[::-1], "price"),
        Dataset.from_frame(table().rename(columns={"size": "area"}), "price"),
        Dataset.from_frame(table(), "price", features=["size", "rooms"]),
    ]
    assert len({data.sha256, *(other.sha256 for other in others)}) == 5


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (None, {"target": "prise"}, "unknown target column 'prise', did you mean 'price'?"),
        (None, {"drop": ["sise"]}, "unknown column in drop 'sise', did you mean 'size'?"),
        (None, {"kinds": {"roms": "number"}}, "unknown column in kinds 'roms', did you mean 'rooms'?"),
        (None, {"features": ["sice"]}, "unknown column in features 'sice'"),
        (None, {"time": "wen"}, "unknown column in time 'wen', did you mean 'when'?"),
        (None, {"groups": "twon"}, "unknown column in groups 'twon', did you mean 'town'?"),
        (None, {"weights": "siz"}, "unknown column in weights 'siz', did you mean 'size'?"),
        (None, {"known_ahead": ["nope"]}, "unknown column in known_ahead 'nope'"),
        (None, {"kinds": {"rooms": "categry"}}, "unknown kind of column 'rooms' 'categry', did you mean 'category'?"),
        (None, {"kinds": {"town": "number"}}, "column 'town' is named number, but row 0 holds"),
        (None, {"kinds": {"town": "ordinal"}}, "column 'town' is text, so its order is not known"),
        (None, {"kinds": {"town": ["a", "b"]}}, "column 'town' holds the level 'c'"),
        (None, {"kinds": {"note": "date"}}, "column 'note' is named a date, but row 0 holds 'text number 0'"),
        (None, {"time": "note"}, "time column 'note' does not parse: row 0 holds 'text number 0'"),
        (None, {"target_kind": "counts"}, "unknown target_kind 'counts', did you mean 'count'?"),
        (None, {"target_kind": "positive"}, "target 'price' is named positive, but its smallest value is"),
        (None, {"target_kind": "count"}, "target 'price' is named count, but it holds negative or fractional values"),
        (None, {"target_kind": "binary"}, "target 'price' is named binary, but it has 60 different values"),
        (None, {"target": "note"}, "target 'note' holds 60 values that are no numbers, such as 'text number 0'"),
        (None, {"target": ["price", "price"]}, "a target is named twice"),
        (None, {"drop": ["price"]}, "column 'price' is the target and cannot be in drop too"),
        (None, {"weights": "price", "target": "size"}, "weights column 'price': row"),
        (None, {"weights": "town"}, "weights column 'town' holds object values; numbers were expected"),
        (None, {"features": ["size"], "drop": ["size"]}, "no column is left to predict from"),
        (lambda f: f.iloc[:0], {}, "the table is empty (0 rows, 6 columns)"),
        (lambda f: f[[]], {}, "the table is empty"),
        (lambda f: f.assign(price=7), {}, "target 'price' is constant: every row holds 7"),
        (lambda f: f.assign(price="a"), {}, "target 'price' is constant: every row holds 'a'"),
        (lambda f: f.assign(price=np.nan), {}, "target 'price' is missing in every row"),
        (lambda f: f.assign(price=None), {}, "target 'price' is missing in every row"),
        (lambda f: f.assign(price=np.inf), {}, "target 'price' is missing or infinite in every row"),
        (lambda f: f.to_dict(), {}, "a table was expected (a pandas DataFrame), got dict"),
        (lambda f: f.to_numpy(), {}, "a table was expected (a pandas DataFrame), got ndarray"),
        (lambda f: f.set_axis(["a", "a", "b", "c", "d", "price"], axis=1), {}, "two columns are called 'a'"),
        (lambda f: f.assign(size=[[1]] * 60), {}, "column 'size' holds list values"),
        (lambda f: f.assign(size=[{}] * 60), {"drop": ["size"]}, "column 'size' holds dict values"),
        (lambda f: f.assign(size=1j), {}, "column 'size' holds complex numbers"),
        (lambda f: f.assign(price=f.price * 1j), {}, "target 'price' holds complex numbers"),
        (lambda f: f[["price"]], {}, "no column is left to predict from"),
        (lambda f: f.assign(other=["x", "y"] * 30), {"target": ["price", "other"]}, "target 'other' holds 2"),
    ],
)  # fmt: skip
def test_mistakes_end_in_one_line(change, settings, message):
    frame = table() if change is None else change(table())
    target = settings.get("target", "price")
    with pytest.raises(InputError) as error:
        Dataset.from_frame(frame, target, **{key: value for key, value in settings.items() if key != "target"})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
