"""The net as scikit-learn estimators: NeuralRegression and NeuralClassifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from toolkit.data.kinds import infer_target_kind
from toolkit.errors import InputError
from toolkit.models.neural.base import NeuralBase
from toolkit.models.neural.classifier import NeuralClassifier
from toolkit.models.neural.rows import numeric_target, usable_rows
from toolkit.models.neural.targets import loss_for, scale_target

__all__ = ["NeuralClassifier", "NeuralRegression"]


class NeuralRegression(RegressorMixin, NeuralBase):
    """A neural net for a numeric target: the average of a stack of RealMLP or TabM members.

    Every member is trained on the training rows less one inner fold, which chooses the member's best epoch; the
    published recipes are used as they are (RealMLP: arXiv 2407.04491; TabM: arXiv 2410.24210). Predictions are
    clamped to the range of the training target, as RealMLP does: the net does not extrapolate.

    Parameters
    ----------
    preset : {"quick", "standard", "thorough"}
        How many members, how long and how wide; see `toolkit.models.neural.presets.PRESETS` for what each costs.
    architecture : {"realmlp", "tabm"} or None
        None takes those of the preset.
    members, epochs, batch_size, learning_rate, width, dropout : number or None
        None takes the value of the preset (members, epochs, width) or of the publication.
    metric : str
        What the point prediction is made for: rmse, mse, r2 (the mean), mae (the median), rmsle (the target is learned
        as log(1 + y)), poisson_deviance, gamma_deviance, or deviance (the one that fits the kind of target).
    target_kind : {"auto", "real", "positive", "count", "binary"}
        Only used to read `deviance`.
    kinds : dict or None
        Column -> number, category, ordinal, cyclic, date or text; columns that are not named are inferred.
    quantiles : tuple of float or None
        Learn these quantiles instead (pinball loss, they cannot cross); `predict` then returns the one nearest to the
        median and `predict_quantiles` all of them.
    tune : int
        Settings that optuna tries on the inner folds before the training; 0 keeps the recipe.
    accelerator : {"auto", "cpu", "gpu"}
    threads : int or None
        Threads of torch during `fit`; None leaves them as they are.
    random_state : int
    progress : callable or None
        Called after every epoch with the keywords member (how many learn at once), epoch, total, seconds_left.

    Attributes
    ----------
    fit_info_ : dict
        members, parameters, best_epochs, curves (member, epoch, train_loss, val_loss on the scale of the loss),
        findings, notes, restarts.
    """

    def __init__(
        self,
        preset: str = "standard",
        architecture: str | None = None,
        members: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        width: int | None = None,
        dropout: float | None = None,
        metric: str = "rmse",
        target_kind: str = "auto",
        kinds: dict | None = None,
        quantiles: tuple[float, ...] | None = None,
        tune: int = 0,
        accelerator: str = "auto",
        threads: int | None = None,
        random_state: int = 0,
        progress: Any = None,
    ) -> None:
        super().__init__(
            preset=preset,
            architecture=architecture,
            members=members,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            width=width,
            dropout=dropout,
            metric=metric,
            target_kind=target_kind,
            kinds=kinds,
            tune=tune,
            accelerator=accelerator,
            threads=threads,
            random_state=random_state,
            progress=progress,
        )
        self.quantiles = quantiles

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.quantiles is None
        tags.regressor_tags.poor_score = True  # the checks' 200 rows and few epochs are no fair trial of a net
        return tags

    def fit(self, X, y, sample_weight=None, groups=None) -> NeuralRegression:
        """Learn from X [n, p] and y [n] or [n, targets]; rows of a group share an inner fold.

        Raises
        ------
        InputError
            For settings that do not exist, targets that the loss cannot take, or a GPU that is not there.
        """
        tasks = self._begin(X, y, sample_weight, groups)
        return self._end(tasks, self._train(tasks))

    def _begin(self, X, y, sample_weight=None, groups=None) -> list:
        """Everything before the training."""
        frame = self._frame(X, reset=True)
        y = numeric_target(y, frame)
        self.single_target_ = y.ndim == 1
        target = y.reshape(len(y), -1)
        frame, target, weight, groups = usable_rows(frame, target, sample_weight, groups)
        if self.quantiles is not None and target.shape[1] > 1:
            raise InputError("quantiles are for a single target")
        kind = infer_target_kind(target[:, 0]) if self.target_kind == "auto" else self.target_kind
        name, self.loss_, log = loss_for(self.metric, kind, self.quantiles)
        self.scale_ = scale_target(target, weight, name, log)
        return self._tasks(frame, self.scale_.encode(target), weight, self.loss_, groups)

    def _end(self, tasks: list, trained: list) -> NeuralRegression:
        """Everything after it."""
        self._keep(tasks, trained)
        constant = self.scale_.low == self.scale_.high
        if constant.any():
            message = "The target is constant on the training rows; the net predicts that constant."
            self.fit_info_["findings"].append(
                {"finding": "constant_target", "column": None, "message": message, "advice": "Check the split."}
            )
        return self

    def predict(self, X) -> np.ndarray:
        """Average of the members in target units, [n] or [n, targets]; the median quantile if quantiles are learned."""
        check_is_fitted(self, "stacks_")
        predicted = self.scale_.decode(self._clamped(X).mean(axis=0))
        if self.quantiles is not None:
            return predicted[:, int(np.argmin(np.abs(np.asarray(self.quantiles) - 0.5)))]
        return predicted[:, 0] if self.single_target_ else predicted

    def predict_members(self, X) -> np.ndarray:
        """Prediction of each member in target units, [K, n] or [K, n, targets]."""
        check_is_fitted(self, "stacks_")
        predicted = self.scale_.decode(self._clamped(X))
        if self.quantiles is not None:
            return predicted[..., int(np.argmin(np.abs(np.asarray(self.quantiles) - 0.5)))]
        return predicted[..., 0] if self.single_target_ else predicted

    def predict_quantiles(self, X) -> np.ndarray:
        """The quantiles named at construction, in their order, target units, [n, quantiles]."""
        check_is_fitted(self, "stacks_")
        if self.quantiles is None:
            raise InputError("no quantiles were learned; name them at construction, as in quantiles=(0.05, 0.5, 0.95)")
        return self.scale_.decode(self._clamped(X).mean(axis=0))

    def _clamped(self, X) -> np.ndarray:
        """Responses of all members on the scale of the loss, none beyond the training values, [K, n, outputs]."""
        return self.scale_.clamp(self._member_responses(X, self.loss_))
