"""Data frames in, data frames out: the one module that knows both tensors and frames."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from inspect import signature
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from nbeats_basis import export as saved_model
from nbeats_basis import persistence, plotting
from nbeats_basis.calendars import check_freq, season_length
from nbeats_basis.checks import DataWarning, NotFittedError, check_int, check_quantiles
from nbeats_basis.heads import Head, StudentT
from nbeats_basis.model import NBeats
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.stacks import Seasonality, Stack, Trend
from nbeats_basis.training import Training, make_optimizer
from nbeats_basis.windows import Windows

ALIAS = "NBeatsBasis"
_PLAIN = (
    "horizon",
    "lookback",
    "freq",
    "members",
    "scaling",
    "seed",
)  # arguments that JSON holds as they are
_PREDICT_WINDOWS = 2048  # windows times members in one batch of a prediction


class Forecaster:
    """Forecasts of many series in a data frame, by an ensemble of networks trained on all of them.

    Args:
        horizon: steps to forecast, at least 1.
        lookback: steps of history, one integer, or a list that the members take in turn; None for 2 to 5 horizons.
            Defaults to None.
        freq: "infer", an offset alias such as "MS", or a positive integer for integer times. Defaults to "infer".
        stacks: list of stacks, taken as a description; None for trend and seasonality. Defaults to None.
        head: what the network forecasts; None for `heads.StudentT()`. Defaults to None.
        members: networks in the ensemble. Defaults to 4.
        training: a `Training`; None for its defaults. Defaults to None.
        scaling: "std", "level" or "none", see `NBeats`; None for "level" with a head of percentage losses and "std"
            with any other. Defaults to None.
        seed: equal seeds give equal forecasts on one machine. Defaults to 0.

    Attributes:
        model: the `keras.Model`.
        history_: dict of the training log, one value an epoch.
        freq_: the calendar's frequency.

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
        horizon: int,
        lookback: int | Sequence[int] | None = None,
        freq: str | int = "infer",
        stacks: Sequence[Stack] | None = None,
        head: Head | None = None,
        members: int = 4,
        training: Training | None = None,
        scaling: str | None = None,
        seed: int = 0,
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
        val_size: int = 0,
        callbacks: list | None = None,
        verbose="auto",
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: str = "y",
    ) -> "Forecaster":
        """Train on a long frame and return self.

        Args:
            df: one row for each series and time, in any order; NaN or an absent row means not observed.
            val_size: steps at the end of each series held out for validation, 0 for none. Defaults to 0.
            callbacks: Keras callbacks; they see `val_loss` if there is validation. Defaults to None.
            verbose: as Keras': "auto", 0, 1 or 2. Defaults to "auto".
            id_col: column of the series. Defaults to "unique_id".
            time_col: column of the times. Defaults to "ds".
            target_col: column of the values. Defaults to "y".

        Raises:
            DataError: the frame cannot be used; nothing has been trained.
            ValueError: an argument is out of range.
        """
        horizon = check_int("horizon", self.horizon)
        check_freq(self.freq)
        check_int("val_size", val_size, 0)
        training = self.training or Training()
        panel = Panel.from_frame(df, Columns(id_col, time_col, target_col), self.freq)
        if self.freq == "infer" and verbose:
            print(f"freq inferred: {panel.calendar.freq!r}")
        net = self._network(panel.calendar.freq)
        windows = Windows(panel, net.window, horizon, training.batch_size, val_size, training.recent)
        if len(windows.unused):
            warnings.warn(
                f"{len(windows.unused)} of {panel.num_series} series are too short to learn from, the first is "
                f"{panel.ids[windows.unused[0]]!r}; they are forecast all the same.",
                DataWarning,
                stacklevel=2,
            )
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
        self._set_fitted(net, panel, log.history)
        return self

    def predict(
        self,
        df: pd.DataFrame | None = None,
        level: Sequence[float] | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> pd.DataFrame:
        """Return the forecasts of the `horizon` steps after each series' last observation.

        Args:
            df: new history, of series seen or never seen; None for that of `fit`. Defaults to None.
            level: percentages of central intervals in (0, 100), columns "-lo-80", "-hi-80". Defaults to None.
            quantiles: probabilities in (0, 1), columns "-q0.1"; instead of `level`. Defaults to None.

        Returns:
            A long frame sorted by series and time: series, time, NBeatsBasis and the columns asked for.

        Raises:
            NotFittedError: before `fit`.
            ValueError: a level or quantile out of range, or of a point head.
        """
        levels = check_quantiles(level, quantiles)
        panel = self._panel_of(df)
        forecast = self._forecast(panel, levels)
        frame = panel.future(self._horizon)
        frame[ALIAS] = forecast["mean"].ravel()
        for name, i in sorted(_quantile_columns(level, quantiles), key=lambda pair: levels[pair[1]]):
            frame[f"{ALIAS}-{name}"] = forecast["quantiles"][..., i].ravel()
        return frame

    def decompose(self, df: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the forecasts and their components in data units; "level" and the stacks add up to the forecast.

        Args:
            df: as for `predict`. Defaults to None.
        """
        panel = self._panel_of(df)
        forecast = self._forecast(panel, [])
        frame = panel.future(self._horizon)
        frame[ALIAS] = forecast["mean"].ravel()
        for i, name in enumerate(["level", *self.model.component_names]):
            frame[name] = forecast["components"][..., i].ravel()
        return frame

    def plot(
        self, df: pd.DataFrame | None = None, ids: Sequence | None = None, level: Sequence[float] = (80, 95)
    ):
        """Draw history, forecasts and intervals; return the matplotlib figure.

        Args:
            df: as for `predict`. Defaults to None.
            ids: series to draw; None for the first four. Defaults to None.
            level: percentages of the intervals; none are drawn of a point head. Defaults to (80, 95).
        """
        history = self._some(df, ids)
        level = list(level) if self.model.head.is_distribution else []
        forecast = self.predict(history, level=level)
        return plotting.plot_forecast(history, forecast, self._columns, ALIAS, level)

    def plot_components(self, df: pd.DataFrame | None = None, ids: Sequence | None = None):
        """Draw the forecasts' components; return the matplotlib figure.

        Args:
            df: as for `predict`. Defaults to None.
            ids: series to draw; None for the first four. Defaults to None.
        """
        return plotting.plot_components(self.decompose(self._some(df, ids)), self._columns, ALIAS)

    @property
    def model(self) -> NBeats:
        """The network, a `keras.Model`."""
        self._check_fitted()
        return self._model

    def save(self, path: str) -> None:
        """Write a folder: `forecaster.json`, the weights, and the part of the history that forecasts and plots need.

        Args:
            path: folder, made if it is not there.
        """
        self._check_fitted()
        settings = {
            "params": {k: self.get_params()[k] for k in _PLAIN},
            "stacks": self.stacks and [keras.saving.serialize_keras_object(_clone(s)) for s in self.stacks],
            "head": self.head and keras.saving.serialize_keras_object(self.head),
            "training": self.training and asdict(self.training),
            "freq_": self.freq_,
            "history_": self.history_,
        }
        history = self._panel.to_frame(last=self._history_steps)
        persistence.write(Path(path), settings, self._model, history, self._columns)

    @classmethod
    def load(cls, path: str) -> "Forecaster":
        """Return a forecaster from a folder of `save`; it forecasts as the one saved.

        Args:
            path: the folder.

        Raises:
            ValueError: the folder was written by a later version.
        """
        settings, net, history, columns = persistence.read(Path(path))
        thaw = keras.saving.deserialize_keras_object
        self = cls(
            **settings["params"],
            stacks=settings["stacks"] and [thaw(s) for s in settings["stacks"]],
            head=settings["head"] and thaw(settings["head"]),
            training=settings["training"] and Training(**settings["training"]),
        )
        self._set_fitted(net, Panel.from_frame(history, columns, settings["freq_"]), settings["history_"])
        return self

    def export(self, path: str, level: Sequence[float] | None = None) -> None:
        """Write a TensorFlow SavedModel that takes raw values and needs TensorFlow alone; see `export.export`.

        Args:
            path: folder.
            level: percentages of central intervals; their quantiles are outputs in increasing order. Defaults to None,
                (80, 95), or none for a point head.
        """
        if level is None:
            level = (80, 95) if self.model.head.is_distribution else ()
        saved_model.export(self.model, str(path), sorted(check_quantiles(level)))

    def _network(self, freq) -> NBeats:
        """Return the network that the arguments describe."""
        horizon = self.horizon
        lookback = self.lookback
        season = season_length(freq)
        if lookback is None:
            lookback = [max(multiple * horizon, 2 * season) for multiple in (2, 3, 4, 5)]
        if not isinstance(lookback, Sequence):
            lookback = check_int("lookback", lookback)
        stacks = self.stacks
        if stacks is None:
            stacks = [Trend(units=128), Seasonality([season] if season > 1 else None, units=128)]
        head = self.head or StudentT()
        return NBeats(
            [_clone(stack) for stack in stacks],
            horizon,
            lookback,
            head=head,
            members=self.members,
            scaling=self.scaling or ("level" if head.is_relative else "std"),
            seed=self.seed,
        )

    def _set_fitted(self, net: NBeats, panel: Panel, history: dict) -> None:
        self._model, self._panel, self._columns, self._horizon = net, panel, panel.columns, net.horizon
        self.history_ = {k: [float(v) for v in values] for k, values in history.items()}
        self.freq_ = panel.calendar.freq
        window = tf.TensorSpec((None, net.window), tf.float64)
        self._point = tf.function(net.forecast, input_signature=[window])
        if net.head.is_distribution:
            self._full = tf.function(
                net.forecast, input_signature=[window, tf.TensorSpec((None,), tf.float64)]
            )

    def _forecast(self, panel: Panel, levels: list[float]) -> dict:
        """Return the network's forecasts of every series, NumPy arrays, in bounded batches."""
        if levels and not self._model.head.is_distribution:
            raise ValueError(
                "`level` and `quantiles` need a head that gives a distribution, such as `heads.StudentT()`. "
                f"Received: head={self._model.head!r}"
            )
        tails = panel.tails(self._model.window)
        size = max(1, _PREDICT_WINDOWS // self._model.members)
        parts = []
        for start in range(0, len(tails), size):
            batch = tails[start : start + size]
            out = self._full(batch, np.asarray(levels)) if levels else self._point(batch)
            parts.append({key: value.numpy() for key, value in out.items()})
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def _panel_of(self, df: pd.DataFrame | None) -> Panel:
        self._check_fitted()
        return self._panel if df is None else Panel.from_frame(df, self._columns, self.freq_)

    def _some(self, df: pd.DataFrame | None, ids: Sequence | None) -> pd.DataFrame:
        """Return the last part of the history of a few series."""
        panel = self._panel_of(df)
        chosen = list(panel.ids[:4]) if ids is None else list(ids)
        unknown = [i for i in chosen if i not in set(panel.ids)]
        if unknown:
            raise ValueError(f"`ids` must be series of the frame. Received: {unknown!r}")
        history = panel.to_frame(last=self._history_steps)
        return history[history[self._columns.id].isin(chosen)].reset_index(drop=True)

    @property
    def _history_steps(self) -> int:
        """Steps of history that are kept and drawn."""
        return max(self._model.window, 6 * self._horizon)

    def _check_fitted(self) -> None:
        if not hasattr(self, "_model"):
            raise NotFittedError("This Forecaster is not fitted yet. Call `fit` first.")


def _quantile_columns(level, quantiles) -> list[tuple[str, int]]:
    """Return pairs of column suffix and position among the quantile levels."""
    if level is not None:
        names = [f"{side}-{width:g}" for width in level for side in ("lo", "hi")]
    else:
        names = [f"q{q:g}" for q in quantiles or ()]
    return [(name, i) for i, name in enumerate(names)]


def _clone(stack: Stack) -> Stack:
    """Return an unbuilt stack of the same arguments."""
    return type(stack).from_config(stack.get_config())
