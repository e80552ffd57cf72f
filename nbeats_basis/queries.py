"""Which times to ask of which windows: a frame of stamps as batches of equal length, and back."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nbeats_basis.calendars import length
from nbeats_basis.checks import DataError, DataWarning, plain
from nbeats_basis.frames import beyond_nanoseconds, times_of
from nbeats_basis.panel import Panel

_LENGTH = 256  # most times asked of a window at once
_MOST = 1_000_000  # times of a grid


@dataclass(frozen=True)
class Queries:
    """Times asked of windows, padded: window r is asked at `times[r]`, for the rows `rows[r]` of a frame.

    Attributes:
        windows: `(R,)` int64, the observation of the panel that each request's window ends at, -1 for an empty window.
        times: `(R, H)` float64, time after the window's end, 0 where padded; or `(H,)`, the same of every window.
        rows: `(R, H)` int64, rows of the frame, -1 where padded; None where the requests are the rows in order.
        starts: `(R,)` float64, absolute time of t = 0 of the empty windows, 0 of others; None where there are none.
    """

    windows: np.ndarray
    times: np.ndarray
    rows: np.ndarray | None = None
    starts: np.ndarray | None = None

    @classmethod
    def asked(cls, panel: Panel, horizon: float, at: pd.DataFrame | None, spacing, usual: float) -> tuple:
        """Return the rows of a forecast, series and times, and the queries that answer them.

        Args:
            panel: the series.
            horizon: length of the forecasts.
            at: frame of series and times; None for a grid after every series' last observation.
            spacing: of the grid, at irregular times only; None for the usual.
            usual: distance of the grid's times.

        Raises:
            DataError: a row of `at` cannot be answered.
            ValueError: both `at` and `spacing`, or `spacing` on a calendar.
        """
        if at is not None:
            if spacing is not None:
                raise ValueError(f"`at` names the times; leave out `spacing`. Received: spacing={spacing!r}")
            queries = cls.after(panel, at, horizon)
            return at[[panel.columns.id, panel.columns.time]].copy(), queries
        if panel.calendar.freq is not None and spacing is not None:
            raise ValueError(f"`spacing` is for irregular times; use `at`. Received: spacing={spacing!r}")
        step = min(usual if spacing is None else length("spacing", spacing, panel.calendar), horizon)
        if horizon / step > _MOST:
            raise ValueError(
                f"`spacing` would give {horizon / step:.3g} times a series. Received: spacing={spacing!r}, the time between "
                f"observations being {usual:g} where it is None, horizon={horizon:g}; pass a longer `spacing`."
            )
        times = step * np.arange(1, int(horizon / step * (1 + 1e-9)) + 1)
        return panel.future(times), cls.grid(panel, times)

    @classmethod
    def grid(cls, panel: Panel, times: np.ndarray) -> "Queries":
        """Return the queries of the same times after every series' last observation, rows in order.

        Args:
            panel: the series.
            times: `(H,)`, steps or units of time.
        """
        return cls(panel.offsets[1:] - 1, times)

    @classmethod
    def after(cls, panel: Panel, at: pd.DataFrame, horizon: float) -> "Queries":
        """Return the queries of stamps after the last observation of their series.

        Args:
            panel: the series.
            at: frame of series and times. At irregular times a series that the panel does not know gets an empty window
                that ends at its first stamp, with a warning.
            horizon: length of the forecasts; later stamps get a warning.

        Raises:
            DataError: a stamp is before the last observation, or, on a calendar, its series unknown.
        """
        series, codes = _locate(panel, at)
        known, on_calendar = series >= 0, panel.calendar.freq is not None
        if on_calendar:
            _refuse(~known, at, panel, "is no series of the history", "Pass its history as `df`.")
        first = pd.Series(codes).groupby(at[panel.columns.id].to_numpy()).transform("min").to_numpy()
        times = (codes - np.where(known, panel.last_codes[series], first)) / panel.calendar.unit
        _refuse(
            times < 0,
            at,
            panel,
            "is before the last observation of its series",
            "Ask `smooth` for times inside the history.",
        )
        if not known.all():
            warnings.warn(
                f"{len(at[~known][panel.columns.id].unique())} series have no observations, the first is "
                f"{plain(at[panel.columns.id].iloc[int(known.argmin())])!r}; their forecasts are those of a series "
                "about which nothing is known, from the first time asked.",
                DataWarning,
                stacklevel=5,
            )
        if (times > horizon * (1 + 1e-9)).any():
            unit = "steps" if on_calendar else "units of time"
            warnings.warn(
                f"{int((times > horizon).sum())} times lie beyond the span that training covered, {horizon:g} {unit} after "
                f"the last observation (the furthest {times.max():g}); forecasts there are extrapolated. Fit a longer horizon.",
                DataWarning,
                stacklevel=5,
            )
        windows = np.where(known, panel.offsets[series + 1] - 1, -1 - _numbers(at[panel.columns.id]))
        queries = cls._gather(windows, times)
        starts = np.where(queries.windows < 0, first[queries.rows[:, 0]] / panel.calendar.unit, 0)
        return cls(np.maximum(queries.windows, -1), queries.times, queries.rows, starts)

    @classmethod
    def within(cls, panel: Panel, at: pd.DataFrame, reach: float) -> tuple["Queries", "Queries", np.ndarray]:
        """Return the queries of stamps inside the history, each of two windows that see both sides of it where they can.

        The windows end at the observations before and after the stamp + `reach`; the share of the second rises from 0 to
        1 between them, within `reach` at most, so that answers are continuous in time.

        Args:
            panel: the series.
            at: frame of series and times.
            reach: how long after the stamp its windows end, if there are observations.

        Returns:
            the queries of the first windows, those of the second, and the second's share, `(N,)`.

        Raises:
            DataError: a stamp is outside the history of its series, or its series unknown.
        """
        series, codes = _locate(panel, at)
        _refuse(series < 0, at, panel, "is no series of the history", "Pass its history as `df`.")
        times = (codes - panel.starts[series]) / panel.calendar.unit
        outside = (times < 0) | (times > panel.last_steps[series])
        _refuse(outside, at, panel, "is outside the history of its series", "Ask `predict` for later times.")
        spread = 2 * (1 + panel.last_steps.max())  # one increasing axis, the series far apart
        axis, place = panel.steps + panel.series * spread, times + series * spread
        target = np.minimum(place + reach, panel.last_steps[series] + series * spread)
        first = np.searchsorted(axis, target, side="right") - 1
        first = np.maximum(first, np.searchsorted(axis, place))
        second = np.minimum(first + 1, panel.offsets[series + 1] - 1)
        # over before the first window no longer holds the stamp
        ramp = np.minimum(axis[second] - axis[first], reach)
        share = np.clip((target - axis[first]) / np.maximum(ramp, 1e-300), 0, 1)
        return *(cls._gather(w, times - panel.steps[w]) for w in (first, second)), share

    @classmethod
    def _gather(cls, windows: np.ndarray, times: np.ndarray) -> "Queries":
        """Return the queries of each row's own window and time; a window asked often makes several requests."""
        order = np.argsort(windows, kind="stable")
        asked, first, counts = np.unique(windows[order], return_index=True, return_counts=True)
        place = np.arange(len(order)) - np.repeat(first, counts)
        length = int(min(_LENGTH, counts.max(initial=1)))
        requests = -(-counts // length)
        request = np.repeat(np.cumsum(requests) - requests, counts) + place // length
        rows = np.full((requests.sum(), length), -1)
        rows[request, place % length] = order
        return cls(np.repeat(asked, requests), np.where(rows >= 0, times[rows], 0.0), rows)

    def batches(self, size: int):
        """Yield windows `(B,)`, times `(B, H)` or `(H,)`, and starts `(B,)` or None.

        Args:
            size: most windows in a batch.
        """
        for start in range(0, len(self.windows), size):
            part = slice(start, start + size)
            times = self.times if self.times.ndim == 1 else self.times[part]
            yield self.windows[part], times, None if self.starts is None else self.starts[part]

    def collect(self, batches: Iterable[dict]) -> dict:
        """Return the answers in the order of the frame's rows, `(N, ...)` float64 by name.

        Args:
            batches: `(B, H, ...)` by name, of the requests in order.
        """
        collected, start, num_times = {}, 0, self.times.shape[-1]
        rows = len(self.windows) * num_times if self.rows is None else (self.rows >= 0).sum()
        for batch in batches:
            for name, answers in batch.items():
                if name not in collected:
                    collected[name] = np.empty((rows, *answers.shape[2:]))
                stop = start + len(answers)
                if self.rows is None:
                    into, answers = slice(start * num_times, stop * num_times), np.concatenate(answers)
                else:
                    asked = self.rows[start:stop] >= 0
                    into, answers = self.rows[start:stop][asked], answers[asked]
                collected[name][into] = answers
            start = stop
        return collected


def _locate(panel: Panel, at: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each row's series, -1 where unknown, and of its stamp in the panel's calendar."""
    columns = panel.columns
    if not isinstance(at, pd.DataFrame):
        raise TypeError(f"`at` must be a pandas DataFrame. Received: at of type {type(at).__name__}")
    there = [(at.columns == c).sum() == 1 for c in (columns.id, columns.time)]
    if not all(there) or not len(at):
        raise DataError(
            f"`at` must have rows, and one column {columns.id!r} and one {columns.time!r}. "
            f"Received: {len(at)} rows, columns={list(at.columns)}"
        )
    missing = at[columns.id].isna().to_numpy()
    _refuse(missing, at, panel, "has no name", "Name the series or drop the row.")
    series = pd.Index(panel.ids).get_indexer(at[columns.id])
    stamps = times_of(at, columns, None).reset_index(drop=True)
    kinds = [_kind(dtype) for dtype in (stamps.dtype, panel.calendar.dtype)]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"`{columns.time}` of `at` holds {kinds[0]}, that of the history {kinds[1]}. Convert the column, stamps by "
            f"`.dt.tz_localize`. Received: dtype={stamps.dtype}"
        )
    try:
        return series, panel.calendar.position(stamps)
    except pd.errors.OutOfBoundsDatetime:
        beyond, what = beyond_nanoseconds(stamps)
        _refuse(beyond, at, panel, what, "Ask for earlier times.")
        raise


def _kind(dtype) -> str:
    if pd.api.types.is_numeric_dtype(dtype):
        return "numbers"
    return (
        "stamps with a time zone" if isinstance(dtype, pd.DatetimeTZDtype) else "stamps without a time zone"
    )


def _refuse(bad: np.ndarray, at: pd.DataFrame, panel: Panel, what: str, remedy: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"`at`: series {plain(at[panel.columns.id].iloc[row])!r} at {panel.columns.time}={at[panel.columns.time].iloc[row]} "
            f"(row {row}) {what}; {int(bad.sum())} such rows. {remedy}"
        )


def _numbers(column: pd.Series) -> np.ndarray:
    """Return a number from 1 for each different value."""
    return 1 + pd.factorize(column)[0]
