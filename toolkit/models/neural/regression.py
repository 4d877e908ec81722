"""The net as scikit-learn estimators: NeuralRegression and NeuralClassifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted, column_or_1d

from toolkit.data.kinds import infer_target_kind
from toolkit.errors import InputError
from toolkit.models.neural.base import NeuralBase
from toolkit.models.neural.losses import LOSSES
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
        frame = self._frame(X, reset=True)
        y = _numeric_target(y, frame)
        self.single_target_ = y.ndim == 1
        target = y.reshape(len(y), -1)
        frame, target, weight, groups = _usable_rows(frame, target, sample_weight, groups)
        if self.quantiles is not None and target.shape[1] > 1:
            raise InputError("quantiles are for a single target")
        kind = infer_target_kind(target[:, 0]) if self.target_kind == "auto" else self.target_kind
        name, self.loss_, log = loss_for(self.metric, kind, self.quantiles)
        self.scale_ = scale_target(target, weight, name, log)
        self._fit_members(frame, self.scale_.encode(target), weight, self.loss_, groups)
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
        predicted = self.scale_.decode(self._member_responses(X, self.loss_).mean(axis=0))
        if self.quantiles is not None:
            return predicted[:, int(np.argmin(np.abs(np.asarray(self.quantiles) - 0.5)))]
        return predicted[:, 0] if self.single_target_ else predicted

    def predict_members(self, X) -> np.ndarray:
        """Prediction of each member in target units, [K, n] or [K, n, targets]."""
        check_is_fitted(self, "stacks_")
        predicted = self.scale_.decode(self._member_responses(X, self.loss_))
        if self.quantiles is not None:
            return predicted[..., int(np.argmin(np.abs(np.asarray(self.quantiles) - 0.5)))]
        return predicted[..., 0] if self.single_target_ else predicted

    def predict_quantiles(self, X) -> np.ndarray:
        """The quantiles named at construction, in their order, target units, [n, quantiles]."""
        check_is_fitted(self, "stacks_")
        if self.quantiles is None:
            raise InputError("no quantiles were learned; name them at construction, as in quantiles=(0.05, 0.5, 0.95)")
        return self.scale_.decode(self._member_responses(X, self.loss_).mean(axis=0))


class NeuralClassifier(ClassifierMixin, NeuralBase):
    """A neural net for a binary target: average probability of a stack of members.

    The members minimise the log loss. Their logits are divided by one temperature, learned by maximum likelihood on the
    inner rows that each member held out (Guo et al., "On calibration of modern neural networks", ICML 2017), then
    their probabilities are averaged.

    Parameters
    ----------
    metric : str
        log_loss, brier or auc; all are served by calibrated probabilities.
    others
        As for `NeuralRegression`.

    Attributes
    ----------
    classes_ : [2]
        Labels; column 1 of `predict_proba` is the probability of the second.
    temperature_ : float
        Above 1 where the members are too sure of themselves.
    fit_info_ : dict
        As for `NeuralRegression`.
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
        metric: str = "log_loss",
        target_kind: str = "auto",
        kinds: dict | None = None,
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = True  # as for the regression
        return tags

    def fit(self, X, y, sample_weight=None, groups=None) -> NeuralClassifier:
        """Learn from X [n, p] and labels y [n] of two classes."""
        frame = self._frame(X, reset=True)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = column_or_1d(y, warn=True)
        check_consistent_length(frame, y)
        check_classification_targets(y)
        frame, y, weight, groups = _usable_rows(frame, y, sample_weight, groups)
        self.classes_ = np.unique(y)
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {type_of_target(y)}, "
                f"with {len(self.classes_)} classes; two were expected."
            )
        if self.metric not in ("log_loss", "brier", "auc", "deviance"):
            raise InputError(f"metric '{self.metric}' is not for a binary target; known: auc, brier, log_loss")
        if len(self.classes_) == 1:
            return self._fit_one_class()
        target = (y == self.classes_[1]).astype(np.float32)[:, None]
        self.only_probability_ = None
        held = self._fit_members(frame, target, weight, LOSSES["bernoulli"], groups)
        self.temperature_ = self._temperature(frame, target[:, 0], weight, held)
        self.fit_info_["notes"].append(f"logits are divided by the temperature {self.temperature_:.3f}")
        return self

    def _fit_one_class(self) -> NeuralClassifier:
        """Nothing to learn: the only label is certain. Labels 0 and 1 keep both columns of `predict_proba`."""
        only = self.classes_[0]
        if only in (0, 1):
            self.classes_ = np.array([0, 1], dtype=np.asarray(self.classes_).dtype)
        self.only_probability_ = float(only == self.classes_[-1])
        self.temperature_ = 1.0
        message = f"All training rows have the label {only!r}; the net predicts it for every row."
        finding = {"finding": "one_class", "column": None, "message": message, "advice": "Check the split."}
        empty: dict[str, list] = {"best_epochs": [], "curves": [], "notes": [], "restarts": []}
        self.fit_info_ = {"members": 0, "parameters": 0, "findings": [finding], **empty}
        self.stacks_ = []
        return self

    def _temperature(self, frame, target: np.ndarray, weight: np.ndarray, held: list) -> float:
        """The temperature that minimises the log loss of every member on the rows it held out."""
        logits, labels, weights = [], [], []
        for stack, members in zip(self.stacks_, held, strict=True):
            raw = stack.responses(frame, LOSSES["bernoulli"], raw=True)[..., 0]
            for k, rows in enumerate(members):
                logits.append(raw[k, rows])
                labels.append(target[rows])
                weights.append(weight[rows])
        z, y, w = np.concatenate(logits), np.concatenate(labels), np.concatenate(weights)
        if len(z) == 0 or y.min() == y.max():
            return 1.0

        def loss(log_temperature: float) -> float:
            scaled = z / np.exp(log_temperature)
            return float(np.average(np.logaddexp(0, scaled) - y * scaled, weights=w))

        return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 2.5), method="bounded").x))

    def predict_members(self, X) -> np.ndarray:
        """Probability of the second class from each member, [K, n]."""
        check_is_fitted(self, "stacks_")
        if self.only_probability_ is not None:
            return np.full((1, len(self._frame(X, reset=False))), self.only_probability_)
        return expit(self._member_responses(X, LOSSES["bernoulli"], raw=True)[..., 0].astype(float) / self.temperature_)

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities of the classes, [n, classes]."""
        p = self.predict_members(X).mean(axis=0)
        return np.column_stack([1 - p, p]) if len(self.classes_) == 2 else np.ones((len(p), 1))

    def predict(self, X) -> np.ndarray:
        """The more probable label, [n]."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


def _numeric_target(y, frame) -> np.ndarray:
    """Targets as float64, [n] or [n, targets]."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    try:
        values = np.asarray(y, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError("the target must hold numbers; for labels use NeuralClassifier") from error
    if values.ndim not in (1, 2):
        raise InputError(f"the target must have one or two dimensions, it has {values.ndim}")
    check_consistent_length(frame, values)
    if not np.isfinite(values).all():
        raise InputError("the target contains NaN or infinity; drop those rows first")
    return values


def _usable_rows(frame, target: np.ndarray, sample_weight, groups) -> tuple:
    """Rows of positive weight: (frame, target, weight [n], groups or None)."""
    weight = _check_sample_weight(sample_weight, frame, dtype=float, ensure_non_negative=True)
    groups = None if groups is None else np.asarray(groups)
    if groups is not None:
        check_consistent_length(frame, groups)
    kept = weight > 0
    if not kept.any():
        raise InputError("all sample weights are zero")
    if kept.all():
        return frame, target, weight, groups
    return frame[kept], target[kept], weight[kept], None if groups is None else groups[kept]
