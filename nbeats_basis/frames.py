"""A long data frame, its columns checked: which rows make a series, in which order, and what is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from numbers import Integral, Number

import numpy as np
import pandas as pd

from nbeats_basis.checks import DataError, plain

_LARGEST = 1e150  # value whose square is a number
_SMALLEST = 1e-150  # value whose square is not 0
_NO_NUMBERS = (
    bool,
    np.bool_,
    complex,
    np.complexfloating,
    date,
    timedelta,
    np.datetime64,
    np.timedelta64,
    pd.Period,
)


@dataclass(frozen=True)
class Columns:
    """Names of a long frame's columns: the series, the time and the value."""

    id: str = "unique_id"
    time: str = "ds"
    target: str = "y"


class Frame:
    """A long frame with checked times; nothing of it is copied.

    Args:
        df: one row for each series and time.
        columns: names of its columns.
        freq: "infer", an offset alias, a positive integer, or None for irregular times.

    Raises:
        TypeError: `df` is no frame.
        DataError: a column is missing, there are no rows, or a time cannot be used.
    """

    def __init__(self, df: pd.DataFrame, columns: Columns, freq):
        _check_columns(df, columns)
        self.df, self.columns, self.ids = df, columns, df[columns.id]
        self.times = times_of(df, columns, freq)

    def targets(self) -> np.ndarray:
        """Return a copy of the values, NaN where missing: float32 if the column is, and float64 otherwise.

        Raises:
            DataError: a value is not a real number, infinite, or above 1e150 in magnitude; or all are below 1e-150, but not 0.
        """
        column, name = self.df[self.columns.target], self.columns.target
        numeric, bad = _numbers(column)
        if bad.any():
            row = int(bad.argmax())
            raise DataError(
                f"`{name}` of series {plain(self.ids.iloc[row])!r} is not a number at row {row} "
                f"({self.columns.time}={self.times.iloc[row]}): {column.iloc[row]!r}. Convert the column to numbers."
            )
        dtype = "float32" if numeric.dtype == "float32" else "float64"
        values = numeric.to_numpy(dtype, copy=True, na_value=np.nan)
        sizes = np.abs(values)
        large = sizes > min(_LARGEST, float(np.finfo(dtype).max))
        if large.any():
            self.refuse(np.isinf(values), name, "is infinite", "Replace it by NaN to treat it as missing.")
            self.refuse(
                large, name, f"is above {_LARGEST:g} in magnitude", "Give the column in another unit."
            )
        if 0 < np.fmax.reduce(sizes) < _SMALLEST:
            raise DataError(
                f"`{name}` has no value of {_SMALLEST:g} or more in magnitude. Give the column in another unit."
            )
        return values

    def layout(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Find the series; nothing is sorted where the rows are in order.

        Returns:
            `(S,)`, identifiers of the series in increasing order; `(S + 1,)` int64, rows of series s are offsets[s] to
            offsets[s + 1] of those in order; `(N,)`, the rows in order of series and time, or None where they are.

        Raises:
            DataError: a row has no series, or a series a time twice.
        """
        runs = self._runs()
        codes, ids = pd.factorize(self.ids.iloc[runs], sort=True)
        ids, lengths, ticks = np.asarray(ids), np.diff(runs, append=len(self.df)), self._ticks()
        later = ticks[1:] > ticks[:-1]
        later[runs[1:] - 1] = True
        if later.all() and (codes[1:] > codes[:-1]).all():
            return ids, np.append(runs, len(self.df)), None
        series = np.repeat(codes, lengths)
        order = np.lexsort((ticks, series))
        series, ticks = series[order], ticks[order]
        twice = np.concatenate([[False], (series[1:] == series[:-1]) & (ticks[1:] == ticks[:-1])])
        remedy = "Keep one row for each series and time."
        self.refuse(twice, self.columns.time, "is there twice", remedy, order)
        return ids, np.concatenate([[0], np.cumsum(np.bincount(series))]), order

    def refuse(self, bad: np.ndarray, column: str, what: str, remedy: str, order=None) -> None:
        """Raise an error that names the first bad row, if there is one.

        Args:
            bad: `(N,)`, which rows are bad.
            column: the column that is wrong.
            what: what is wrong with it.
            remedy: what to do.
            order: the frame's row of each of `bad`. Defaults to None, they are in the frame's order.

        Raises:
            DataError: a row is bad.
        """
        if not bad.any():
            return
        rows = np.flatnonzero(bad) if order is None else order[bad]
        at = int(rows.min())
        raise DataError(
            f"`{column}` of series {plain(self.ids.iloc[at])!r} {what} at {self.columns.time}={self.times.iloc[at]} "
            f"(row {at}; {len(rows)} such rows in {self.ids.iloc[rows].nunique()} series). {remedy}"
        )

    @contextmanager
    def in_nanoseconds(self) -> Iterator[None]:
        """Name the first stamp that does not count in nanoseconds, where what is done inside needs that.

        Raises:
            DataError: there is one.
        """
        try:
            yield
        except pd.errors.OutOfBoundsDatetime:
            beyond, what = beyond_nanoseconds(self.times)
            self.refuse(beyond, self.columns.time, what, "Pass the `freq` of days or longer, or integers.")
            raise

    def _runs(self) -> np.ndarray:
        """Return the first row of each run of rows of one series."""
        if (
            self.ids.dtype == object or getattr(self.ids.dtype, "na_value", None) is pd.NA
        ):  # which does not compare
            self._refuse_missing()
        if isinstance(self.ids.dtype, pd.CategoricalDtype):
            keys = self.ids.cat.codes.to_numpy()
        elif isinstance(self.ids.dtype, (np.dtype, pd.StringDtype)):
            keys = self.ids.to_numpy()
        else:
            keys = pd.factorize(self.ids)[0]
        runs = np.concatenate([[0], 1 + np.flatnonzero(keys[1:] != keys[:-1])])
        if self.ids.iloc[runs].isna().any():
            self._refuse_missing()
        return runs

    def _refuse_missing(self) -> None:
        self.refuse(
            self.ids.isna().to_numpy(), self.columns.id, "is missing", "Name the series or drop the row."
        )

    def _ticks(self) -> np.ndarray:
        """Return numbers in the order of the times."""
        numeric = pd.api.types.is_numeric_dtype(self.times)
        return self.times.to_numpy() if numeric else pd.DatetimeIndex(self.times).asi8


def beyond_nanoseconds(times: pd.Series) -> tuple[np.ndarray, str]:
    """Return which stamps do not count in nanoseconds, `(N,)`, and that in words.

    Args:
        times: stamps, `(N,)`.
    """
    low, high = pd.Timestamp.min.ceil("s"), pd.Timestamp.max.floor("s")
    days = pd.DatetimeIndex(times).tz_localize(None).as_unit("s")
    beyond = (days < low.as_unit("s")) | (days > high.as_unit("s"))
    return np.asarray(beyond), f"lies outside {low.date()} to {high.date()}, where nanoseconds count,"


def _numbers(column: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Return a column as real numbers, and which of its rows are none, `(N,)`."""
    dtype = column.dtype
    if dtype.kind in "cmM" or isinstance(dtype, (pd.PeriodDtype, pd.CategoricalDtype)):
        return column, np.ones(len(column), bool)
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        return column, np.zeros(len(column), bool)
    numeric = pd.to_numeric(column, errors="coerce")
    other = column.map(lambda value: isinstance(value, _NO_NUMBERS)).to_numpy(bool)
    return numeric, (numeric.isna().to_numpy() | other) & column.notna().to_numpy()


def _check_columns(df, columns: Columns) -> None:
    if not isinstance(df, pd.DataFrame):
        raise TypeError(f"`df` must be a pandas DataFrame. Received: df of type {type(df).__name__}")
    names = columns.id, columns.time, columns.target
    if len(set(names)) < 3:
        raise DataError(f"series, time and target must be three columns. Received: {names}")
    missing = [c for c in names if c not in df.columns]
    if missing:
        raise DataError(
            f"`df` lacks the columns {missing}. Received: columns={list(df.columns)}; "
            "rename them, or name yours by `id_col`, `time_col` and `target_col`."
        )
    twice = [c for c in names if (df.columns == c).sum() > 1]
    if twice:
        raise DataError(f"`df` has more than one column of the names {twice}. Rename or drop all but one.")
    if not len(df):
        raise DataError("`df` is empty. Received: 0 rows; pass at least one series.")


def times_of(df: pd.DataFrame, columns: Columns, freq) -> pd.Series:
    """Return the checked column of the times: stamps, integers, or with `freq=None` any finite numbers.

    Args:
        df: long frame.
        columns: names of the columns.
        freq: "infer", an offset alias, a positive integer, or None for irregular times.

    Raises:
        DataError: a time is missing, infinite or not a stamp; the message names series, column and first bad row.
    """
    column, name = df[columns.time], columns.time

    def refuse(bad, what: str, remedy: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"`{name}` of series {plain(df[columns.id].iloc[row])!r} {what} at row {row}: {column.iloc[row]!r}. {remedy}"
            )

    refuse(column.isna(), "is missing", "Drop the row.")
    if pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column):
        column = _parsed(column, name, refuse)
    if pd.api.types.is_datetime64_any_dtype(column):
        if isinstance(freq, Integral):
            raise DataError(
                f"`{name}` holds stamps, but freq={freq!r} counts integers. Pass a `freq` such as 'MS'."
            )
        return pd.Series(pd.DatetimeIndex(column)) if isinstance(column.dtype, pd.ArrowDtype) else column
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        remedy = "`.dt.to_timestamp`" if isinstance(column.dtype, pd.PeriodDtype) else "`pandas.to_datetime`"
        raise DataError(
            f"`{name}` must hold stamps or numbers. Received: dtype={column.dtype}; convert it by {remedy}."
        )
    if isinstance(freq, str) and freq != "infer":
        raise DataError(
            f"`{name}` holds numbers, but freq={freq!r} counts stamps. Pass freq=1, or convert the column."
        )
    if freq is None:
        refuse(np.isinf(column.to_numpy("float64")), "is infinite", "Drop the row.")
        return column
    if not pd.api.types.is_integer_dtype(column):
        raise DataError(
            f"`{name}` holds real numbers, which have no regular steps. Received: dtype={column.dtype}, freq={freq!r}; "
            "pass freq=None for irregular times, or integers."
        )
    return _wide(column)  # forecasts may need larger numbers


def _parsed(column: pd.Series, name: str, refuse) -> pd.Series:
    """Return text or objects as stamps; `refuse` names the first row that is none."""
    if pd.api.types.is_object_dtype(column):
        numbers = column.map(lambda value: isinstance(value, Number))
        refuse(numbers, "is a number in a column of objects", "Convert the column to numbers, or to stamps.")
    try:
        parsed = pd.to_datetime(column, errors="coerce", format="ISO8601")
    except ValueError as error:  # several time zones
        raise DataError(
            f"`{name}` cannot be read as stamps: {error}. Convert the column by `pandas.to_datetime`, with utc=True where clocks change."
        ) from None
    refuse(parsed.isna(), "is not an ISO 8601 stamp", "Convert the column by `pandas.to_datetime`.")
    return parsed


def _wide(column: pd.Series) -> pd.Series:
    """Return a column of integers as one of 64 bits."""
    dtype = getattr(column.dtype, "numpy_dtype", column.dtype)
    if dtype.itemsize == 8:
        return column
    return column.astype("int64" if dtype is column.dtype else "Int64")


def beside(frame: pd.DataFrame, found: dict) -> pd.DataFrame:
    """Return the rows of a forecast with what was found for them.

    Args:
        frame: series and times.
        found: columns by name.

    Raises:
        DataError: a name is one of the frame's.
    """
    taken = [name for name in found if name in frame]
    if taken:
        raise DataError(
            f"the answer has columns {list(found)}, and so cannot keep yours named {taken}. Rename them before `fit`."
        )
    return frame.assign(**found)
