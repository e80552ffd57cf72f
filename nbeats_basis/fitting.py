"""How a forecaster's networks train on a panel, and for how long where that is for the data to say."""

import warnings
from dataclasses import replace

import keras
import numpy as np

from nbeats_basis.assembly import make_network, make_windows
from nbeats_basis.checks import DataError, DataWarning
from nbeats_basis.model import NBeats
from nbeats_basis.observations import IrregularWindows
from nbeats_basis.panel import Panel
from nbeats_basis.training import MemberEarlyStopping, Training, make_optimizer
from nbeats_basis.windows import Windows

_PARTS = 4  # of the usual number of steps, the unit of the search
_LONGEST = 12  # units, where the search ends
_PATIENCE = 4  # units without a smaller error
_AVERAGED = 3  # units of the least error of a lookback, to compare it by


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
    steps_per_epoch, steps_per_execution = training.plan(windows.num_windows)
    net.compile(
        make_optimizer(training, training.epochs * steps_per_epoch, callbacks),
        steps_per_execution=steps_per_execution,
        jit_compile=training.jit_compile,
        precision=training.precision,
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


def search(plan: dict, panel: Panel, window: float, val_size=0, verbose="auto") -> dict:
    """Return the plan with the number of steps, and the half of several lookbacks, of the least validation error.

    One member a lookback trains at one learning rate for up to three times the usual steps, and stops when its mean error gets
    no smaller. Where nothing can be held out the plan stays as it is.

    Args:
        plan: of `assembly.resolve`.
        panel: the series.
        window: padded length of the windows.
        val_size: steps or length of time held out at the end of each series, 0 for the horizon. Defaults to 0.
        verbose: as Keras'. Defaults to "auto".
    """
    training, holdout, lookbacks = plan["training"], val_size or plan["horizon"], plan["lookback"]
    net = make_network(plan | {"members": len(lookbacks)}, panel, window)
    constant = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)
    patience, record = keras.callbacks.EarlyStopping(patience=_PATIENCE), MemberEarlyStopping(_LONGEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        try:
            windows = make_windows(panel, net, training, holdout)
            unit = max(1, training.epochs * training.plan(windows.num_windows)[0] // _PARTS)
            longest = replace(training, steps=_LONGEST * unit, epochs=_LONGEST)
            train(net, windows, longest, True, [constant, patience, record], verbose)
        except DataError:
            return plan
    least = np.sort(record.losses_, axis=0)[:_AVERAGED].mean(axis=0)
    kept = np.sort(np.argsort(least, kind="stable")[: -(-len(lookbacks) // 2)])
    steps = unit * (1 + int(np.nanargmin(record.losses_[:, kept].mean(axis=1))))
    return plan | {"lookback": [lookbacks[k] for k in kept], "training": replace(training, steps=steps)}
