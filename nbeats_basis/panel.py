"""A long data frame as flat arrays, checked once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nbeats_basis.calendars import Calendar, Clock, infer_freq
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
        steps: `(N,)`, time since the first observation of the series, increasing within each: int64 steps of a calendar,
            or float64 units of a clock.
        offsets: `(S + 1,)` int64, rows of series s are offsets[s] to offsets[s + 1].
        starts: `(S,)`, number of the first observation's stamp in `calendar`.
        calendar: numbers to stamps, a `Calendar` or, for irregular times, a `Clock`.
        columns: names of the frame's columns.
    """

    ids: np.ndarray
    values: np.ndarray
    steps: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    calendar: Calendar | Clock
    columns: Columns

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
        _check_columns(df, columns)
        frame = pd.DataFrame(
            {"id": df[columns.id], "time": times_of(df, columns, freq), "y": _targets(df, columns)}
        )
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
        calendar = Clock(time_unit, frame["time"]) if freq is None else Calendar(freq, frame["time"])
        codes = calendar.encode(frame["time"])
        if freq is None:
            offsets = np.concatenate([[0], np.cumsum(counts)])
            codes, series, values = (
                codes[observed],
                series[observed],
                frame["y"].to_numpy("float64")[observed],
            )
            starts = codes[offsets[:-1]]
            steps = (codes - starts[series]) / calendar.unit
            return cls(np.asarray(ids), values, steps, offsets, starts, calendar, columns)
        first = codes[np.searchsorted(series, np.arange(len(ids)))]
        off = (codes < 0) & (calendar.index is not None) | ((codes - first[series]) % calendar.unit != 0)
        _refuse(
            off,
            frame,
            columns,
            columns.time,
            f"is off the calendar freq={freq!r}",
            "Correct it, pass its `freq`, or freq=None to take irregular times as they are.",
        )
        offsets = np.concatenate([[0], np.cumsum(counts)])
        codes, series = codes[observed], series[observed]
        starts = codes[offsets[:-1]]
        steps = (codes - starts[series]) // calendar.unit
        values = frame["y"].to_numpy("float64")[observed]
        return cls(np.asarray(ids), values, steps, offsets, starts, calendar, columns)

    def of_kind(self, df: pd.DataFrame, time_unit: str = "D") -> "Panel":
        """Return the panel of another frame on this one's calendar.

        Args:
            df: as for `from_frame`, of the same columns.
            time_unit: as for `from_frame`. Defaults to "D".

        Raises:
            DataError: the frame cannot be used, or its irregular times are numbers where these are stamps, or the reverse.
        """
        panel = Panel.from_frame(df, self.columns, self.calendar.freq, time_unit)
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
        return self.starts + _whole(self.last_steps * self.calendar.unit, self.starts)

    def typical(self) -> tuple[float, float]:
        """Return the median value, and the median over the series of their standard deviations, pooled where that is 0."""
        count = np.diff(self.offsets)
        mean = np.add.reduceat(self.values, self.offsets[:-1]) / count
        square = np.add.reduceat((self.values - mean[self.series]) ** 2, self.offsets[:-1]) / count
        return float(np.median(self.values)), float(np.median(np.sqrt(square)) or self.values.std())

    def spacing(self) -> float:
        """Return the median time between observations of a series, 1 on a calendar; the only one's age has no say."""
        gaps = np.delete(np.diff(self.steps), self.offsets[1:-1] - 1)
        return 1 if self.calendar.freq is not None else float(np.median(gaps)) if gaps.size else 1.0

    def tails(self, window: int) -> np.ndarray:
        """Return each series' last `window` steps up to its last observation, `(S, window)`, NaN where not observed."""
        series = self.series
        position = self.steps - self.last_steps[series] + window - 1
        inside = position >= 0
        tails = np.full((self.num_series, window), np.nan)
        tails[series[inside], position[inside]] = self.values[inside]
        return tails

    def future(self, times: np.ndarray) -> pd.DataFrame:
        """Return the rows to forecast: each series at `times` after its last observation.

        Args:
            times: `(H,)`, steps or units of time.
        """
        codes = self.last_codes[:, None] + _whole(times * self.calendar.unit, self.starts)
        stamps = self.calendar.decode(codes.ravel())
        return pd.DataFrame({self.columns.id: np.repeat(self.ids, len(times)), self.columns.time: stamps})

    def to_frame(self, last: float | None = None) -> pd.DataFrame:
        """Return the observed rows, or those within the `last` steps or units of time of each series."""
        series = self.series
        codes = self.starts[series] + _whole(self.steps * self.calendar.unit, self.starts)
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


def _whole(numbers: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return the numbers rounded to integers if `like` holds integers."""
    return np.rint(numbers).astype("int64") if like.dtype.kind == "i" else numbers


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


def times_of(df: pd.DataFrame, columns: Columns, freq) -> pd.Series:
    """Return the checked column of the times: stamps, integers, or with `freq=None` any finite numbers.

    Args:
        df: long frame.
        columns: names of the columns.
        freq: "infer", an offset alias, a positive integer, or None for irregular times.

    Raises:
        DataError: a time is missing, infinite or not a stamp; the message names series, column and first bad row.
    """
    column = df[columns.time]
    name = columns.time
    if column.isna().any():
        row = int(column.isna().to_numpy().argmax())
        raise DataError(
            f"`{name}` of series {df[columns.id].iloc[row]!r} is missing at row {row}. Drop the row."
        )
    if pd.api.types.is_datetime64_any_dtype(column):
        return column
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        if freq is None:
            infinite = np.isinf(column.to_numpy("float64"))
            if infinite.any():
                row = int(infinite.argmax())
                raise DataError(
                    f"`{name}` of series {df[columns.id].iloc[row]!r} is infinite at row {row}. Drop the row."
                )
            return column
        if pd.api.types.is_integer_dtype(column):
            return column
        raise DataError(
            f"`{name}` holds real numbers, which have no regular steps. Received: dtype={column.dtype}, freq={freq!r}; "
            "pass freq=None for irregular times, or integers."
        )
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
        f"`{name}` must hold stamps or numbers. Received: dtype={column.dtype}; convert it by `pandas.to_datetime`."
    )


def _inferred(frame: pd.DataFrame, series: np.ndarray, columns: Columns):
    freq = infer_freq(frame["time"], series)
    if freq is None:
        raise DataError(
            f"`freq` cannot be inferred from `{columns.time}` without doubt. Pass it, for example freq='MS' for months "
            "or freq=1 for integers, or freq=None to take irregular times as they are."
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
