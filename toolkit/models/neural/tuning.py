"""Optional search for settings inside the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from toolkit.errors import InputError
from toolkit.models.neural.losses import Loss
from toolkit.models.neural.presets import Recipe
from toolkit.models.neural.stack import train_stack
from toolkit.models.neural.training import Member, Table

__all__ = ["tune_recipe"]


def tune_recipe(
    table: Table,
    members: Sequence[Member],
    recipe: Recipe,
    loss: Loss,
    trials: int,
    accelerator: str,
    threads: int | None,
    seed: int,
) -> tuple[Recipe, str]:
    """The recipe whose members do best on the inner rows they hold out, and a sentence about the search.

    The published recipe is the first trial, so that the search can only improve on it. Tried are learning rate,
    dropout, weight decay and width; the sampler is optuna's tree-structured Parzen estimator.

    Raises
    ------
    InputError
        Without optuna.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError("tune needs the package optuna: pip install optuna, or leave tune out") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def suggest(trial: optuna.Trial) -> Recipe:
        rate, decay = recipe.learning_rate, recipe.weight_decay
        return replace(
            recipe,
            learning_rate=trial.suggest_float("learning_rate", rate / 5, rate * 3, log=True),
            dropout=trial.suggest_float("dropout", 0.0, 0.5),
            weight_decay=trial.suggest_float("weight_decay", decay / 20, decay * 5, log=True),
            width=trial.suggest_categorical("width", sorted({recipe.width // 2, recipe.width, recipe.width * 2})),
        )

    def held_out_loss(trial: optuna.Trial) -> float:
        trained = train_stack(table, members, suggest(trial), loss, accelerator, threads)
        return float(np.mean(trained.best_losses))

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    first = {name: getattr(recipe, name) for name in ("learning_rate", "dropout", "weight_decay", "width")}
    study.enqueue_trial(first)
    study.optimize(held_out_loss, n_trials=trials)
    before, after = study.trials[0].value, study.best_value
    best = suggest(optuna.trial.FixedTrial(study.best_params))
    return best, f"{trials} settings tried on inner folds: validation loss {before:.5g} published, {after:.5g} chosen"
