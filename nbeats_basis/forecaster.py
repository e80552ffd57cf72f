"""Data frames in, data frames out: the one module that knows both tensors and frames."""

from collections.abc import Sequence
from dataclasses import asdict
from inspect import signature
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from nbeats_basis import export as saved_model
from nbeats_basis import persistence, plotting
from nbeats_basis.assembly import length, make_network, make_windows
from nbeats_basis.calendars import check_freq
from nbeats_basis.checks import DataError, NotFittedError, check_int, check_quantiles, quantile_columns
from nbeats_basis.durations import one
from nbeats_basis.heads import Head
from nbeats_basis.model import NBeats
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.prediction import Predictor
from nbeats_basis.queries import Queries
from nbeats_basis.stacks import Stack
from nbeats_basis.training import Training, make_optimizer

ALIAS = "NBeatsBasis"
# arguments that JSON holds as they are
_PLAIN = ("horizon", "lookback", "freq", "members", "scaling", "seed", "time_unit")


class Forecaster:
    """Forecasts of many series in a data frame, by an ensemble of networks trained on all of them.

    Times lie on a calendar, or with `freq=None` anywhere: then horizon and lookback are lengths of time, a forecast can be
    asked for at any time, and nothing is resampled.

    Args:
        horizon: steps to forecast, at least 1; at irregular times a length, a number or a duration such as "7D".
        lookback: steps or length of history, one, or a list that the members take in turn; None for 2 to 5 horizons.
            Defaults to None.
        freq: "infer", an offset alias such as "MS", a positive integer for integer times, or None for irregular times,
            stamps or numbers. Defaults to "infer".
        stacks: list of stacks, taken as a description; None for trend and seasonality, at irregular times for trend and
            splines. Defaults to None.
        head: what the network forecasts; None for `heads.StudentT("mape")` on a calendar where no value is negative and at most 1 % are 0,
            and `heads.StudentT()` elsewhere. Defaults to None.
        members: networks in the ensemble. Defaults to 4.
        training: a `Training`; None for its defaults. Defaults to None.
        scaling: "std", "level", "panel" or "none", see `NBeats`; None for "level" with a head of percentage losses and "std"
            with any other. Defaults to None.
        seed: equal seeds give equal forecasts on one machine. Defaults to 0.
        time_unit: unit of numbers that stand for irregular times of stamps, and of slopes: "W", "D", "h", "min", "s",
            "ms", "us" or "ns". Defaults to "D".

    Attributes:
        model: the `keras.Model`.
        history_: dict of the training log, one value an epoch.
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
        stacks: Sequence[Stack] | None = None,
        head: Head | None = None,
        members: int = 4,
        training: Training | None = None,
        scaling: str | None = None,
        seed: int = 0,
        time_unit: str = "D",
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
    ) -> "Forecaster":
        """Train on a long frame and return self.

        Args:
            df: one row for each series and time, in any order; NaN or an absent row means not observed.
            val_size: steps, or length of time, at the end of each series held out for validation, 0 for none. Defaults to 0.
            callbacks: Keras callbacks; they see `val_loss` if there is validation. Defaults to None.
            verbose: as Keras': "auto", 0, 1 or 2. Defaults to "auto".
            id_col: column of the series. Defaults to "unique_id".
            time_col: column of the times. Defaults to "ds".
            target_col: column of the values. Defaults to "y".

        Raises:
            DataError: the frame cannot be used; nothing has been trained.
            ValueError: an argument is out of range.
        """
        check_freq(self.freq)
        one(self.time_unit)
        training = self.training or Training()
        panel = Panel.from_frame(df, Columns(id_col, time_col, target_col), self.freq, self.time_unit)
        if self.freq == "infer" and verbose:
            print(f"freq inferred: {panel.calendar.freq!r}")
        net = make_network(self.get_params(), panel)
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
        self._set_fitted(net, panel, log.history, panel.spacing())
        return self

    def predict(
        self,
        df: pd.DataFrame | None = None,
        level: Sequence[float] | None = None,
        quantiles: Sequence[float] | None = None,
        at: pd.DataFrame | None = None,
        spacing: float | str | None = None,
    ) -> pd.DataFrame:
        """Return the forecasts of the horizon after each series' last observation, or those at the times of `at`.

        Args:
            df: new history, of series seen or never seen; None for that of `fit`. Defaults to None.
            level: percentages of central intervals in (0, 100), columns "-lo-80", "-hi-80". Defaults to None.
            quantiles: probabilities in (0, 1), columns "-q0.1"; instead of `level`. Defaults to None.
            at: frame of series and times to forecast, any after the history, in any order. Defaults to None.
            spacing: at irregular times, number or duration between the times forecast; None for the median time between
                observations. Defaults to None.

        Returns:
            A long frame sorted by series and time, or in the order of `at`: series, time, NBeatsBasis and the columns
            asked for.

        Raises:
            NotFittedError: before `fit`.
            DataError: a row of `at` is not after the history.
            ValueError: a level or quantile out of range, or of a point head.
        """
        levels = check_quantiles(level, quantiles)
        panel = self._panel_of(df)
        frame, queries = self._asked(panel, at, spacing)
        forecast = self._predictor.forecast(panel, queries, levels)
        frame[ALIAS] = forecast["mean"]
        for name, i in quantile_columns(level, quantiles):
            frame[f"{ALIAS}-{name}"] = forecast["quantiles"][:, i]
        return frame

    def decompose(
        self,
        df: pd.DataFrame | None = None,
        at: pd.DataFrame | None = None,
        spacing: float | str | None = None,
    ) -> pd.DataFrame:
        """Return the forecasts and their components in data units; "level" and the stacks add up to the forecast.

        Args:
            df: as for `predict`. Defaults to None.
            at: as for `predict`. Defaults to None.
            spacing: as for `predict`. Defaults to None.
        """
        panel = self._panel_of(df)
        frame, queries = self._asked(panel, at, spacing)
        return self._with_components(frame, self._predictor.forecast(panel, queries, []))

    def derivative(self, at: pd.DataFrame, order: int = 1, df: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the derivatives in time of the forecasts and their components, in y per step or per `time_unit`.

        Args:
            at: as for `predict`.
            order: order of the derivative, at least 1. Defaults to 1.
            df: as for `predict`. Defaults to None.
        """
        panel = self._panel_of(df)
        frame, queries = self._asked(panel, at, None)
        return self._with_components(
            frame, self._predictor.derivative(panel, queries, check_int("order", order))
        )

    def smooth(self, at: pd.DataFrame, df: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return what the stacks explain of the history at any times inside it, with components; for irregular times.

        A time is read from windows that go on after it for half the shortest lookback, where there are observations.

        Args:
            at: frame of series and times, in any order.
            df: as for `predict`. Defaults to None.

        Raises:
            DataError: a time is outside the history of its series.
            ValueError: the forecaster is fitted to a calendar.
        """
        panel = self._panel_of(df)
        if self.freq_ is not None:
            raise ValueError(
                f"`smooth` is for irregular times: fit with freq=None. Received: freq={self.freq_!r}"
            )
        queries = Queries.within(panel, at, min(self._model.lookbacks) / 2)
        return self._with_components(self._rows(at), self._predictor.smooth(panel, *queries))

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
            "stacks": self.stacks and [keras.saving.serialize_keras_object(s) for s in self.stacks],
            "head": self.head and keras.saving.serialize_keras_object(self.head),
            "training": self.training and asdict(self.training),
            "freq_": self.freq_,
            "history_": self.history_,
            "spacing_": self.spacing_,
        }
        history = self._panel.to_frame(last=self._history_span)
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
        panel = Panel.from_frame(history, columns, settings["freq_"], self.time_unit)
        self._set_fitted(net, panel, settings["history_"], settings["spacing_"])
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

    def _set_fitted(self, net: NBeats, panel: Panel, history: dict, spacing: float) -> None:
        self._model, self._panel, self._columns = net, panel, panel.columns
        self.history_ = {k: [float(v) for v in values] for k, values in history.items()}
        self.freq_, self.spacing_ = panel.calendar.freq, spacing
        self._predictor = Predictor(net, (self.training or Training()).max_points)

    def _asked(self, panel: Panel, at: pd.DataFrame | None, spacing) -> tuple[pd.DataFrame, Queries]:
        """Return the rows to answer and the queries that do."""
        if at is not None:
            if spacing is not None:
                raise ValueError(f"`at` names the times; leave out `spacing`. Received: spacing={spacing!r}")
            return self._rows(at), Queries.after(panel, at, self._model.horizon)
        if self.freq_ is not None and spacing is not None:
            raise ValueError(f"`spacing` is for irregular times; use `at`. Received: spacing={spacing!r}")
        step = self.spacing_ if spacing is None else length("spacing", spacing, panel.calendar)
        step = min(step, self._model.horizon)
        times = step * np.arange(1, int(self._model.horizon / step * (1 + 1e-9)) + 1)
        return panel.future(times), Queries.grid(panel, times)

    def _rows(self, at: pd.DataFrame) -> pd.DataFrame:
        """Return the series and times of `at`."""
        return at[[c for c in (self._columns.id, self._columns.time) if c in at.columns]].copy()

    def _with_components(self, frame: pd.DataFrame, answers: dict) -> pd.DataFrame:
        """Return the frame with the forecast and its components."""
        frame[ALIAS] = answers["mean"]
        for i, name in enumerate(["level", *self.model.component_names]):
            frame[name] = answers["components"][:, i]
        return frame

    def _panel_of(self, df: pd.DataFrame | None) -> Panel:
        self._check_fitted()
        if df is None:
            return self._panel
        panel = Panel.from_frame(df, self._columns, self.freq_, self.time_unit)
        if self.freq_ is None and panel.calendar.time_unit != self._panel.calendar.time_unit:
            kinds = ["numbers" if p.calendar.time_unit is None else "stamps" for p in (self._panel, panel)]
            raise DataError(
                f"`{self._columns.time}` holds {kinds[1]}, but the forecaster was fitted to {kinds[0]}. Convert the column."
            )
        return panel

    def _some(self, df: pd.DataFrame | None, ids: Sequence | None) -> pd.DataFrame:
        """Return the last part of the history of a few series."""
        panel = self._panel_of(df)
        chosen = list(panel.ids[:4]) if ids is None else list(ids)
        unknown = [i for i in chosen if i not in set(panel.ids)]
        if unknown:
            raise ValueError(f"`ids` must be series of the frame. Received: {unknown!r}")
        history = panel.to_frame(last=self._history_span)
        return history[history[self._columns.id].isin(chosen)].reset_index(drop=True)

    @property
    def _history_span(self) -> float:
        """Steps or units of time of history that are kept and drawn."""
        return max(self._model.window, 6 * self._model.horizon)

    def _check_fitted(self) -> None:
        if not hasattr(self, "_model"):
            raise NotFittedError("This Forecaster is not fitted yet. Call `fit` first.")
