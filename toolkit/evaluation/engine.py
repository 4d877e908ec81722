"""Where fits run: a list of pure, picklable cells through joblib, each result kept as soon as it is there."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import joblib

from toolkit.errors import InputError, unknown

__all__ = [
    "Cache", "Heard", "Plan", "Progress", "available_cores", "check_engine", "content_hash", "plan_workers",
    "run_cells",
]  # fmt: skip

# Name of a joblib backend -> the package that it needs beyond joblib.
ENGINES = {"loky": None, "threading": None, "dask": "distributed", "ray": "ray"}

# Starting a worker process costs a few seconds of imports; below this many row-fits one process is faster.
ROWS_WORTH_A_WORKER = 30_000


class Progress(Protocol):
    """Called in the driver after every finished cell."""

    def __call__(self, label: str, done: int, total: int, seconds_left: float | None) -> None: ...


@dataclass(frozen=True)
class Plan:
    """How many processes, and how many threads each of them may use."""

    workers: int
    threads: int  # does not depend on `workers`, so that results do not either


class Heard:
    """Passes on which cells are finished and, between them, how far the running one has come."""

    def __init__(self, progress: Progress | None, total: int):
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, label: str, done: int, total: int, seconds_left: float | None) -> None:
        self.done = done
        if self.progress is not None:
            self.progress(label, done, total, seconds_left)

    def within(self, words: str, seconds_left: float) -> None:
        if self.progress is not None:
            self.progress(words, self.done, self.total, seconds_left)


class Cache:
    """Finished cells on disk, by the hash of everything that decides their result.

    An interrupted run leaves them behind; the next run with the same data and settings picks them up.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder

    def get(self, key: str) -> Any | None:
        if self.folder is None or not (path := self.folder / f"{key}.pickle").exists():
            return None
        try:
            return pickle.loads(path.read_bytes())
        except Exception:  # cut off, or of another version: a pickle can fail in any way; the cell is fitted again
            path.unlink()
            return None

    def put(self, key: str, value: Any) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{key}.{os.getpid()}.partial"
        partial.write_bytes(pickle.dumps(value))
        partial.replace(self.folder / f"{key}.pickle")

    def drop(self, keys: Sequence[str]) -> None:
        """Forget some cells, and the folder when nothing is left in it."""
        if self.folder is not None and self.folder.exists():
            for key in keys:
                (self.folder / f"{key}.pickle").unlink(missing_ok=True)
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def clear(self) -> None:
        """Forget everything; called when a run has been written out completely."""
        if self.folder is not None and self.folder.exists():
            for path in self.folder.iterdir():
                path.unlink()
            self.folder.rmdir()


def content_hash(*parts: Any) -> str:
    """SHA-256 of the pickled parts; numpy arrays, strings, numbers, dicts and estimators."""
    return hashlib.sha256(b"|".join(joblib.hash(part).encode() for part in parts)).hexdigest()


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def allowed_threads() -> int:
    """The limit in OMP_NUM_THREADS, which joblib also sets inside its processes; without it as many as cores."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(said)) if said.isdecimal() else available_cores()


def plan_workers(cells: int, rows: int, workers: int | None = None) -> Plan:
    """Processes and threads for `cells` fits on about `rows` rows each."""
    cores = available_cores()
    worth_it = cells > 1 and cells * rows >= ROWS_WORTH_A_WORKER
    threads = 1 if worth_it and cells >= cores else min(cores, allowed_threads())
    if workers is None:
        workers = min(cores, cells) if worth_it else 1
    return Plan(max(1, workers), threads)


def check_engine(name: str) -> None:
    """Stop before the first fit when there is no such engine here.

    Raises
    ------
    InputError
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    package = ENGINES[name]
    if package is not None and find_spec(package) is None:
        raise InputError(
            f"engine {name}: the package '{package}' is not installed; pip install 'regression-neural-toolkit[{name}]'"
        )


def run_cells(
    cells: Sequence[Any],
    fit: Callable[[Any], Any],
    plan: Plan,
    cache: Cache | None = None,
    progress: Progress | None = None,
    backend: str = "loky",
) -> list[Any]:
    """Fit every cell and return the results in the order of the cells.

    Parameters
    ----------
    cells : sequence
        Each has `.key` (str, content hash) and `.label` (str, for progress) and `.arm`.
    fit : callable
        Pure function cell -> result; picklable. It catches the arm's own failures.
    plan : Plan
    cache : Cache, optional
    progress : callable, optional
    backend : str
        Any joblib backend: loky, threading, dask, ray.
    """
    cache = cache or Cache(None)
    results: dict[int, Any] = {}
    for position, cell in enumerate(cells):
        if (known := cache.get(cell.key)) is not None:
            results[position] = known
    todo = [position for position in range(len(cells)) if position not in results]
    clock = _Clock(cells, plan.workers)
    done = len(results)
    if progress and done:
        progress(f"{done} finished fits of an earlier run are used again", done, len(cells), None)
    for position, result, seconds in _stream(cells, todo, fit, plan, backend):
        results[position] = result
        cache.put(cells[position].key, result)
        done += 1
        clock.tick(cells[position].arm, seconds)
        if progress:
            progress(cells[position].label, done, len(cells), clock.left([cells[i] for i in todo if i not in results]))
    return [results[position] for position in range(len(cells))]


def _stream(
    cells: Sequence[Any], todo: list[int], fit: Callable[[Any], Any], plan: Plan, backend: str
) -> Iterator[tuple[int, Any, float]]:
    if plan.workers == 1 and backend == "loky":
        for position in todo:
            yield _timed(position, cells[position], fit)
        return
    options = {"inner_max_num_threads": plan.threads} if backend == "loky" else {}
    with _connected(backend, plan.workers), joblib.parallel_config(backend=backend, n_jobs=plan.workers, **options):
        jobs = [joblib.delayed(_timed)(position, cells[position], fit) for position in todo]
        if backend == "ray":  # hands over nothing before a call has ended: a call for every handful of cells
            for start in range(0, len(jobs), plan.workers):
                yield from joblib.Parallel(batch_size=1)(jobs[start : start + plan.workers])
            return
        parallel = joblib.Parallel(return_as="generator_unordered", pre_dispatch=2 * plan.workers, batch_size=1)
        yield from parallel(jobs)


@contextmanager
def _connected(backend: str, workers: int) -> Iterator[None]:
    """A cluster behind a backend that needs one: the one that is there, or processes on this machine."""
    if backend == "ray":
        from ray.util.joblib import register_ray

        register_ray()
    if backend != "dask":
        yield
        return
    import dask
    from distributed import Client, default_client

    try:
        default_client()  # of the script around us
        yield
        return
    except ValueError:
        pass
    local = {} if dask.config.get("scheduler-address", None) else {"n_workers": workers, "threads_per_worker": 1}
    with Client(**local):
        yield


def _timed(position: int, cell: Any, fit: Callable[[Any], Any]) -> tuple[int, Any, float]:
    begin = time.perf_counter()
    with warnings.catch_warnings():
        # What a library mutters in a worker process helps nobody; arms report what matters in `fit_info_`.
        warnings.simplefilter("ignore")
        result = fit(cell)
    return position, result, time.perf_counter() - begin


class _Clock:
    """Time left, from the mean time of the finished cells of each arm."""

    def __init__(self, cells: Sequence[Any], workers: int):
        self.workers = workers
        self.seconds: dict[str, list[float]] = {cell.arm: [] for cell in cells}

    def tick(self, arm: str, seconds: float) -> None:
        self.seconds[arm].append(seconds)

    def left(self, remaining: list[Any]) -> float | None:
        """None until each arm that is still to be fitted has finished one cell."""
        if any(not self.seconds[cell.arm] for cell in remaining):
            return None
        means = {arm: sum(times) / len(times) for arm, times in self.seconds.items() if times}
        return sum(means[cell.arm] for cell in remaining) / self.workers
