"""Tables come in from every format, and every failure is one line."""

import builtins
import gzip
import sqlite3

import pandas as pd
import pytest

from toolkit.data.readers import read_sql, read_table
from toolkit.errors import InputError

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": ["x", "y", "z"]})


def test_a_frame_is_handed_through():
    assert read_table(FRAME) is FRAME


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", lambda path: FRAME.to_csv(path, index=False)),
        ("t.csv.gz", lambda path: FRAME.to_csv(path, index=False)),
        ("t.CSV", lambda path: FRAME.to_csv(path, index=False)),
        ("t.tsv", lambda path: FRAME.to_csv(path, index=False, sep="\t")),
        ("semicolons.csv", lambda path: FRAME.to_csv(path, index=False, sep=";")),
        ("t.txt", lambda path: FRAME.to_csv(path, index=False, sep="|")),
        ("t.parquet", lambda path: FRAME.to_parquet(path)),
        ("t.feather", lambda path: FRAME.to_feather(path)),
        ("t.xlsx", lambda path: FRAME.to_excel(path, index=False)),
    ],
)
def test_formats(tmp_path, name, write):
    if name.endswith("xlsx"):
        pytest.importorskip("openpyxl")
    write(tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), FRAME)
    pd.testing.assert_frame_equal(read_table(str(tmp_path / name)), FRAME)


def test_options_go_to_the_reader(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\nNone,1\n?,2\n")
    frame = read_table(tmp_path / "t.csv", {"keep_default_na": False, "na_values": ["?"]})
    assert frame["a"].tolist()[0] == "None"
    assert frame["a"].isna().tolist() == [False, True]


@pytest.mark.parametrize("sep", [";", "\t"])
@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (["-0,5", "12,25", "3"], [-0.5, 12.25, 3.0]),
        (["1.234,5", "-1.234.567,25", "0,5"], [1234.5, -1234567.25, 0.5]),
        (["1,5", "", "2,5"], [1.5, None, 2.5]),
    ],
)
def test_decimal_commas(tmp_path, sep, numbers, expected):
    lines = "".join(f"{number}{sep}{name}\n" for number, name in zip(numbers, "xyz", strict=True))
    (tmp_path / "t.csv").write_text(f"a{sep}c\n{lines}")
    frame = read_table(tmp_path / "t.csv")
    assert frame["a"].tolist() == pytest.approx(pd.Series(expected, dtype=float).tolist(), nan_ok=True)
    assert frame["c"].tolist() == ["x", "y", "z"]


def test_commas_that_are_no_decimals_stay(tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1,2,3;0.5\n4,5;1.5\n")
    frame = read_table(tmp_path / "t.csv")
    assert frame["a"].tolist() == ["1,2,3", "4,5"]
    assert frame["b"].tolist() == [0.5, 1.5]


def test_utf_16_and_byte_order_marks(tmp_path):
    for encoding in ("utf-16", "utf-8-sig"):
        FRAME.assign(c=["ä", "ö", "ü"]).to_csv(tmp_path / "t.csv", index=False, encoding=encoding)
        pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), FRAME.assign(c=["ä", "ö", "ü"]))


def test_a_name_that_stands_twice_in_a_workbook(tmp_path):
    pytest.importorskip("openpyxl")
    pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]).to_excel(tmp_path / "t.xlsx", index=False)
    one_line(lambda: read_table(tmp_path / "t.xlsx"), "t.xlsx", "two columns are called 'a'")


def test_database(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        FRAME.to_sql("sales", connection, index=False)
    frame = read_sql(f"sqlite:///{tmp_path}/shop.db", "select a, b from sales where a > 1")
    pd.testing.assert_frame_equal(frame, FRAME[["a", "b"]].iloc[1:].reset_index(drop=True))


def one_line(call, *words):
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_missing_file_names_the_nearest(tmp_path):
    FRAME.to_csv(tmp_path / "sales.csv")
    one_line(lambda: read_table(tmp_path / "sale.csv"), "no such file, did you mean 'sales.csv'?")
    one_line(lambda: read_table(tmp_path / "no" / "sale.csv"), "no such file, and no folder")
    one_line(lambda: read_table(tmp_path), "a folder; a file with a table was expected")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"", "the file is empty"),
        ("t.csv", b"\n\n", "the file holds no columns"),
        ("t.csv", b"a,b\n", "the table is empty (0 rows, 2 columns)"),
        ("t.csv", b"a,b\n1,2\n1,2,3,4\n", "not a readable table (Error tokenizing data"),
        ("t.csv", b"<!DOCTYPE html><html></html>", "not a table but a web page"),
        ("t.csv", b"PK\x03\x04\x00\x00", "not a text table"),
        ("t.csv", b"caf\xe9,b\n1,2\n", "the text is not UTF-8"),
        ("t.csv", b"a;b;a\n1;2;3\n", "two columns are called 'a'"),
        ("t.csv", b'"a\nb","a\nb"\n1,2\n', "two columns are called"),
        ("t.csv.gz", b"a,b\n1,2\n", "not a readable table"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:20], "not a readable table"),
        ("t.parquet", b"a,b\n1,2\n", "not a readable table"),
        ("t.feather", b"a,b\n1,2\n", "not a readable table"),
        ("t.xlsx", b"a,b\n1,2\n", "not a readable table"),
        ("t.doc", b"a,b\n1,2\n", "cannot read '.doc'; expected one of .csv"),
        ("table", b"a,b\n1,2\n", "cannot read 'no suffix'"),
    ],
)
def test_what_is_not_a_table_ends_in_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    one_line(lambda: read_table(tmp_path / name), words, name)


def test_excel_without_its_engine(tmp_path, monkeypatch):
    (tmp_path / "t.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504)
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == "xlrd":
            raise ImportError("Missing optional dependency 'xlrd'.")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    one_line(lambda: read_table(tmp_path / "t.xls"), "reading '.xls' needs another package", "xlrd")


@pytest.mark.parametrize(
    ("url", "query", "words"),
    [
        ("nonsense", "select 1", "sql.url is not a database URL"),
        ("sqlite:///{folder}/shop.bd", "select 1", "no such file, did you mean 'shop.db'?"),
        ("sqlite:///{folder}/shop.db", "select * from missing", "no such table: missing"),
        ("sqlite:///{folder}/shop.db", "selec 1", "syntax error"),
        ("sqlite:///{folder}/shop.db", "select * from sales where a > 99", "the query returns an empty table"),
        ("sqlite:///{folder}/shop.db", "create table other (a)", "sql.query returns no rows"),
        ("nodb://u:secret@h/x", "select 1", "nodb"),
    ],
)
def test_database_mistakes_end_in_one_line(tmp_path, url, query, words):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        FRAME.to_sql("sales", connection, index=False)
    with pytest.raises(InputError) as error:
        read_sql(url.format(folder=tmp_path), query)
    assert words in str(error.value)
    assert "\n" not in str(error.value) and "secret" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop.db"]  # no empty database was made
