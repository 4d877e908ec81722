"""Tables from files and databases; every failure is one line."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.data.kinds import is_text
from toolkit.errors import InputError, nearest

__all__ = ["read_sql", "read_table"]

SEPARATORS = (",", ";", "\t", "|")
HEAD = 1_000_000  # bytes looked at before a text file is read
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # what a text of this encoding begins with
COMMA_NUMBER = r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?"


def read_table(source: pd.DataFrame | str | Path, options: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """A table from a file by its suffix, or a DataFrame as it is.

    Parameters
    ----------
    source : DataFrame or path
        .csv, .tsv, .txt (also .gz), .parquet, .feather, .xlsx, .xls.
    options : mapping, optional
        Passed to the reader of pandas, for instance `keep_default_na` or `na_values`.

    Raises
    ------
    InputError
        Missing file (with the nearest name in that folder), unknown suffix, not a table, empty.
    """
    if isinstance(source, pd.DataFrame):
        return source
    path = Path(source).expanduser()
    if path.is_dir():
        raise InputError(f"{path}: a folder; a file with a table was expected")
    if not path.exists():
        raise _missing(path)
    suffix = _suffix(path)
    if suffix not in READERS:
        raise InputError(f"{path}: cannot read '{suffix or 'no suffix'}'; expected one of {', '.join(sorted(READERS))}")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    try:
        frame = READERS[suffix](path, dict(options or {}))
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"{path}: reading '{suffix}' needs another package ({_line(error)})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the text is not UTF-8 ({_line(error)}); save it as UTF-8") from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file holds no columns") from None
    except (OSError, ValueError, EOFError, KeyError, TypeError, csv.Error, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable table ({_line(error)})") from None
    if frame.empty:
        raise InputError(f"{path}: the table is empty ({len(frame)} rows, {frame.shape[1]} columns)")
    return frame


def read_sql(url: str, query: str) -> pd.DataFrame:
    """The rows of a query, through SQLAlchemy.

    Parameters
    ----------
    url : str
        `sqlite:///file.db`, `postgresql+psycopg://user@host/name`, ...
    query : str
        A SELECT statement.
    """
    import sqlalchemy

    try:
        address = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        raise InputError("sql.url is not a database URL; one such as sqlite:///file.db was expected") from None
    shown = address.render_as_string(hide_password=True)
    if address.get_backend_name() == "sqlite" and address.database not in (None, "", ":memory:"):
        file = Path(address.database)
        if not file.exists() and not address.database.startswith("file:"):
            raise _missing(file)  # SQLite would make an empty database instead
    try:
        engine = sqlalchemy.create_engine(address)
        with engine.connect() as connection:
            frame = pd.read_sql_query(sqlalchemy.text(query), connection)
    except ImportError as error:
        raise InputError(f"{shown}: the driver is not installed ({_line(error)})") from None
    except sqlalchemy.exc.ResourceClosedError:
        raise InputError(f"{shown}: sql.query returns no rows; a SELECT was expected") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise InputError(f"{shown}: {_line(getattr(error, 'orig', None) or error)}") from None
    finally:
        if "engine" in locals():
            engine.dispose()
    if frame.empty:
        raise InputError(f"{shown}: the query returns an empty table")
    return frame


def _suffix(path: Path) -> str:
    """Suffix without .gz, in lower case."""
    suffixes = [part.lower() for part in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _missing(path: Path) -> InputError:
    folder = path.parent
    guess = nearest(path.name, [p.name for p in folder.iterdir() if p.is_file()]) if folder.is_dir() else None
    if not folder.is_dir():
        return InputError(f"{path}: no such file, and no folder '{folder}'")
    return InputError(f"{path}: no such file" + (f", did you mean '{guess}'?" if guess else ""))


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _csv(path: Path, options: dict[str, Any]) -> pd.DataFrame:
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        head = file.read(HEAD)
    encoding = options.setdefault("encoding", "utf-16" if head.startswith(UTF_16) else "utf-8")
    if b"\0" in head and encoding != "utf-16":
        raise InputError(f"{path}: not a text table (it holds zero bytes)")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{path}: not a table but a web page or XML")
    text = head.decode(encoding, errors="replace").lstrip("\ufeff\r\n")
    header = text.partition("\n")[0]
    sep = options.setdefault("sep", max(SEPARATORS, key=header.count))
    if not {"header", "names", "skiprows", "comment"} & set(options):
        _check_header(path, next(csv.reader(io.StringIO(text), delimiter=sep), []))
    frame = pd.read_csv(path, low_memory=False, **options)
    if sep != "," and "decimal" not in options and (commas := _decimal_commas(frame)):
        frame = pd.read_csv(path, low_memory=False, **options, **commas)
    return frame


def _check_header(path: Path, names: list[str]) -> None:
    """pandas would rename a second `x` to `x.1` and say nothing."""
    twice = [name for name in names if name.strip() and names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"{path}: two columns are called '{twice[0]}'; every column needs a name of its own")


def _decimal_commas(frame: pd.DataFrame) -> dict[str, str]:
    """Options for numbers such as 1.234,5, where a column holds nothing else."""
    for column in [name for name in frame.columns if is_text(frame[name])]:
        values = frame[column].dropna().head(1_000).astype(str)
        if len(values) and values.str.fullmatch(COMMA_NUMBER).all() and values.str.contains(",").any():
            dots = values.str.contains(".", regex=False).any()
            return {"decimal": ",", "thousands": "."} if dots else {"decimal": ","}
    return {}


def _excel(path: Path, options: dict[str, Any]) -> pd.DataFrame:
    if not options:
        first = pd.read_excel(path, header=None, nrows=1)
        _check_header(path, [str(name) for name in first.to_numpy().ravel() if not pd.isna(name)])
    return pd.read_excel(path, **options)


READERS: dict[str, Callable[[Path, dict[str, Any]], pd.DataFrame]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".txt": _csv,
    ".parquet": lambda path, options: pd.read_parquet(path, **options),
    ".feather": lambda path, options: pd.read_feather(path, **options),
    ".xlsx": _excel,
    ".xls": _excel,
}
