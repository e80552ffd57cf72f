"""How one network of a forecaster trains."""

from copy import copy

from nbeats_basis.members import faster_precision
from nbeats_basis.model import NBeats
from nbeats_basis.observations import IrregularWindows
from nbeats_basis.training import Training, make_optimizer
from nbeats_basis.windows import Windows


def train(
    net: NBeats,
    windows: Windows | IrregularWindows,
    training: Training,
    validate: bool = False,
    callbacks: list | None = None,
    verbose="auto",
) -> dict:
    """Train one network; return its log.

    Args:
        net: the network.
        windows: of `make_windows`.
        training: the settings.
        validate: True to validate on what the windows hold out. Defaults to False.
        callbacks: Keras callbacks. Defaults to None.
        verbose: as Keras'. Defaults to "auto".
    """
    if training.batch_size != windows.batch_size:
        windows = copy(windows)
        windows.batch_size = training.batch_size
    steps_per_epoch, steps_per_execution = training.plan(windows.num_windows)
    precision = training.precision
    if precision == "auto":
        precision = faster_precision(
            net.members, training.batch_size, max(stack.units for stack in net.stacks)
        )
    net.compile(
        make_optimizer(training, training.epochs * steps_per_epoch),
        steps_per_execution=steps_per_execution,
        jit_compile=training.jit_compile,
        precision=precision,
    )
    log = net.fit(
        windows,
        epochs=training.epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=windows.validation() if validate else None,
        callbacks=callbacks,
        verbose=verbose,
    )
    return log.history
