"""`toolkit ui`: the dashboard's server is started first, and the newest comparison looked up while it comes up.

Nothing here imports MLflow: the look-up runs in a process of its own that ends, so that what stays in memory is the
server alone.
"""

from __future__ import annotations

import signal
import sys
import webbrowser
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context

from toolkit.errors import InputError
from toolkit.tracking_server import existing, is_server, server, store_uri, unreachable, wait_for_end
from toolkit.tracking_views import view_link

__all__ = ["serve_ui"]


def serve_ui(uri: str | None = None, port: int = 5000, open_browser: bool = True) -> None:
    """Serve the dashboard until Ctrl-C and open it on the newest comparison; a running server is only opened.

    Raises
    ------
    InputError
        The store cannot be reached, the port is taken, or the server does not come up.
    """
    uri = existing(store_uri(uri))
    if (cause := unreachable(uri)) is not None:
        raise InputError(f"no MLflow tracking at {uri}: {cause}")
    if is_server(uri):
        _show(uri, *_look_up(uri), open_browser)
        return
    # A database on a server may have to be set up first, which two processes must not do at the same time.
    meanwhile = partial(_look_up, uri) if uri.startswith("sqlite:///") else None
    with suppress(KeyboardInterrupt), server(uri, port, meanwhile) as (address, found):
        _show(address, *(found or _look_up(address)), open_browser)
        print("Ctrl-C stops it.", file=sys.stderr, flush=True)
        wait_for_end()


def newest(uri: str) -> tuple[str | None, str | None]:
    """Experiment of the newest comparison, and the view to open it with."""
    from toolkit.tracking import newest_experiment

    return newest_experiment(uri)


def _look_up(uri: str) -> tuple[str | None, str | None]:
    with ProcessPoolExecutor(1, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        return pool.submit(newest, uri).result()


def _show(address: str, experiment_id: str | None, view: str | None, open_browser: bool) -> None:
    page = view_link(address, experiment_id, view) if experiment_id else address
    print(f"MLflow dashboard: {page}", file=sys.stderr, flush=True)
    if open_browser:
        webbrowser.open(page)
