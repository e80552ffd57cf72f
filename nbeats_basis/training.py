"""How a forecaster trains."""

from dataclasses import dataclass

import keras

from nbeats_basis.checks import check_int, check_positive


@dataclass(frozen=True)
class Training:
    """How a `Forecaster` trains.

    Args:
        steps: training steps in all. Defaults to 300.
        batch_size: windows a member draws in a step. Defaults to 128.
        learning_rate: of Adam, halved after each third of the steps, unless a callback sets it. Defaults to 0.002.
        epochs: parts of the training, after each of which validation and callbacks run. Defaults to 10.
        recent: draw training windows from the last `recent` steps of each series; None for all. Defaults to None.
        steps_per_execution: steps of one call of the compiled function. Defaults to 10.
        jit_compile: True to compile by XLA. Defaults to False.
    """

    steps: int = 300
    batch_size: int = 128
    learning_rate: float = 0.002
    epochs: int = 10
    recent: int | None = None
    steps_per_execution: int = 10
    jit_compile: bool = False

    def __post_init__(self):
        for name in ("steps", "batch_size", "epochs", "steps_per_execution"):
            check_int(name, getattr(self, name))
        check_positive("learning_rate", self.learning_rate)
        if self.recent is not None:
            check_int("recent", self.recent)


def make_optimizer(training: Training, callbacks: list | None) -> keras.optimizers.Optimizer:
    """Return Adam, its rate halved at each third unless a callback sets it.

    Args:
        training: the settings.
        callbacks: the callbacks of `fit`, or None.
    """
    setters = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    if any(isinstance(callback, setters) for callback in callbacks or ()):
        return keras.optimizers.Adam(training.learning_rate)
    third, rate = max(1, training.steps // 3), training.learning_rate
    halved = keras.optimizers.schedules.PiecewiseConstantDecay([third, 2 * third], [rate, rate / 2, rate / 4])
    return keras.optimizers.Adam(halved)
