"""What a stack costs: members beside one, the trainer beside a bare loop, a GPU where there is one."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from toolkit.benchmarks._neural_cases import CASES as ACCURACY
from toolkit.evaluation.engine import available_cores
from toolkit.models.neural.losses import LOSSES
from toolkit.models.neural.networks import Columns, DropoutMasks
from toolkit.models.neural.presets import Recipe, build_network, fast_precision
from toolkit.models.neural.regression import NeuralRegression
from toolkit.models.neural.stack import train_stack
from toolkit.models.neural.training import Member, RowOrder, Table, generators

__all__ = ["CASES", "bare_loop", "threads_in_use"]

ROWS, EPOCHS, REPEATS = 2000, 20, 3


def _task(members: int, device: str = "cpu") -> tuple[Table, list[Member], Recipe]:
    """A smooth function of eight columns; each member trains on 1,600 rows and holds out 400."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 8)).astype(np.float32)
    y = np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3]
    table = Table(x, np.zeros((ROWS, 0), np.int64), Columns(8, 0), y, np.ones(ROWS, np.float32))
    rows = rng.permutation(ROWS)
    return (
        table,
        [Member(k, rows[400:], rows[:400]) for k in range(members)],
        Recipe(epochs=EPOCHS, precision=fast_precision(device)),
    )


def _fit(members: int, threads: int) -> None:
    train_stack(*_task(members), LOSSES["squared"], "cpu", threads)


def threads_in_use() -> int:
    """Threads that a fit of ours takes unless told otherwise."""
    return torch.get_num_threads()


def _seconds(work: Callable[[], object]) -> np.ndarray:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return np.array([time.perf_counter() - wall, time.process_time() - cpu])


def bare_loop(members: int) -> None:
    """The same net, mini-batches, optimiser and held-out loss without trainer and module."""
    table, stack, recipe = _task(members)
    loss = LOSSES["squared"]
    net = build_network(recipe, generators(stack, 0), table, 1, [m.train for m in stack])
    order = RowOrder(stack, recipe.batch_size)
    optimizer = torch.optim.AdamW(
        net.parameter_groups(recipe.learning_rate, recipe.weight_decay), betas=recipe.betas, fused=True
    )
    sizes = [(order.batch, size[-1]) for size in net.dropped]
    masks = DropoutMasks(generators(stack, 2), sizes, torch.device("cpu"))
    inputs, codes, target = (torch.from_numpy(a) for a in (table.inputs, table.codes, table.target))
    hold = torch.from_numpy(np.stack([m.hold for m in stack]))
    best = {name: p.detach().clone() for name, p in net.named_parameters()}
    best_loss, done = torch.full((members,), torch.inf), 0
    for _ in range(recipe.epochs):
        for rows in next(iter(order)):
            t = done / (order.steps * recipe.epochs)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at(t) * group["factor"]
                group["weight_decay"] = recipe.flat_cosine_at(t) * group["decay"]
            output = net(inputs[rows], codes[rows], masks.draw(recipe.dropout * recipe.flat_cosine_at(t)))
            optimizer.zero_grad(set_to_none=True)
            loss.rows(output, target[rows].unsqueeze(1)).mean(dim=(1, 2)).sum().backward()
            optimizer.step()
            done += 1
        with torch.no_grad():
            judged = loss.judged(net(inputs[hold], codes[hold]).mean(dim=1), target[hold]).mean(dim=1)
            better = judged < best_loss
            best_loss = torch.where(better, judged, best_loss)
            for name, p in net.named_parameters():
                best[name].copy_(torch.where(better.view(-1, *[1] * (p.dim() - 1)), p, best[name]))


def _ratio_row(case: str, arm: str, ratios: np.ndarray, bar: float) -> dict[str, Any]:
    """From `ratios` of wall and CPU seconds, [repeats, 2]; with other work on the machine only the second says much."""
    wall, cpu = (float(value) for value in np.median(ratios, axis=0))
    note = f"CPU seconds of all threads, median of {REPEATS}; wall {wall:.2f} ({torch.get_num_threads()} threads)"
    return {"case": case, "arm": arm, "metric": "ratio", "value": cpu, "bar": bar, "holds": cpu <= bar, "note": note}


def stack_of_three(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Seconds of three stacked members divided by those of one, alternating in one run.

    Two rows: CPU seconds on one thread, which is how folds run that share the cores, and wall seconds on all cores,
    which is how a fit runs that has the machine to itself.
    """
    train_stack(*_task(1), LOSSES["squared"])  # the first fit pays for imports
    rows = []
    for arm, threads, clock in (("CPU seconds, 1 thread", 1, 1), ("wall seconds, all cores", available_cores(), 0)):
        ratios = []
        for _ in range(REPEATS):
            one, three = (_seconds(partial(_fit, k, threads)) for k in (1, 3))
            ratios.append(three / one)
            progress(f"stack_of_three, {threads} thread(s): {three[1]:.1f} CPU seconds beside {one[1]:.1f}")
        wall, cpu = np.median(ratios, axis=0)
        value = float((wall, cpu)[clock])
        note = (
            f"median of {REPEATS}; wall {wall:.2f}, CPU {cpu:.2f}, {threads} thread(s); width 256, mini-batches of 256"
        )
        row = {"case": "stack_of_three", "arm": arm, "metric": "ratio", "value": value, "bar": 2.0}
        rows.append({**row, "holds": value <= 2.0, "note": note})
    return rows


def lightning_overhead(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Seconds under the trainer divided by those of a bare loop, alternating in one run."""
    train_stack(*_task(1), LOSSES["squared"])
    rows = []
    for members in (1, 3):
        ratios = []
        for _ in range(REPEATS):
            bare = _seconds(lambda k=members: bare_loop(k))
            trainer = _seconds(lambda k=members: train_stack(*_task(k), LOSSES["squared"]))
            ratios.append(trainer / bare)
            progress(f"lightning_overhead, {members} member(s): {trainer[1]:.1f} CPU seconds beside {bare[1]:.1f}")
        rows.append(_ratio_row("lightning_overhead", f"{members} member(s)", np.array(ratios), 1.15))
    return rows


def bike_five_by_two(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Seconds of `standard` with three members on bike sharing, ten folds: ten times the CPU seconds of one, halved."""
    case = ACCURACY["bike_sharing"]
    split = next(case.load())
    net = NeuralRegression(preset="standard", metric=case.metric, kinds=split.kinds, members=3)
    _, cpu = _seconds(lambda: net.fit(split.X, split.y))
    progress(f"bike_5x2: {cpu:.0f} CPU seconds a fold")
    return [bike_row(cpu)]


def bike_row(cpu: float) -> dict[str, Any]:
    """The row for the CPU seconds of one fold."""
    value = 10 * cpu / 2
    note = "10 folds from one: CPU seconds of a fit x 10 / 2 cores"
    row = {"case": "bike_5x2", "arm": "standard", "metric": "seconds", "value": value, "bar": 360.0}
    return {**row, "holds": value <= 360.0, "note": note}


def gpu_stack(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Seconds of 30 stacked members divided by those of one, on a GPU."""
    row = {"case": "gpu_stack_of_30", "arm": "neural", "metric": "ratio", "value": None, "bar": 4.0}
    if not torch.cuda.is_available():
        return [{**row, "note": "not run: no GPU on this machine"}]
    train_stack(*_task(1, "cuda"), LOSSES["squared"], "gpu")
    seconds = [_seconds(lambda k=k: train_stack(*_task(k, "cuda"), LOSSES["squared"], "gpu"))[0] for k in (1, 30)]
    progress(f"gpu_stack_of_30: {seconds[1]:.1f} s beside {seconds[0]:.1f} s")
    return [{**row, "value": seconds[1] / seconds[0], "holds": seconds[1] <= 4 * seconds[0], "note": "wall seconds"}]


CASES = {
    "stack_of_three": stack_of_three,
    "lightning_overhead": lightning_overhead,
    "bike_5x2": bike_five_by_two,
    "gpu_stack_of_30": gpu_stack,
}
