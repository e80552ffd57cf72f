"""Forecasts without training: each series of a data frame as a constant or line and few decaying oscillations, extrapolated."""

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from nbeats_basis import persistence
from nbeats_basis.calendars import check_freq, length
from nbeats_basis.checks import DataError, NotFittedError, check_int, check_quantiles, plain, quantile_columns
from nbeats_basis.durations import one
from nbeats_basis.frames import beside
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.queries import Queries
from nbeats_basis.sparse.continuous import ContinuousOMP

ALIAS = "Pursuit"
_PARAMS = ("horizon", "num_atoms", "freq", "time_unit", "trend")


class PursuitForecaster:
    """Forecasts of each series of a data frame by its own `ContinuousOMP`: no training, nothing learned from other series.

    On a calendar time is counted in steps, at irregular times in `time_unit`. A series never has more parameters than half
    its observations: a short one has fewer oscillations, at the least none, and is forecast by its mean or line.

    Args:
        horizon: steps to forecast, at least 1; at irregular times a length, a number or a duration such as "7D".
        num_atoms: most oscillations of a series, 0 for means. Defaults to 8.
        freq: "infer", an offset alias such as "MS", a positive integer for integer times, or None for irregular times,
            stamps or numbers. Defaults to "infer".
        time_unit: unit of numbers that stand for irregular times of stamps. Defaults to "D".
        trend: True for a straight line instead of a constant under the oscillations of each series of 4 observations or more;
            without one slow oscillations stand for it. Defaults to False.

    Attributes:
        pursuits_: dict from each series to its `ContinuousOMP`, times counted from the series' first observation.

    Example:
        >>> import nbeats_basis as nb
        >>> forecaster = nb.PursuitForecaster(horizon=12, num_atoms=2).fit(nb.datasets.load("air_passengers"))
        >>> list(forecaster.predict(level=[80]).columns)
        ['unique_id', 'ds', 'Pursuit', 'Pursuit-lo-80', 'Pursuit-hi-80']
    """

    def __init__(
        self,
        horizon: int | float | str,
        num_atoms: int = 8,
        freq: str | int | None = "infer",
        time_unit: str = "D",
        trend: bool = False,
    ):
        self.horizon = horizon
        self.num_atoms = check_int("num_atoms", num_atoms, 0)
        self.freq = check_freq(freq)
        one(time_unit)
        self.time_unit = time_unit
        self.trend = bool(trend)

    def fit(
        self,
        df: pd.DataFrame,
        verbose: int = 0,
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: str = "y",
    ) -> "PursuitForecaster":
        """Find the oscillations of each series; return self.

        Args:
            df: one row for each series and time, in any order; NaN or an absent row means not observed.
            verbose: 1 for a progress bar over series. Defaults to 0.
            id_col: column of the series. Defaults to "unique_id".
            time_col: column of the times. Defaults to "ds".
            target_col: column of the values. Defaults to "y".

        Raises:
            DataError: the frame cannot be used; the message names series, column and first bad row.
            ValueError: the horizon is out of range.
        """
        panel = Panel.from_frame(df, Columns(id_col, time_col, target_col), self.freq, self.time_unit)
        length("horizon", self.horizon, panel.calendar)
        self._panel, self._spacing, self.pursuits_ = panel, panel.spacing(), self._pursuits(panel, verbose)
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

        Intervals are those of `ContinuousOMP.deviation`, of a normal distribution: noise and errors of all parameters, given
        that the number of oscillations is right. They are NaN for a series of a single observation.

        Args:
            df: new history, fitted here as `fit` does; None for that of `fit`. Defaults to None.
            level: percentages of central intervals in (0, 100), columns "-lo-80", "-hi-80". Defaults to None.
            quantiles: probabilities in (0, 1), columns "-q0.1"; instead of `level`. Defaults to None.
            at: frame of series and times to forecast, from the last observation of the series on, in any order. Defaults to None.
            spacing: at irregular times, number or duration between the times forecast; None for the median time between
                observations fitted. Defaults to None.

        Returns:
            A long frame sorted by series and time, or in the order of `at`: series, time, Pursuit and the columns asked for.

        Raises:
            NotFittedError: before `fit`.
            DataError: a row of `at` is before the last observation of its series, or of no series of the history, or a column of the
                series or times is named as one of the answer.
            ValueError: a level or quantile out of range.
        """
        self._check_fitted()
        levels, panel, pursuits = check_quantiles(level, quantiles), self._panel, self.pursuits_
        if df is not None:
            panel = panel.of_kind(df)
            pursuits = self._pursuits(panel, 0)
        frame, queries = self._asked(panel, at, spacing)
        answers = np.zeros((len(queries.windows), queries.times.shape[-1], 2))
        series, times = panel.series[queries.windows], panel.steps[queries.windows][:, None] + queries.times
        for answer, s, since in zip(answers, series, times, strict=True):
            pursuit = pursuits[panel.ids[s]]
            answer[:, 0] = pursuit.predict(since)
            answer[:, 1] = pursuit.deviation(since) if panel.offsets[s + 1] - panel.offsets[s] > 1 else np.nan
        mean, deviation = queries.collect([{"answers": answers}])["answers"].T
        found = {ALIAS: mean}
        for name, i in quantile_columns(level, quantiles):
            found[f"{ALIAS}-{name}"] = mean + deviation * NormalDist().inv_cdf(levels[i])
        return beside(frame, found)

    def save(self, path: str) -> None:
        """Write a folder: `forecaster.json` with every frequency and decay, and the history.

        Args:
            path: folder, made if it is not there.

        Raises:
            NotFittedError: before `fit`.
            TypeError: series named by anything but strings and integers.
        """
        self._check_fitted()
        panel = self._panel
        settings = {
            "params": {name: getattr(self, name) for name in _PARAMS},
            "spacing_": self._spacing,
            "poles": [
                [p.frequencies_.tolist(), p.decays_.tolist()] for p in map(self.pursuits_.get, panel.ids)
            ],
        }
        persistence.write_history(Path(path), settings, panel)

    @classmethod
    def load(cls, path: str) -> "PursuitForecaster":
        """Return a forecaster from a folder of `save`; it forecasts as the one saved.

        Args:
            path: the folder.

        Raises:
            ValueError: the folder was written by a version of another form.
        """
        settings, panel = persistence.read_history(Path(path))
        self = cls(**settings["params"])
        self._panel = panel
        self._spacing = settings["spacing_"]
        self.pursuits_ = {
            name: ContinuousOMP(self.num_atoms, trend=self.trend).solve(times, values, *poles)
            for name, times, values, poles in zip(panel.ids, *_split(panel), settings["poles"], strict=True)
        }
        return self

    def _check_fitted(self) -> None:
        if not hasattr(self, "pursuits_"):
            raise NotFittedError("This PursuitForecaster is not fitted yet. Call `fit` first.")

    def _pursuits(self, panel: Panel, verbose: int) -> dict:
        """Return the pursuit of each series."""
        most = np.maximum(0, (np.diff(panel.offsets) - 2 * (1 + self.trend)) // 8)
        pursuit = ContinuousOMP(self.num_atoms, trend=self.trend)
        found = pursuit.fit_many(*_split(panel), num_atoms=np.minimum(self.num_atoms, most), verbose=verbose)
        return dict(zip(panel.ids, found, strict=True))

    def _asked(self, panel: Panel, at: pd.DataFrame | None, spacing) -> tuple[pd.DataFrame, Queries]:
        """Return the rows to answer and the queries that do; a series without history has no pursuit."""
        name = panel.columns.id
        if isinstance(at, pd.DataFrame) and name in at.columns and not at[name].isin(panel.ids).all():
            row = int((~at[name].isin(panel.ids)).to_numpy().argmax())
            raise DataError(
                f"`at`: series {plain(at[name].iloc[row])!r} (row {row}) is no series of the history. Pass its history as `df`."
            )
        horizon = length("horizon", self.horizon, panel.calendar)
        return Queries.asked(panel, horizon, at, spacing, self._spacing)


def _split(panel: Panel) -> tuple[list, list]:
    """Return times and values of each series."""
    all_values = panel.values  # noqa: PD011 (not a frame)
    return tuple(np.split(x, panel.offsets[1:-1]) for x in (panel.steps, all_values))
