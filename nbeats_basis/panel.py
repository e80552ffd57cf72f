"""A long data frame as flat arrays, checked once."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from nbeats_basis.calendars import Calendar, Clock, blocks, infer_freq
from nbeats_basis.checks import DataError, plain
from nbeats_basis.frames import Columns, Frame


@dataclass(frozen=True)
class Panel:
    """The observed values of many series, one after another, sorted by series and time.

    Attributes:
        ids: `(S,)`, identifiers of the series in increasing order.
        values: `(N,)` float64, or float32 as in the frame, finite.
        steps: `(N,)`, time since the first observation of the series, increasing within each: int64 steps of a calendar,
            or float64 units of a clock.
        offsets: `(S + 1,)` int64, rows of series s are offsets[s] to offsets[s + 1].
        starts: `(S,)`, number of the first observation's stamp in `calendar`.
        calendar: numbers to stamps, a `Calendar` or, for irregular times, a `Clock`.
        columns: names of the frame's columns.
        stamps: `(N,)`, number of each observation's stamp in a `Clock`; None on a calendar, where starts and steps say it.
    """

    ids: np.ndarray
    values: np.ndarray
    steps: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    calendar: Calendar | Clock
    columns: Columns
    stamps: np.ndarray | None = None

    @classmethod
    def from_frame(cls, df: pd.DataFrame, columns: Columns, freq, time_unit: str = "D") -> "Panel":
        """Check a long frame and turn it into flat arrays; rows may come in any order.

        Args:
            df: one row for each series and time; NaN in the target means not observed, as an absent row does.
            columns: names of the columns.
            freq: "infer", an offset alias, a positive integer, or None for irregular times.
            time_unit: unit of elapsed time where `freq` is None. Defaults to "D".

        Raises:
            DataError: the frame cannot be used; the message names series, column and first bad row.
        """
        frame = Frame(df, columns, freq)
        values, (ids, offsets, order) = frame.targets(), frame.layout()
        times = frame.times if order is None else frame.times.iloc[order]
        values = values if order is None else values[order]
        observed = ~np.isnan(values)
        complete = observed.all()
        counts = np.diff(offsets) if complete else np.add.reduceat(observed, offsets[:-1], dtype="int64")
        if (counts == 0).any():
            raise DataError(
                f"`{columns.target}` of series {plain(ids[counts.argmin()])!r} has no observed value "
                f"({(counts == 0).sum()} such series). Drop the series."
            )
        after = np.concatenate([[0], np.cumsum(counts)])  # rows of each series among those observed
        first = offsets[:-1] if complete else np.flatnonzero(observed)[after[:-1]]
        with frame.in_nanoseconds():
            if freq == "infer":
                freq = _inferred(times, offsets, columns)
            calendar = Clock(time_unit, times) if freq is None else Calendar(freq, times)
            starts, steps, stamps, off = _number(times, offsets, first, calendar)
        what = f"is off the calendar freq={freq!r}"
        remedy = "Correct it, pass its `freq`, or freq=None to take irregular times as they are."
        frame.refuse(off, columns.time, what, remedy, order)
        if not complete:
            values, steps = values[observed], steps[observed]
            stamps = None if stamps is None else stamps[observed]
        return cls(ids, values, steps, after, starts, calendar, columns, stamps)

    def of_kind(self, df: pd.DataFrame) -> "Panel":
        """Return the panel of another frame on this one's calendar.

        Args:
            df: as for `from_frame`, of the same columns.

        Raises:
            DataError: the frame cannot be used, or its irregular times are numbers where these are stamps, or the reverse.
        """
        panel = Panel.from_frame(df, self.columns, self.calendar.freq, self.calendar.time_unit or "D")
        if self.calendar.freq is None and panel.calendar.time_unit != self.calendar.time_unit:
            kinds = ["numbers" if p.calendar.time_unit is None else "stamps" for p in (self, panel)]
            raise DataError(
                f"`{self.columns.time}` holds {kinds[1]}, but the forecaster was fitted to {kinds[0]}. Convert the column."
            )
        return panel

    @property
    def num_series(self) -> int:
        """S, the number of series."""
        return len(self.ids)

    @property
    def last_steps(self) -> np.ndarray:
        """Step of each series' last observation, `(S,)`."""
        return self.steps[self.offsets[1:] - 1]

    @property
    def series(self) -> np.ndarray:
        """Number of each observation's series, `(N,)`."""
        return np.repeat(np.arange(self.num_series), np.diff(self.offsets))

    @property
    def last_codes(self) -> np.ndarray:
        """Number of each series' last observation in the calendar, `(S,)`."""
        if self.stamps is not None:
            return self.stamps[self.offsets[1:] - 1]
        return self.starts + self._lengths(self.last_steps)

    @cached_property
    def typical(self) -> tuple[float, float]:
        """The median value, and the median over the series of their standard deviations, pooled where that is 0."""
        variance = []
        for low, high in blocks(self.offsets):
            values = self.values[self.offsets[low] : self.offsets[high]].astype("float64")
            starts, count = self.offsets[low:high] - self.offsets[low], np.diff(self.offsets[low : high + 1])
            mean = np.add.reduceat(values, starts) / count
            variance.append(np.add.reduceat((values - np.repeat(mean, count)) ** 2, starts) / count)
        spread = np.median(np.sqrt(np.concatenate(variance))) or self.values.std(dtype="float64")
        return float(np.median(self.values)), float(spread)

    def before(self, holdout: float) -> "Panel":
        """Return the panel without the last `holdout` steps or units of time of each series, and without those that have no more.

        Args:
            holdout: length; 0, or more than any series has, for all of it.
        """
        if not holdout:
            return self
        seen = self.until(self.last_steps - holdout)
        counts = np.add.reduceat(seen, self.offsets[:-1], dtype="int64")
        if seen.all() or not seen.any():
            return self
        some = counts > 0
        return replace(
            self,
            ids=self.ids[some],
            values=self.values[seen],
            steps=self.steps[seen],
            offsets=np.append(0, np.cumsum(counts[some])),
            starts=self.starts[some],
            stamps=None if self.stamps is None else self.stamps[seen],
        )

    def until(self, times: np.ndarray) -> np.ndarray:
        """Return which observations are no later than a time of their series, `(N,)`.

        Args:
            times: `(S,)`, steps or units of time since the first observation of each.
        """
        return self.steps <= times[self.series]

    def spacing(self) -> float:
        """Return the median time between observations of a series, 1 on a calendar; the only one's age has no say."""
        gaps = np.delete(np.diff(self.steps), self.offsets[1:-1] - 1)
        return 1 if self.calendar.freq is not None else float(np.median(gaps)) if gaps.size else 1.0

    def tails(self, window: int, rows: np.ndarray) -> np.ndarray:
        """Return the last `window` steps up to observations, `(R, window)` float64, NaN where not observed.

        Args:
            window: steps.
            rows: `(R,)` int64, the last observation of each; below 0 for none.
        """
        tails = np.full((len(rows), window), np.nan)
        series = np.searchsorted(self.offsets, rows, side="right") - 1
        floor, begin = np.where(rows < 0, 0, self.offsets[series]), rows - window + 1
        whole = (begin >= floor) & (self.steps[rows] - self.steps[np.maximum(begin, 0)] == window - 1)
        if whole.any():
            tails[whole] = np.lib.stride_tricks.sliding_window_view(self.values, window)[begin[whole]]
        some = np.flatnonzero(~whole)
        before = rows[some, None] - np.arange(window)
        inside, before = before >= floor[some, None], np.maximum(before, 0)
        place = self.steps[before] - self.steps[before[:, :1]] + window - 1
        inside &= place >= 0
        tails[some[np.nonzero(inside)[0]], place[inside]] = self.values[before[inside]]
        return tails

    def _lengths(self, steps: np.ndarray) -> np.ndarray:
        """Return steps or units of time as differences of stamps' numbers, whole but for clocks of plain numbers."""
        lengths = steps * self.calendar.unit
        return lengths if self.starts.dtype.kind == "f" else np.rint(lengths).astype("int64")

    def future(self, times: np.ndarray) -> pd.DataFrame:
        """Return the rows to forecast: each series at `times` after its last observation.

        Args:
            times: `(H,)`, steps or units of time.
        """
        codes = self.last_codes[:, None] + self._lengths(times)
        stamps = self.calendar.decode(codes.ravel())
        return pd.DataFrame({self.columns.id: np.repeat(self.ids, len(times)), self.columns.time: stamps})

    def to_frame(self, last: float | None = None) -> pd.DataFrame:
        """Return the observed rows, or those within the `last` steps or units of time of each series."""
        series = self.series
        codes = self.starts[series] + self._lengths(self.steps) if self.stamps is None else self.stamps
        frame = pd.DataFrame(
            {
                self.columns.id: self.ids[series],
                self.columns.time: self.calendar.decode(codes),
                self.columns.target: self.values,
            }
        )
        if last is None:
            return frame
        return frame[self.steps > self.last_steps[series] - last].reset_index(drop=True)


def _inferred(times: pd.Series, offsets: np.ndarray, columns: Columns):
    freq = infer_freq(times, offsets)
    if freq is None:
        raise DataError(
            f"`freq` cannot be inferred from `{columns.time}` without doubt. Pass it, for example freq='MS' for months "
            "or freq=1 for integers, or freq=None to take irregular times as they are."
        )
    return freq


def _number(times: pd.Series, offsets: np.ndarray, first: np.ndarray, calendar: Calendar | Clock) -> tuple:
    """Return the numbers of the series' first stamps `(S,)`, steps since then `(N,)`, of a clock all numbers, and rows off a calendar.

    Args:
        times: `(N,)`, in order.
        offsets: `(S + 1,)`, rows of the series.
        first: `(S,)`, row of the first observation of each.
        calendar: numbers the stamps.
    """
    steps, starts, off = np.empty(len(times), calendar.kind), [], np.zeros(len(times), bool)
    stamps = calendar.encode(times) if calendar.freq is None else None
    for low, high in blocks(offsets):
        rows = slice(offsets[low], offsets[high])
        codes = calendar.encode(times.iloc[rows]) if stamps is None else stamps[rows]
        starts.append(codes[first[low:high] - offsets[low]])
        elapsed = codes - np.repeat(starts[-1], np.diff(offsets[low : high + 1]))
        if calendar.index is not None:  # two stamps of one day, where clocks change
            again = np.diff(codes, prepend=-2) == 0
            again[offsets[low:high] - offsets[low]] = False
            off[rows] |= (codes < 0) | again
        if calendar.unit == 1:
            steps[rows] = elapsed
        elif calendar.freq is None:
            steps[rows] = elapsed / calendar.unit
        else:
            steps[rows] = elapsed // calendar.unit
            off[rows] |= steps[rows] * calendar.unit != elapsed
    return np.concatenate(starts), steps, stamps, off
