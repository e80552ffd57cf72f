"""A long data frame as flat arrays, checked once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nbeats_basis.calendars import Calendar, infer_freq
from nbeats_basis.checks import DataError


@dataclass(frozen=True)
class Columns:
    """Names of a long frame's columns: the series, the time and the value."""

    id: str = "unique_id"
    time: str = "ds"
    target: str = "y"


@dataclass(frozen=True)
class Panel:
    """The observed values of many series, one after another, sorted by series and time.

    Attributes:
        ids: `(S,)`, identifiers of the series in increasing order.
        values: `(N,)` float64, finite.
        steps: `(N,)` int64, steps since the first observation of the series, increasing within each.
        offsets: `(S + 1,)` int64, rows of series s are offsets[s] to offsets[s + 1].
        starts: `(S,)` int64, number of the first observation's stamp in `calendar`.
        calendar: numbers to stamps.
        columns: names of the frame's columns.
    """

    ids: np.ndarray
    values: np.ndarray
    steps: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    calendar: Calendar
    columns: Columns

    @classmethod
    def from_frame(cls, df: pd.DataFrame, columns: Columns, freq) -> "Panel":
        """Check a long frame and turn it into flat arrays; rows may come in any order.

        Args:
            df: one row for each series and time; NaN in the target means not observed, as an absent row does.
            columns: names of the columns.
            freq: "infer", an offset alias or a positive integer.

        Raises:
            DataError: the frame cannot be used; the message names series, column and first bad row.
        """
        _check_columns(df, columns)
        frame = pd.DataFrame({"id": df[columns.id], "time": _times(df, columns), "y": _targets(df, columns)})
        frame = frame.reset_index(drop=True)
        missing = frame["id"].isna().to_numpy()
        _refuse(missing, frame, columns, columns.id, "is missing", "Name the series or drop the row.")
        frame["row"] = np.arange(len(frame))
        frame = frame.sort_values(["id", "time"], kind="stable", ignore_index=True)
        twice = frame.duplicated(["id", "time"]).to_numpy()
        _refuse(
            twice, frame, columns, columns.time, "is there twice", "Keep one row for each series and time."
        )
        series, ids = pd.factorize(frame["id"])
        observed = frame["y"].notna().to_numpy()
        counts = np.bincount(series[observed], minlength=len(ids))
        if (counts == 0).any():
            raise DataError(
                f"`{columns.target}` of series {ids[counts.argmin()]!r} has no observed value "
                f"({(counts == 0).sum()} such series). Drop the series."
            )
        if freq == "infer":
            freq = _inferred(frame, series, columns)
        calendar = Calendar(freq, frame["time"])
        codes = calendar.encode(frame["time"])
        first = codes[np.searchsorted(series, np.arange(len(ids)))]
        off = (codes < 0) & (calendar.index is not None) | ((codes - first[series]) % calendar.unit != 0)
        _refuse(
            off,
            frame,
            columns,
            columns.time,
            f"is off the calendar freq={freq!r}",
            "Correct it, or pass its `freq`.",
        )
        offsets = np.concatenate([[0], np.cumsum(counts)])
        codes, series = codes[observed], series[observed]
        starts = codes[offsets[:-1]]
        steps = (codes - starts[series]) // calendar.unit
        values = frame["y"].to_numpy("float64")[observed]
        return cls(np.asarray(ids), values, steps, offsets, starts, calendar, columns)

    @property
    def num_series(self) -> int:
        """S, the number of series."""
        return len(self.ids)

    @property
    def last_steps(self) -> np.ndarray:
        """Step of each series' last observation, `(S,)`."""
        return self.steps[self.offsets[1:] - 1]

    def tails(self, window: int) -> np.ndarray:
        """Return each series' last `window` steps up to its last observation, `(S, window)`, NaN where not observed."""
        series = np.repeat(np.arange(self.num_series), np.diff(self.offsets))
        position = self.steps - self.last_steps[series] + window - 1
        inside = position >= 0
        tails = np.full((self.num_series, window), np.nan)
        tails[series[inside], position[inside]] = self.values[inside]
        return tails

    def future(self, horizon: int) -> pd.DataFrame:
        """Return the rows to forecast: series and times of the `horizon` steps after each last observation."""
        steps = self.last_steps[:, None] + np.arange(1, horizon + 1)
        codes = self.starts[:, None] + steps * self.calendar.unit
        stamps = self.calendar.decode(codes.ravel())
        return pd.DataFrame({self.columns.id: np.repeat(self.ids, horizon), self.columns.time: stamps})

    def to_frame(self, last: int | None = None) -> pd.DataFrame:
        """Return the observed rows, or those within the `last` steps of each series."""
        series = np.repeat(np.arange(self.num_series), np.diff(self.offsets))
        codes = self.starts[series] + self.steps * self.calendar.unit
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


def _check_columns(df, columns: Columns) -> None:
    if not isinstance(df, pd.DataFrame):
        raise TypeError(f"`df` must be a pandas DataFrame. Received: df of type {type(df).__name__}")
    missing = [c for c in (columns.id, columns.time, columns.target) if c not in df.columns]
    if missing:
        raise DataError(
            f"`df` lacks the columns {missing}. Received: columns={list(df.columns)}; "
            "rename them, or name yours by `id_col`, `time_col` and `target_col`."
        )
    if not len(df):
        raise DataError("`df` is empty. Received: 0 rows; pass at least one series.")


def _targets(df, columns: Columns) -> np.ndarray:
    column = df[columns.target]
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        numeric = pd.to_numeric(column, errors="coerce")
        bad = (numeric.isna() & column.notna()).to_numpy() | column.map(
            lambda v: isinstance(v, bool)
        ).to_numpy(bool)
        row = int(bad.argmax())
        if bad.any() or isinstance(column.dtype, pd.CategoricalDtype):
            raise DataError(
                f"`{columns.target}` of series {df[columns.id].iloc[row]!r} is not a number at row {row} "
                f"({columns.time}={df[columns.time].iloc[row]}): {column.iloc[row]!r}. Convert the column to numbers."
            )
        column = numeric
    values = column.to_numpy("float64", na_value=np.nan)
    infinite = np.isinf(values)
    _refuse(
        infinite,
        pd.DataFrame({"id": df[columns.id].to_numpy(), "time": df[columns.time].to_numpy()}),
        columns,
        columns.target,
        "is infinite",
        "Replace it by NaN to treat it as missing.",
    )
    return values


def _times(df, columns: Columns) -> pd.Series:
    column = df[columns.time]
    name = columns.time
    if column.isna().any():
        row = int(column.isna().to_numpy().argmax())
        raise DataError(
            f"`{name}` of series {df[columns.id].iloc[row]!r} is missing at row {row}. Drop the row."
        )
    if pd.api.types.is_datetime64_any_dtype(column) or (
        pd.api.types.is_integer_dtype(column) and not pd.api.types.is_bool_dtype(column)
    ):
        return column
    if pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column):
        parsed = pd.to_datetime(column, errors="coerce", format="ISO8601")
        bad = parsed.isna().to_numpy()
        if not bad.any():
            return parsed
        row = int(bad.argmax())
        raise DataError(
            f"`{name}` of series {df[columns.id].iloc[row]!r} is not an ISO 8601 stamp at row {row}: "
            f"{column.iloc[row]!r}. Convert the column by `pandas.to_datetime`."
        )
    raise DataError(
        f"`{name}` must hold stamps or integers. Received: dtype={column.dtype}; convert it by `pandas.to_datetime`."
    )


def _inferred(frame: pd.DataFrame, series: np.ndarray, columns: Columns):
    freq = infer_freq(frame["time"], series)
    if freq is None:
        raise DataError(
            f"`freq` cannot be inferred from `{columns.time}` without doubt. Pass it, for example freq='MS' for months "
            "or freq=1 for integers."
        )
    return freq


def _refuse(
    bad: np.ndarray, frame: pd.DataFrame, columns: Columns, column: str, what: str, remedy: str
) -> None:
    """Raise a DataError naming the first bad row in the caller's frame, if there is one."""
    if not bad.any():
        return
    rows = frame["row"].to_numpy() if "row" in frame else np.arange(len(frame))
    at = int(np.flatnonzero(bad)[rows[bad].argmin()])
    series = frame["id"][bad].nunique()
    raise DataError(
        f"`{column}` of series {frame['id'].iloc[at]!r} {what} at {columns.time}={frame['time'].iloc[at]} "
        f"(row {rows[at]}; {bad.sum()} such rows in {series} series). {remedy}"
    )
