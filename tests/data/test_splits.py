"""Folds: disjoint, complete, seeded, hashed; no group on both sides; the past trains and the future judges."""

import numpy as np
import pandas as pd
import pytest

from toolkit.data.dataset import Dataset
from toolkit.data.identical import identical_x_groups
from toolkit.data.splits import choose_splits
from toolkit.errors import InputError


def data(n: int = 103, target_kind: str = "real", **roles) -> Dataset:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "x": rng.normal(size=n),
        "town": rng.choice(list("abcdefghijk"), n, p=np.arange(1, 12) / 66),
        "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 40, n), unit="D"),
        "part": np.where(np.arange(n) % 4 == 0, "test", "train"),
        "y": rng.normal(size=n) if target_kind == "real" else (rng.random(n) < 0.2).astype(int),
    })  # fmt: skip
    return Dataset.from_frame(frame, "y", drop=["part"], **roles)


SCHEMES = [
    ("kfold", {"repeats": 3}),
    ("group", {"group": "town", "repeats": 3}),
    ("group", {"group": "identical_rows"}),
    ("time", {"time": "when"}),
    ("holdout", {"repeats": 2, "test_size": 0.3}),
    ("holdout", {"group": "town"}),
    ("holdout", {"time": "when"}),
    ("table", {"table": "part"}),
]


@pytest.mark.parametrize(("scheme", "settings"), SCHEMES)
def test_both_sides_are_disjoint_sorted_and_filled(scheme, settings):
    splits = choose_splits(data(features=["x"]), scheme, **settings)
    assert splits.scheme == scheme
    for fold in splits.folds:
        assert len(fold.train) and len(fold.judge)
        assert not set(fold.train) & set(fold.judge)
        for rows in (fold.train, fold.judge):
            assert np.issubdtype(rows.dtype, np.integer)
            assert (np.diff(rows) > 0).all()
            assert rows.min() >= 0 and rows.max() < 103


@pytest.mark.parametrize(("scheme", "settings"), SCHEMES)
def test_the_same_seed_gives_the_same_hash(scheme, settings):
    first, again = (choose_splits(data(features=["x"]), scheme, seed=4, **settings) for _ in range(2))
    assert first.sha256 == again.sha256
    other = choose_splits(data(features=["x"]), scheme, seed=5, **settings)
    random = scheme != "table" and "time" not in settings
    assert (other.sha256 != first.sha256) == random


@pytest.mark.parametrize("settings", [{}, {"group": "town"}, {"group": "identical_rows"}])
@pytest.mark.parametrize("folds", [2, 5, 7])
def test_each_row_is_judged_once_in_a_repeat(settings, folds):
    scheme = "group" if settings else "kfold"
    splits = choose_splits(data(), scheme, folds=folds, repeats=3, **settings)
    assert splits.repeats == 3
    assert len(splits.folds) == 3 * folds
    for repeat in range(3):
        mine = [fold for fold in splits.folds if fold.repeat == repeat]
        assert [fold.fold for fold in mine] == list(range(folds))
        assert sorted(np.concatenate([fold.judge for fold in mine])) == list(range(103))
        assert all(len(fold.train) + len(fold.judge) == 103 for fold in mine)
    first, second = (sorted(map(tuple, (f.judge for f in splits.folds if f.repeat == r))) for r in (0, 1))
    assert first != second


def test_groups_never_straddle_and_folds_are_about_equal():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": rng.integers(0, 300, 5000), "x": rng.normal(size=5000), "y": rng.normal(size=5000)})
    dataset = Dataset.from_frame(frame, "y", groups="g")
    splits = choose_splits(dataset)
    assert splits.scheme == "group" and "'g'" in splits.reason and "300 groups" in splits.reason
    for fold in splits.folds:
        assert not set(frame.g[fold.train]) & set(frame.g[fold.judge])
        assert abs(len(fold.judge) - 1000) < 50


def test_one_huge_group_leaves_no_fold_empty():
    frame = pd.DataFrame({"g": [0] * 90 + list(range(1, 11)), "x": np.arange(100.0), "y": np.arange(100) % 7})
    splits = choose_splits(Dataset.from_frame(frame, "y", groups="g"), folds=5, repeats=4)
    assert all(len(fold.judge) for fold in splits.folds)


def test_binary_folds_have_equal_shares():
    dataset = data(600, "binary")
    for fold in choose_splits(dataset, "kfold").folds:
        assert dataset.y.iloc[fold.judge].mean() == pytest.approx(dataset.y.mean(), abs=0.01)


def test_blocks_of_time_train_on_the_past_only():
    dataset = data(time="when")
    splits = choose_splits(dataset, folds=4)
    assert splits.scheme == "time" and "'when'" in splits.reason
    when = dataset.frame["when"]
    judged = []
    for fold in splits.folds:
        assert when[fold.train].max() < when[fold.judge].min()
        judged.extend(fold.judge)
    assert len(judged) == len(set(judged))
    first_block = when < when[splits.folds[0].judge].min()
    assert sorted([*judged, *np.flatnonzero(first_block)]) == list(range(103))
    assert all(len(fold.judge) > 103 / 5 * 0.6 for fold in splits.folds)


def test_blocks_of_time_with_as_many_times_as_blocks():
    frame = pd.DataFrame({"t": [1] * 50 + [2, 3, 4], "x": np.arange(53.0), "y": np.arange(53) % 5})
    folds = choose_splits(Dataset.from_frame(frame, "y", time="t"), folds=3).folds
    assert [frame.t[fold.judge].unique().tolist() for fold in folds] == [[2], [3], [4]]
    late = pd.DataFrame({"t": [1, 2, 3] + [4] * 50, "x": np.arange(53.0), "y": np.arange(53) % 5})
    folds = choose_splits(Dataset.from_frame(late, "y", time="t"), folds=3).folds
    assert [late.t[fold.judge].unique().tolist() for fold in folds] == [[2], [3], [4]]


def test_holdouts():
    assert len(choose_splits(data(200), "holdout", test_size=0.25).folds[0].judge) == 50
    timed = data(200, time="when")
    (fold,) = choose_splits(timed, "holdout").folds
    assert timed.frame["when"][fold.train].max() < timed.frame["when"][fold.judge].min()
    grouped = data(200, groups="town")
    (fold,) = choose_splits(grouped, "holdout").folds
    assert not set(grouped.frame["town"][fold.train]) & set(grouped.frame["town"][fold.judge])


def test_a_column_holds_the_published_split():
    dataset = data()
    (fold,) = choose_splits(dataset, "table", table="part").folds
    assert (dataset.frame["part"].iloc[fold.judge] == "test").all()
    assert (dataset.frame["part"].iloc[fold.train] == "train").all()
    numbered = Dataset.from_frame(dataset.frame.assign(fold=np.arange(103) % 3), "y", drop=["fold"])
    folds = choose_splits(numbered, table="fold").folds
    assert [fold.judge[0] for fold in folds] == [0, 1, 2]
    assert {(fold.repeat, fold.fold) for fold in folds} == {(0, 0), (0, 1), (0, 2)}


def test_a_file_holds_the_published_splits(shared):
    folder = shared / "benchmarks" / "uci_splits"
    frame = pd.read_csv(folder / "concrete.csv.gz")
    splits = choose_splits(Dataset.from_frame(frame, "y"), "table", table=folder / "concrete.splits.csv.gz")
    assert splits.repeats == len(splits.folds) == 20  # random test parts overlap, so each is a repeat of its own
    assert {len(fold.judge) for fold in splits.folds} == {103}
    listed = pd.read_csv(folder / "concrete.splits.csv.gz")
    assert splits.folds[7].judge.tolist() == sorted(listed.test_row[listed.split == 7])


def repeated(share: float) -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    count = int(share * 200)
    x[:count] = np.repeat(rng.normal(size=count // 2), 2)
    return Dataset.from_frame(pd.DataFrame({"x": x, "y": rng.normal(size=200)}), "y")


@pytest.mark.parametrize(
    ("dataset", "settings", "scheme", "words"),
    [
        (data(), {}, "kfold", "only 0.0% of rows repeat"),
        (repeated(0.02), {}, "kfold", "only 2.0% of rows repeat"),
        (repeated(0.5), {}, "group", "repeated X found in 50% of rows, so folds keep identical rows together"),
        (data(time="when"), {}, "time", "ordered by 'when'"),
        (data(time="when", groups="town"), {}, "group", "'town' belong together"),
        (data(), {"group": "town"}, "group", "groups are named"),
        (data(), {"time": "when"}, "time", "a time column is named"),
        (data(), {"table": "part"}, "table", "a split table is named"),
        (repeated(0.5), {"scheme": "kfold"}, "kfold", "as named"),
    ],
)
def test_the_scheme_is_chosen_and_the_reason_said(dataset, settings, scheme, words):
    splits = choose_splits(dataset, **settings)
    assert splits.scheme == scheme
    assert words in splits.reason


def test_identical_rows_stay_together():
    dataset = repeated(0.5)
    groups = identical_x_groups(dataset)
    for fold in choose_splits(dataset).folds:
        assert not set(groups[fold.train]) & set(groups[fold.judge])


def test_repeats_follow_the_size():
    assert choose_splits(data(), "kfold").repeats == 2
    assert choose_splits(data(20_001), "kfold").repeats == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheme": "kfolds"}, "unknown split scheme 'kfolds', did you mean 'kfold'?"),
        ({"scheme": "kfold", "folds": 104}, "103 rows are fewer than the 104 folds asked for"),
        ({"scheme": "kfold", "folds": 1}, "splits.folds is 1; at least 2 were expected"),
        ({"scheme": "kfold", "repeats": -1}, "splits.repeats is -1"),
        ({"group": "town", "folds": 12}, "11 groups of 'town' are fewer than the 12 folds asked for"),
        ({"group": "twon"}, "unknown column in splits.group 'twon', did you mean 'town'?"),
        ({"time": "wen"}, "unknown column in splits.time 'wen', did you mean 'when'?"),
        ({"time": "town"}, "time column 'town' does not parse"),
        ({"time": "when", "folds": 40}, "time column 'when' has"),
        ({"time": "when", "repeats": 2}, "splits.repeats does not apply to the scheme time"),
        ({"scheme": "time"}, "splits.scheme is time, but no time column is named"),
        ({"scheme": "table"}, "splits.scheme is table, but no table is named"),
        ({"table": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"table": "town"}, None),
        ({"scheme": "holdout", "test_size": 1.5}, "splits.test_size is 1.5"),
        ({"scheme": "rolling_origin"}, "splits.scheme rolling_origin judges forecasts of series"),
        ({"scheme": "kfold", "horizon": 3}, "splits.horizon belongs to rolling_origin"),
    ],
)
def test_mistakes_end_in_one_line(settings, message):
    if message is None:  # any column of names is a table of folds
        assert len(choose_splits(data(), **settings).folds) == 11
        return
    with pytest.raises(InputError) as error:
        choose_splits(data(), **settings)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_too_few_of_the_rarer_level():
    frame = pd.DataFrame({"x": np.arange(50.0), "y": ["no"] * 47 + ["yes"] * 3})
    with pytest.raises(InputError, match="only 3 rows of the level 'yes', fewer than the 5 folds"):
        choose_splits(Dataset.from_frame(frame, "y"), "kfold")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("split,row\n0,1\n", "needs the columns split and test_row, got split, row"),
        ("split,test_row\n0,103\n", "test_row must be a row number from 0 to 102"),
        ("split,test_row\n0,-1\n", "test_row must be a row number"),
        ("split,test_row\n0,1.5\n", "test_row must be a row number"),
        ("split,test_row\n0,3\n0,3\n", "a row is named twice in one split"),
        ("split,test_row\n" + "".join(f"0,{i}\n" for i in range(103)), "a split leaves no row to train on"),
    ],
)
def test_a_wrong_split_file_ends_in_one_line(tmp_path, content, message):
    path = tmp_path / "splits.csv"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        choose_splits(data(), table=path)
    assert message in str(error.value)


def test_a_split_file_does_not_fit_when_rows_were_left_out(tmp_path):
    (tmp_path / "splits.csv").write_text("split,test_row\n0,3\n")
    frame = data().frame
    frame.loc[0, "y"] = np.nan
    with pytest.raises(InputError, match="counts the rows of the source, but 1 of them were left out"):
        choose_splits(Dataset.from_frame(frame, "y"), table=tmp_path / "splits.csv")
