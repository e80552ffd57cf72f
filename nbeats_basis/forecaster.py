"""Data frames in, data frames out: the arguments, training, saving and loading of a forecaster."""

from collections.abc import Sequence
from dataclasses import asdict
from inspect import signature
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf

from nbeats_basis import persistence
from nbeats_basis.assembly import make_network, make_windows, resolve
from nbeats_basis.calendars import check_freq, length
from nbeats_basis.checks import check_choice, check_type
from nbeats_basis.durations import one
from nbeats_basis.ensemble import as_one
from nbeats_basis.fitted import Fitted
from nbeats_basis.fitting import train
from nbeats_basis.heads import Head
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.presets import plan
from nbeats_basis.stacks import Stack
from nbeats_basis.training import Training
from nbeats_basis.weighting import weigh

# arguments that JSON holds as they are
_PLAIN = ("horizon", "lookback", "freq", "members", "scaling", "seed", "time_unit", "preset")


class Forecaster(Fitted):
    """Forecasts of many series in a data frame, by an ensemble of networks trained on all of them.

    Times lie on a calendar, or with `freq=None` anywhere: then horizon and lookback are lengths of time, a forecast can be
    asked for at any time, and nothing is resampled.

    Args:
        horizon: steps to forecast, at least 1; at irregular times a length, a number or a duration such as "7D".
        lookback: steps or length of history, one, or a list that the members take in turn; None for 2 to 5 horizons, or
            what the preset says, at least two seasons, or a week and a day where the week is one. Defaults to None.
        freq: "infer", an offset alias such as "MS", a positive integer for integer times, or None for irregular times,
            stamps or numbers. Defaults to "infer".
        stacks: list of stacks, taken as a description, or a list of such lists, a kind of networks each, trained in turn; None for
            trend and seasonality, or trend and a generic block where no season is usual or times are irregular. Usual are a year of
            months, quarters and weeks, a week of days, a day of hours and of parts of them down to 5 minutes, and down to a quarter
            also a week, where a typical series has two and no shorter `lookback` is given. On a calendar
            two networks of `Smoothing` beside them, trained for at most 100 steps, that count as much as all others together.
            Defaults to None.
        head: what the network forecasts; None for `heads.StudentT("height")` on a calendar of days or longer steps, or what the preset
            says, `heads.StudentT()` for hours and parts of them and at irregular times. Defaults to None.
        members: networks of each kind but `Smoothing` in the ensemble, or "auto", 4 and up to 12 where training is short, or what the
            preset says. Defaults to "auto".
        training: a `Training`; None for its defaults. A preset trains for longer, and networks of hours and parts of them for at least
            1000 steps, unless `steps` are given. Defaults to None.
        scaling: "std", "level", "ratio", "panel" or "none", see `NBeats`, one, or a list that the members take in turn; None for
            "level" with a head that learns from percentages where the typical standard deviation is at least a tenth of the typical
            value, "std" elsewhere, or what the preset says. Defaults to None.
        seed: equal seeds give equal forecasts on one machine. Defaults to 0.
        time_unit: unit of numbers that stand for irregular times of stamps, and of slopes: "W", "D", "h", "min", "s",
            "ms", "us" or "ns". Defaults to "D".
        preset: "best" for an ensemble of 24 networks that train four times as long, at most 2000 steps, "fast" for six that train
            twice as long, at most 1000; on a calendar of days or longer both have `heads.StudentT("change")`, and on any blocks of two layers of width 256 for
            months and shorter steps, and half of the networks scaled by "ratio", where no value is negative and the typical standard
            deviation at least a tenth of the typical value, of generic blocks elsewhere and where `scaling` is given. Arguments given
            count for all their networks. Defaults to None, one kind.

    Attributes:
        model: the `keras.Model`, an `Ensemble` of several kinds, smoothing among them.
        history_: dict of the training log, one value an epoch; of several kinds the keys begin with the network, such as "network0.loss",
            of smoothing with "smoothing.".
        weights_: `(M,)`, how much each member counts in forecasts, in the order of the networks; they add up to 1.
        freq_: the calendar's frequency, None for irregular times.
        spacing_: median time between observations, 1 step on a calendar.

    Example:
        >>> import nbeats_basis as nb
        >>> df = nb.datasets.load("air_passengers")
        >>> training = nb.Training(steps=2, epochs=1, steps_per_execution=1)
        >>> forecaster = nb.Forecaster(horizon=12, lookback=24, members=1, training=training).fit(df, verbose=0)
        >>> list(forecaster.predict(level=[80]).columns)
        ['unique_id', 'ds', 'NBeatsBasis', 'NBeatsBasis-lo-80', 'NBeatsBasis-hi-80']
    """

    def __init__(
        self,
        horizon: int | float | str,
        lookback: int | float | str | Sequence | None = None,
        freq: str | int | None = "infer",
        stacks: Sequence[Stack] | Sequence[Sequence[Stack]] | None = None,
        head: Head | None = None,
        members: int | str = "auto",
        training: Training | None = None,
        scaling: str | Sequence[str] | None = None,
        seed: int = 0,
        time_unit: str = "D",
        preset: str | None = None,
    ):
        self.horizon = horizon
        self.lookback = lookback
        self.freq = freq
        self.stacks = stacks
        self.head = head
        self.members = members
        self.training = training
        self.scaling = scaling
        self.seed = seed
        self.time_unit = time_unit
        self.preset = preset

    def get_params(self, deep: bool = True) -> dict:
        """Return the constructor's arguments.

        Args:
            deep: accepted for scikit-learn's sake; no argument has parameters of its own. Defaults to True.
        """
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def set_params(self, **params) -> "Forecaster":
        """Set constructor's arguments; they count from the next `fit` on.

        Args:
            **params: names and values.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"`Forecaster` has no argument {name!r}; it has {list(known)}.")
            setattr(self, name, value)
        return self

    def fit(
        self,
        df: pd.DataFrame,
        val_size: int | float | str = 0,
        callbacks: list | None = None,
        verbose="auto",
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: str = "y",
        strategy: tf.distribute.Strategy | None = None,
        weights: str = "equal",
    ) -> "Forecaster":
        """Train on a long frame and return self.

        Args:
            df: one row for each series and time, in any order; NaN or an absent row means not observed.
            val_size: steps, or length of time, at the end of each series held out for validation, 0 for none. Defaults to 0.
            callbacks: Keras callbacks, one or a list, of each network but smoothing in turn, `model.networks()`: what they keep is the network's. They
                see `val_loss` if there is validation. Defaults to None.
            verbose: as Keras': "auto", 0, 1 or 2. Defaults to "auto".
            id_col: column of the series. Defaults to "unique_id".
            time_col: column of the times. Defaults to "ds".
            target_col: column of the values. Defaults to "y".
            strategy: such as `tf.distribute.MirroredStrategy()`; its replicas share the windows of each step equally.
                Defaults to None, that in scope.
            weights: how much members count in forecasts: "equal", or "validation" for the mixture that makes what `val_size` holds
                out most likely. Defaults to "equal".

        Raises:
            DataError: the frame cannot be used; nothing has been trained.
            TypeError: an argument is of another type.
            ValueError: an argument is out of range.
        """
        callbacks = keras.tree.flatten(callbacks or [])
        for each in callbacks:
            check_type("callbacks", each, keras.callbacks.Callback, "Keras callbacks, one or a list")
        freq = check_freq(self.freq)
        one(self.time_unit)
        if check_choice("weights", weights, ("equal", "validation")) == "validation" and not val_size:
            raise ValueError(
                f"weights='validation' needs `val_size`, such as the horizon. Received: val_size={val_size!r}"
            )
        panel = Panel.from_frame(df, Columns(id_col, time_col, target_col), freq, self.time_unit)
        if freq == "infer" and verbose:
            print(f"freq inferred: {panel.calendar.freq!r}")
        holdout = val_size and length("val_size", val_size, panel.calendar)
        seen = panel.before(holdout)  # what is held out has no say in scales and steps
        plans = [resolve(each, seen) for each in plan(self.get_params(), seen)]
        window = max(max(each["lookback"]) for each in plans)
        training, history = plans[0]["training"], {}
        with (strategy or tf.distribute.get_strategy()).scope():
            nets = [make_network(each, seen, window) for each in plans]
            windows = make_windows(panel, nets[0], training, holdout)  # the same for all
            for number, (net, each) in enumerate(zip(nets, plans, strict=True)):
                if verbose and len(nets) > 1:
                    print(
                        f"network {number + 1} of {len(nets)}: {net.members} members of {net.component_names}"
                    )
                heard = None if each["name"] == "smoothing" else callbacks
                log = train(net, windows, each["training"], bool(val_size), heard, verbose)
                prefix = each["name"] and each["name"] + "."
                history |= {prefix + key: values for key, values in log.items()}
        net = as_one(nets)
        if weights == "validation":
            weigh(net, windows.validation())
        self._set_fitted(net, panel, history, panel.spacing(), training.max_points)
        return self

    def save(self, path: str) -> None:
        """Write a folder: `forecaster.json`, the weights, and the part of the history that forecasts and plots need.

        Loaded, `smooth` sees no further back than that part.

        Args:
            path: folder, made if it is not there.
        """
        self._check_fitted()
        settings = {
            "params": {k: self.get_params()[k] for k in _PLAIN},
            "stacks": _each(self.stacks, keras.saving.serialize_keras_object),
            "head": self.head and keras.saving.serialize_keras_object(self.head),
            "training": self.training and asdict(self.training),
            "history_": self.history_,
            "spacing_": self.spacing_,
            "max_points_": self._predictor.max_points,
        }
        persistence.write(Path(path), settings, self._model, self._panel, self._history_span)

    @classmethod
    def load(cls, path: str) -> "Forecaster":
        """Return a forecaster from a folder of `save`; it forecasts as the one saved.

        Args:
            path: the folder.

        Raises:
            ValueError: the folder was written by a version of another form.
        """
        settings, net, panel = persistence.read(Path(path))
        thaw = keras.saving.deserialize_keras_object
        self = cls(
            **settings["params"],
            stacks=_each(settings["stacks"], thaw),
            head=settings["head"] and thaw(settings["head"]),
            training=settings["training"] and Training(**settings["training"]),
        )
        self._set_fitted(net, panel, *(settings[name] for name in ("history_", "spacing_", "max_points_")))
        return self


def _each(stacks, function):
    """Return what a function makes of each stack of a list, or of a list of lists; None of None."""
    if stacks is None:
        return None
    return [_each(s, function) if isinstance(s, (list, tuple)) else function(s) for s in stacks]
