"""How a forecaster trains, and how training stops when it fails."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import TrainingWarning, check_choice, check_int, check_positive
from nbeats_basis.members import PRECISIONS
from nbeats_basis.optimizers import Adam


@dataclass(frozen=True)
class Training:
    """How a `Forecaster` trains.

    Args:
        steps: training steps in all; None for one pass over the training windows, at least 50 and at most 1000: small
            panels are overtrained soon; of hours and parts of them at least 300. Rounded up so that epochs are equal and of whole executions. Defaults to None.
        batch_size: windows a member draws in a step. Defaults to 128.
        learning_rate: of Adam, halved after each third of `steps`, until a callback sets it. Defaults to 0.002.
        epochs: parts of the training, after each of which validation and callbacks run. Defaults to 5.
        recent: draw training windows from the last `recent` steps, or units of time, of each series; None for all.
            Defaults to None.
        steps_per_execution: most steps of one call of the compiled function. Defaults to 10.
        jit_compile: True to compile by XLA. Defaults to False.
        max_points: at irregular times, most observations of a window; fuller ones are thinned evenly, with a warning.
            Defaults to 256.
        precision: what the networks' matrix products are computed in while training: "float32", or "bfloat16", faster for wide
            networks on processors with instructions for it, or "auto", bfloat16 where it measures clearly faster on this machine,
            so that a seed need not repeat in another process. Weights, bases, residuals and losses are float32 in both, and so is
            every forecast. Defaults to "float32".
    """

    steps: int | None = None
    batch_size: int = 128
    learning_rate: float = 0.002
    epochs: int = 5
    recent: float | None = None
    steps_per_execution: int = 10
    jit_compile: bool = False
    max_points: int = 256
    precision: str = "float32"

    def __post_init__(self):
        for name in ("batch_size", "epochs", "steps_per_execution", "max_points"):
            check_int(name, getattr(self, name))
        if self.steps is not None:
            check_int("steps", self.steps)
        if self.recent is not None:
            check_positive("recent", self.recent)
        check_positive("learning_rate", self.learning_rate)
        check_choice("precision", self.precision, (*PRECISIONS, "auto"))

    def plan(self, num_windows: int) -> tuple[int, int]:
        """Return the steps of an epoch and of an execution, the second dividing the first.

        Args:
            num_windows: number of different training windows.
        """
        steps = self.steps or min(max(50, num_windows // self.batch_size), 1000)
        steps_per_epoch = ceil(steps / self.epochs)
        executions = ceil(steps_per_epoch / self.steps_per_execution)
        per_execution = ceil(steps_per_epoch / executions)
        return executions * per_execution, per_execution


def make_optimizer(training: Training, steps: int) -> Adam:
    """Return Adam, its rate halved at each third.

    Args:
        training: the settings.
        steps: training steps in all.
    """
    third, rate = max(1, steps // 3), training.learning_rate
    halved = keras.optimizers.schedules.PiecewiseConstantDecay([third, 2 * third], [rate, rate / 2, rate / 4])
    return Adam(halved)


def repeated(step: Callable, times: int, result: Callable) -> Callable:
    """Return a compiled function that takes some steps; its argument, Keras' iterator, is left alone.

    Args:
        step: function without arguments, whose effect counts.
        times: number of steps.
        result: function of what to return after them.
    """

    def body(number):
        step()
        return (number + 1,)

    def steps():
        tf.while_loop(lambda number: number < times, body, [tf.constant(0)])
        return result()

    # a partial is no code: TensorFlow counts traces by code, and would warn of the next network's
    compiled = tf.function(partial(steps), autograph=False)
    return lambda iterator: compiled()


def clip_members(gradients: list, clip_norm: float) -> tuple:
    """Return the gradients with each member's norm at most `clip_norm`, and the norms before, `(M,)`.

    Args:
        gradients: list of `(M, ...)`, over all weights.
        clip_norm: largest norm.
    """
    squares = [tf.reduce_sum(tf.square(g), axis=[*range(1, len(g.shape))]) for g in gradients]
    norms = tf.sqrt(tf.add_n(squares))
    factor = tf.minimum(1.0, clip_norm / tf.maximum(norms, 1e-12))
    shaped = {rank: tf.reshape(factor, (-1, *[1] * (rank - 1))) for rank in {len(g.shape) for g in gradients}}
    return [g * shaped[len(g.shape)] for g in gradients], norms


def outcomes(members: int) -> tuple:
    """Return variables for what steps find out: the first failure, see `first_failure`, and members' validation losses, summed over windows.

    Args:
        members: M, number of networks.
    """
    once, summed = tf.VariableAggregation.ONLY_FIRST_REPLICA, tf.VariableAggregation.SUM
    failed = tf.Variable([-1] + [0] * members, trainable=False, aggregation=once)
    each = tf.VariableSynchronization.ON_READ
    return failed, tf.Variable(tf.zeros(members), trainable=False, synchronization=each, aggregation=summed)


def first_failure(known, step, finite):
    """Return `(1 + M,)`: the first step of a loss or gradient that is not finite, below 0 for none, and whether a member had one.

    Args:
        known: `(1 + M,)`, what is known of earlier steps.
        step: number of this one.
        finite: `(M,)`, whether a member's are.
    """
    found = tf.concat([[tf.cast(step, "int32")], tf.cast(~finite, "int32")], axis=0)
    return tf.where(~tf.reduce_all(finite) & (known[0] < 0), found, known)


class StopOnNonFinite(keras.callbacks.Callback):
    """Stop training at a loss or gradient that is not finite; members that had one are as at the epoch's beginning."""

    def on_epoch_begin(self, epoch, logs=None):
        """Keep the weights."""
        self._weights = [v.numpy() for v in self.model.trainable_variables]

    def on_train_batch_end(self, batch, logs=None):
        """Look at the step remembered by the model."""
        step, *diverged = self.model._failed.numpy()
        if step >= 0 and not self.model.stop_training:
            self.model.stop_training = True
            members = np.flatnonzero(diverged)
            for before, variable in zip(self._weights, self.model.trainable_variables, strict=True):
                now = variable.numpy()
                now[members] = before[members]
                variable.assign(now)
            warnings.warn(
                f"The loss or its gradient was not finite at step {step} in member {', '.join(map(str, members))}; training "
                "stopped there, with the weights of the epoch's beginning in place of those that led there. "
                "Try a smaller learning rate, or scaling='std'.",
                TrainingWarning,
                stacklevel=2,
            )


def pair(data: tuple) -> tuple:
    """Return inputs and targets of a batch.

    Args:
        data: both, as Keras hands them on.

    Raises:
        ValueError: there are weights of windows, too.
    """
    inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError("weights of windows are not used. Leave them out; hide targets by NaN.")
    return inputs, targets


def matched(targets, params):
    """Return targets as `(M or 1, B, H)` float64.

    Args:
        targets: `(B, H)` or `(M, B, H)`.
        params: `(M, B, H, P)`, what they are compared with.

    Raises:
        ValueError: they are of another shape.
    """
    targets = tf.cast(targets, "float64")
    if len(targets.shape) not in (2, 3) or not targets.shape[-2:].is_compatible_with(params.shape[1:3]):
        raise ValueError(
            f"targets must be windows of {params.shape[2]} values, (B, {params.shape[2]}). Received: shape {targets.shape}"
        )
    return targets if len(targets.shape) == 3 else targets[None]


class Resumable:
    """A network that is saved with how it was compiled, so that it goes on training where it was."""

    def get_compile_config(self):
        """Return the arguments of `compile`, for a network that is saved."""
        if not self.compiled:
            return {}
        clip_norm = self.clip_norm if self.clip_norm < float("inf") else None
        config = {
            name: getattr(self, name)
            for name in ("steps_per_execution", "jit_compile", "precision", "run_eagerly")
        }
        return {
            **config,
            "clip_norm": clip_norm,
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
        }

    def compile_from_config(self, config):
        """Set up training as it was when the network was saved."""
        self.compile(**{**config, "optimizer": keras.saving.deserialize_keras_object(config["optimizer"])})


class MemberEarlyStopping(keras.callbacks.Callback):
    """Give each member the weights of the epoch that was best for it alone, by its validation loss.

    Fit with `val_size` and more, shorter epochs than usual: an epoch is what can be told apart.

    Args:
        patience: epochs in which no member gets better, after which training stops; at least 1. Defaults to 5.

    Attributes:
        best_epochs_: `(M,)`, the epoch of each member's weights, counted from 1; 0 for weights never trained.
        losses_: `(epochs, M)`, each member's validation loss, summed over the windows.

    Example:
        >>> import nbeats_basis as nb
        >>> df = nb.datasets.load("air_passengers")
        >>> stopping, training = nb.MemberEarlyStopping(), nb.Training(steps=4, epochs=2)
        >>> forecaster = nb.Forecaster(12, members=2, training=training).fit(df, 12, [stopping], verbose=0)
        >>> len(stopping.best_epochs_)
        2
    """

    def __init__(self, patience: int = 5):
        super().__init__()
        self.patience = check_int("patience", patience)

    def on_train_begin(self, logs=None):
        """Forget what an earlier training found."""
        self._weights = [v.numpy() for v in self.model.trainable_variables]
        self.best_epochs_ = np.zeros(self.model.members, int)
        self.losses_ = np.empty((0, self.model.members))

    def on_test_begin(self, logs=None):
        """Start the sums of the members' losses."""
        self.model.validation_losses.assign(tf.zeros_like(self.model.validation_losses))

    def on_epoch_end(self, epoch, logs=None):
        """Keep the weights of the members that got better."""
        if "val_loss" not in (logs or {}):
            raise ValueError(
                "`MemberEarlyStopping` needs validation after each epoch. Pass `val_size` to `fit`, such as the horizon."
            )
        losses = self.model.validation_losses.numpy()
        better = losses < np.fmin.reduce(self.losses_, axis=0, initial=np.inf)
        self.losses_ = np.vstack([self.losses_, losses])
        self.best_epochs_[better] = len(self.losses_)
        for kept, variable in zip(self._weights, self.model.trainable_variables, strict=True):
            kept[better] = variable.numpy()[better]
        self.model.stop_training |= len(self.losses_) - self.best_epochs_.max() >= self.patience

    def on_train_end(self, logs=None):
        """Restore each member's best weights."""
        for kept, variable in zip(self._weights, self.model.trainable_variables, strict=True):
            variable.assign(kept)
