"""The dashboard as a process of its own: a lean server, started, waited for, opened and stopped."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from toolkit.errors import InputError
from toolkit.tracking_views import view_link

__all__ = [
    *("DEFAULT_URI", "ending", "existing", "is_new", "is_server", "link", "quiet", "server", "store_uri"),
    *("unreachable", "wait_for_end"),
]

T = TypeVar("T")
DEFAULT_URI = "sqlite:///mlflow.db"

WAIT = 120  # seconds that a server may take to answer on a busy machine
# A server that went away is noticed in seconds; no progress bar is drawn over ours, nothing is printed on standard
# output, and nothing is sent to anybody but the tracking server.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# One worker and no job runner: two processes and about 0.5 GB instead of sixteen and 3 GB.
LEAN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def store_uri(uri: str | None) -> str:
    """The address that is meant: the one given, that of the environment, or a file in the working directory."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def link(uri: str, experiment_id: str, view: str | None) -> str:
    """A page of the dashboard, or the command that opens one for a store without a server."""
    return view_link(uri, experiment_id, view) if is_server(uri) else f"toolkit ui --tracking-uri {uri}"


def unreachable(uri: str) -> str | None:
    """Why nothing can be logged at `uri`, in a few seconds; None when nothing speaks against it."""
    if is_server(uri):
        return _no_answer(uri)
    if uri.startswith("sqlite:///"):
        return _not_writable(Path(uri.removeprefix("sqlite:///").split("?")[0]))
    if urlsplit(uri).hostname and "://" in uri and not uri.startswith("file:"):
        return _no_port(uri)
    return None


def is_new(uri: str) -> bool:
    """A SQLite store that the first comparison will make."""
    return uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///").split("?")[0]).exists()


def existing(uri: str) -> str:
    """`uri` itself, for commands that only read: a SQLite store that is not there is not made.

    Raises
    ------
    InputError
    """
    if is_new(uri):
        file = uri.removeprefix("sqlite:///")
        raise InputError(
            f"no comparison is logged at {uri}: there is no file {file}; name another store with --tracking-uri"
        )
    return uri


def _no_answer(uri: str) -> str | None:
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10):
            return None
    except urllib.error.HTTPError as error:
        # A hosted server may have no such page or want a login: it is there, the client will say more.
        return None if error.code in (401, 403, 404) else f"the server answers {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"nothing answers ({reason})"


def _not_writable(path: Path) -> str | None:
    place = path if path.exists() else path.parent
    if not place.exists():
        return f"the folder {path.parent} is not there"
    return None if os.access(place, os.W_OK) else f"{place} cannot be written to"


def _no_port(uri: str) -> str | None:
    """Databases: try the port before a client that would retry for minutes."""
    parts = urlsplit(uri)
    usual = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
    port = parts.port or usual.get(parts.scheme.split("+")[0])
    if port is None:
        return None
    try:
        socket.create_connection((parts.hostname or "localhost", port), timeout=5).close()
    except OSError as error:
        return f"nothing answers ({error})"
    return None


@contextmanager
def server(uri: str, port: int, meanwhile: Callable[[], T] | None = None) -> Iterator[tuple[str, T | None]]:
    """A dashboard for the store at `uri`, stopped at the end.

    Parameters
    ----------
    uri : str
        A store, not a server.
    port : int
        On this machine.
    meanwhile : callable, optional
        Called while the server comes up.

    Yields
    ------
    tuple
        The address, and what `meanwhile` returned.

    Raises
    ------
    InputError
        The port is taken, or the server does not come up.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise InputError(f"port {port} is taken by another program; name another one with --port")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        uri,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **LEAN}, start_new_session=True
        )
        try:
            address, found = f"http://127.0.0.1:{port}", meanwhile() if meanwhile else None
            _wait(process, address, log)
            yield address, found
        finally:
            _stop(process)


def _wait(process: subprocess.Popen, address: str, log: object) -> None:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=2):
            return
        time.sleep(0.2)
    log.seek(0)  # type: ignore[attr-defined]
    lines = log.read().decode(errors="replace").strip().splitlines()  # type: ignore[attr-defined]
    raise InputError(f"the MLflow server did not come up at {address}: {lines[-1][:300] if lines else 'no message'}")


def _stop(process: subprocess.Popen) -> None:
    """End the server and its worker; they share a process group of their own."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=8)


def wait_for_end() -> None:
    """Until Ctrl-C."""
    while True:
        time.sleep(3600)


@contextmanager
def quiet() -> Iterator[None]:
    """Short patience with a server that is gone, and no log lines of set-up work."""
    loggers = {name: logging.getLogger(name).level for name in ("mlflow", "alembic")}
    before = {name: os.environ.get(name) for name in PATIENCE}
    os.environ.update({name: value for name, value in PATIENCE.items() if name not in os.environ})
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(?s).*input example was not provided")
            yield
    finally:
        for name, level in loggers.items():
            logging.getLogger(name).setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


@contextmanager
def ending(client: Any, run_id: str, status: str = "FINISHED") -> Iterator[None]:
    """Every run ends, whatever happens inside."""
    try:
        yield
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        with suppress(Exception):  # the store may be what failed; the first error is the one to show
            client.set_terminated(run_id, status)
        raise
    client.set_terminated(run_id, status)
