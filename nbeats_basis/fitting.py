"""How a forecaster's networks train on a panel, and for how long where that is for the data to say."""

import warnings
from dataclasses import replace

import keras
import numpy as np

from nbeats_basis.assembly import make_network, make_windows
from nbeats_basis.checks import DataError, DataWarning
from nbeats_basis.model import NBeats
from nbeats_basis.panel import Panel
from nbeats_basis.training import Training, make_optimizer

_SEARCHED = 3  # members that search for the number of steps
_PARTS = 4  # of the usual number of steps, the unit of the search
_LONGEST = 4  # times the usual number of steps, where the search ends
_PATIENCE = 6  # units without a smaller error


def train(
    net: NBeats, panel: Panel, training: Training, val_size=0, callbacks: list | None = None, verbose="auto"
) -> dict:
    """Train one network on a panel; return its log.

    Args:
        net: the network.
        panel: the series.
        training: the settings.
        val_size: steps or length of time held out at the end of each series. Defaults to 0.
        callbacks: Keras callbacks. Defaults to None.
        verbose: as Keras'. Defaults to "auto".
    """
    windows = make_windows(panel, net, training, val_size)
    steps_per_epoch, steps_per_execution = training.plan(windows.num_windows)
    net.compile(
        make_optimizer(training, training.epochs * steps_per_epoch, callbacks),
        steps_per_execution=steps_per_execution,
        jit_compile=training.jit_compile,
    )
    log = net.fit(
        windows,
        epochs=training.epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=windows.validation() if val_size else None,
        callbacks=callbacks,
        verbose=verbose,
    )
    return log.history


def find_steps(plan: dict, panel: Panel, window: float, val_size=0, verbose="auto") -> Training:
    """Return the training of the number of steps whose validation error is least; where nothing can be held out, the usual.

    A few members train at one learning rate for up to four times the usual steps, and stop when they get no better.

    Args:
        plan: of `assembly.resolve`.
        panel: the series.
        window: padded length of the windows.
        val_size: steps or length of time held out at the end of each series, 0 for the horizon. Defaults to 0.
        verbose: as Keras'. Defaults to "auto".
    """
    training, holdout = plan["training"], val_size or plan["horizon"]
    net = make_network(plan | {"members": min(plan["members"], _SEARCHED)}, panel, window)
    constant = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)
    patience = keras.callbacks.EarlyStopping(patience=_PATIENCE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        try:
            per_epoch = training.plan(make_windows(panel, net, training, holdout).num_windows)[0]
            unit = max(1, training.epochs * per_epoch // _PARTS)
            searched = replace(training, steps=_LONGEST * _PARTS * unit, epochs=_LONGEST * _PARTS)
            log = train(net, panel, searched, holdout, [constant, patience], verbose)
        except DataError:
            return training
    return replace(training, steps=unit * (1 + int(np.nanargmin(log["val_loss"]))))
