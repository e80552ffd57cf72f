"""What a network fitted to a panel answers, data frames in and out: forecasts, their parts, and pictures of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nbeats_basis import export as saved_model
from nbeats_basis import plotting
from nbeats_basis.atoms import to_frame
from nbeats_basis.checks import NotFittedError, check_int, check_quantiles, quantile_columns
from nbeats_basis.frames import beside
from nbeats_basis.network import Network
from nbeats_basis.panel import Panel
from nbeats_basis.prediction import Predictor
from nbeats_basis.queries import Queries

ALIAS = "NBeatsBasis"


class Fitted:
    """All that a `Forecaster` does once it is fitted.

    Attributes:
        model: the `keras.Model`.
        history_: dict of the training log, one value an epoch.
        weights_: `(M,)`, how much each member counts in forecasts; they add up to 1.
        freq_: the calendar's frequency, None for irregular times.
        spacing_: median time between observations, 1 step on a calendar.
    """

    time_unit: str

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
            at: frame of series and times to forecast, from the last observation of the series on, in any order. Defaults to None.
            spacing: at irregular times, number or duration between the times forecast; None for the median time between
                observations. Defaults to None.

        Returns:
            A long frame sorted by series and time, or in the order of `at`: series, time, NBeatsBasis and the columns
            asked for.

        Raises:
            NotFittedError: before `fit`.
            DataError: a row of `at` is before the last observation of its series, or a column of the series or times is named as one of
                the answer.
            ValueError: a level or quantile out of range, or of a point head.
        """
        levels = check_quantiles(level, quantiles)
        panel = self._panel_of(df)
        frame, queries = self._asked(panel, at, spacing)
        forecast = self._predictor.forecast(panel, queries, levels)
        found = {ALIAS: forecast["mean"]}
        for name, i in quantile_columns(level, quantiles):
            found[f"{ALIAS}-{name}"] = forecast["quantiles"][:, i]
        return beside(frame, found)

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
        return self._with_components(frame, self._predictor.components(panel, queries))

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
        return self._with_components(
            at[[self._columns.id, self._columns.time]].copy(), self._predictor.smooth(panel, *queries)
        )

    def atoms(self, df: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the functions that each stack sees in the window that ends each series, those of amplitude 0 left out.

        An oscillation is A e^{-d t} cos(2 pi f t + phi), t counted from the series' last observation, before which their basis must start: columns `frequency` and
        `decay` per step or `time_unit`, `amplitude` in units of y, `phase` in radians. Of other functions `amplitude` is the
        coefficient and the rest NaN. `member`, `block` and `atom` number the network, its stack's block and the function.

        Args:
            df: as for `predict`. Defaults to None.
        """
        panel = self._panel_of(df)
        queries = Queries.grid(panel, np.ones(1))
        found = self._predictor.atoms(panel, queries)
        return to_frame(found, panel.ids, self._columns.id)

    def plot(
        self, df: pd.DataFrame | None = None, ids: Sequence | None = None, level: Sequence[float] = (80, 95)
    ):
        """Draw history, forecasts and intervals; return the matplotlib figure.

        Args:
            df: as for `predict`. Defaults to None.
            ids: series to draw; None for the first four. Defaults to None.
            level: percentages of the intervals; none are drawn of a point head. Defaults to (80, 95).
        """
        check_quantiles(level)
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

    def plot_atoms(self, df: pd.DataFrame | None = None, ids: Sequence | None = None):
        """Draw the oscillations of `atoms` over time and frequency; return the matplotlib figure.

        Args:
            df: as for `predict`. Defaults to None.
            ids: series to draw; None for the first four. Defaults to None.
        """
        found = self.atoms(self._some(df, ids))
        unit = "step" if self.freq_ is not None else self._panel.calendar.time_unit or "unit"
        span = (-float(max(self._model.lookbacks)), float(self._model.horizon))
        return plotting.plot_atoms(found, self._columns, span, unit)

    @property
    def model(self) -> Network:
        """The network, a `keras.Model`."""
        self._check_fitted()
        return self._model

    @property
    def weights_(self) -> np.ndarray:
        """How much each member counts in forecasts, `(M,)`, in the order of the networks; they add up to 1."""
        shares = np.concatenate([net.shares.numpy() for net in self.model.networks()])
        return shares / shares.sum()

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

    def __getattr__(self, name: str):
        """Say of what `fit` sets that there was none."""
        if name in ("history_", "freq_", "spacing_"):
            self._check_fitted()
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _set_fitted(self, net: Network, panel: Panel, history: dict, spacing: float, max_points: int) -> None:
        """Keep what answers need."""
        self._model, self._panel, self._columns = net, panel, panel.columns
        self.history_ = {k: [float(v) for v in values] for k, values in history.items()}
        self.freq_, self.spacing_ = panel.calendar.freq, spacing
        self._predictor = Predictor(net, max_points)

    def _asked(self, panel: Panel, at: pd.DataFrame | None, spacing) -> tuple[pd.DataFrame, Queries]:
        """Return the rows to answer and the queries that do."""
        return Queries.asked(panel, self._model.horizon, at, spacing, self.spacing_)

    def _with_components(self, frame: pd.DataFrame, answers: dict) -> pd.DataFrame:
        """Return the frame with the forecast and its components."""
        names = ["level", *self.model.component_names]
        parts = {name: answers["components"][:, i] for i, name in enumerate(names)}
        return beside(frame, {ALIAS: answers["mean"]} | parts)

    def _panel_of(self, df: pd.DataFrame | None) -> Panel:
        self._check_fitted()
        if df is None:
            return self._panel
        return self._panel.of_kind(df)

    def _some(self, df: pd.DataFrame | None, ids: Sequence | None) -> pd.DataFrame:
        """Return the last part of the history of a few series."""
        panel = self._panel_of(df)
        if isinstance(ids, str):
            raise TypeError(f"`ids` must be a list of series. Received: ids={ids!r}")
        chosen, known = list(panel.ids[:4] if ids is None else ids), set(panel.ids)
        unknown = [i for i in chosen if i not in known]
        if unknown or not chosen:
            raise ValueError(f"`ids` must be series of the frame. Received: {unknown or ids!r}")
        history = panel.to_frame(last=self._history_span)
        return history[history[self._columns.id].isin(chosen)].reset_index(drop=True)

    @property
    def _history_span(self) -> float:
        """Steps or units of time of history that are kept and drawn."""
        return max(self._model.window, 6 * self._model.horizon)

    def _check_fitted(self) -> None:
        if not hasattr(self, "_model"):
            raise NotFittedError("This Forecaster is not fitted yet. Call `fit` first.")
