"""How a forecaster trains."""

from dataclasses import dataclass

import keras

from nbeats_basis.checks import check_int, check_positive


@dataclass(frozen=True)
class Training:
    """How a `Forecaster` trains.

    Args:
        steps: training steps in all; None for twice the square root of the number of training windows, at least 150 and
            at most 1000: small panels are overtrained soon. Each epoch takes its share, rounded up to whole executions, so
            more steps may run; the learning rate is halved at thirds of the number before rounding. Defaults to None.
        batch_size: windows a member draws in a step. Defaults to 128.
        learning_rate: of Adam, halved after each third of `steps`, unless a callback sets it. Defaults to 0.002.
        epochs: parts of the training, after each of which validation and callbacks run. Defaults to 10.
        recent: draw training windows from the last `recent` steps of each series; None for all. Defaults to None.
        steps_per_execution: steps of one call of the compiled function. Defaults to 10.
        jit_compile: True to compile by XLA. Defaults to False.
    """

    steps: int | None = None
    batch_size: int = 128
    learning_rate: float = 0.002
    epochs: int = 10
    recent: int | None = None
    steps_per_execution: int = 10
    jit_compile: bool = False

    def __post_init__(self):
        for name in ("batch_size", "epochs", "steps_per_execution"):
            check_int(name, getattr(self, name))
        for name in ("steps", "recent"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name))
        check_positive("learning_rate", self.learning_rate)

    def steps_for(self, num_windows: int) -> int:
        """Return the training steps for a panel.

        Args:
            num_windows: number of different training windows.
        """
        return self.steps or min(max(150, round(2 * num_windows**0.5)), 1000)


def make_optimizer(training: Training, steps: int, callbacks: list | None) -> keras.optimizers.Optimizer:
    """Return Adam, its rate halved at each third unless a callback sets it.

    Args:
        training: the settings.
        steps: training steps in all.
        callbacks: the callbacks of `fit`, or None.
    """
    setters = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    if any(isinstance(callback, setters) for callback in callbacks or ()):
        return keras.optimizers.Adam(training.learning_rate)
    third, rate = max(1, steps // 3), training.learning_rate
    halved = keras.optimizers.schedules.PiecewiseConstantDecay([third, 2 * third], [rate, rate / 2, rate / 4])
    return keras.optimizers.Adam(halved)
