"""Calendars and clocks: stamps to numbers and back."""

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import Day, Tick

from nbeats_basis.checks import check_int
from nbeats_basis.durations import duration, one

_SEASONS = {"MS": 12, "ME": 12, "BMS": 12, "BME": 12, "D": 7, "B": 5, "h": 24, "min": 60, "s": 60}


def check_freq(freq):
    """Return `freq` if it is "infer", an offset alias, a positive integer or None; raise ValueError otherwise."""
    if freq is None:
        return None
    if isinstance(freq, str):
        if freq != "infer":
            _offset(freq)
        return freq
    try:
        return check_int("freq", freq)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"`freq` must be 'infer', an offset alias such as 'MS', a positive integer, or None for irregular times. Received: freq={freq!r}"
        ) from None


def season_length(freq) -> int:
    """Return the usual number of steps in a season: 12 for months, 4 for quarters, 24 for hours; 1 where none is usual."""
    if not isinstance(freq, str):
        return 1
    offset = _offset(freq)
    rule = offset.rule_code.split("-")[0] if offset.n == 1 else ""
    if rule[:2] in ("QS", "QE") or rule[:3] in ("BQS", "BQE"):
        return 4
    return 52 if rule == "W" else _SEASONS.get(rule, 1)


class Calendar:
    """The calendar of one frame: stamps are numbered by integers, `unit` of which make a step.

    Hours and shorter count by arithmetic, integers too; days and longer count the calendar's own stamps, so that
    months are equally long and days stay days when the clock changes.

    Args:
        freq: offset alias or positive integer.
        stamps: all stamps of the frame, `pd.Series`.
    """

    time_unit = None

    def __init__(self, freq, stamps: pd.Series):
        self.freq, self.dtype = freq, stamps.dtype
        self.index = None
        if isinstance(freq, str):
            offset = _offset(freq)
            if isinstance(offset, Tick) and not isinstance(offset, Day):
                self.unit = int(pd.Timedelta(offset).as_unit("ns").value)
            else:
                self.unit = offset.n
                self.index = pd.date_range(stamps.min(), stamps.max(), freq=offset.base)
        else:
            self.unit = int(freq)

    def position(self, stamps: pd.Series) -> np.ndarray:
        """Return the numbers of stamps that may lie between the calendar's, real; months are linear within each.

        Args:
            stamps: stamps, which may lie after the frame's end.
        """
        if not isinstance(self.freq, str):
            return stamps.to_numpy("float64")
        if self.index is None:
            return self.encode(stamps)
        stamps = pd.DatetimeIndex(stamps)
        if len(stamps) and stamps.max() >= self.index[-1]:
            base = _offset(self.freq).base
            end = pd.date_range(max(stamps.max(), self.index[-1]), periods=3, freq=base)[-1]
            self.index = pd.date_range(self.index[0], end, freq=base)
        below = np.clip(self.index.searchsorted(stamps, side="right") - 1, 0, len(self.index) - 2)
        low, high = self.index[below], self.index[below + 1]
        return below + np.asarray((stamps - low) / (high - low), "float64")

    def encode(self, stamps: pd.Series) -> np.ndarray:
        """Return the stamps' numbers, int64, -1 for stamps off the calendar of days or longer."""
        if self.index is not None:
            return self.index.get_indexer(pd.DatetimeIndex(stamps)).astype("int64")
        if isinstance(self.freq, str):
            return pd.DatetimeIndex(stamps).as_unit("ns").asi8
        return stamps.to_numpy("int64")

    def decode(self, codes: np.ndarray):
        """Return the stamps of the numbers, in the frame's own type; numbers may lie after the frame's end."""
        if self.index is not None:
            if codes.size and codes.max() >= len(self.index):
                base = _offset(self.freq).base
                self.index = pd.date_range(self.index[0], periods=int(codes.max()) + 1, freq=base)
            return pd.Series(self.index[codes]).astype(self.dtype)
        if isinstance(self.freq, str):
            stamps = pd.DatetimeIndex(codes.astype("datetime64[ns]"))
            zone = getattr(self.dtype, "tz", None)
            stamps = stamps.tz_localize("UTC").tz_convert(zone) if zone is not None else stamps
            return pd.Series(stamps).astype(self.dtype)
        return pd.Series(codes).astype(self.dtype)


class Clock:
    """Real elapsed time: stamps are numbered by nanoseconds, plain numbers by themselves; `unit` of which make a unit of time.

    `time_unit` of a clock of plain numbers is None.

    Args:
        time_unit: unit of elapsed time: "W", "D", "h", "min", "s", "ms", "us" or "ns".
        stamps: all stamps of the frame, `pd.Series`.
    """

    freq = None
    index = None

    def __init__(self, time_unit: str, stamps: pd.Series):
        self.dtype = stamps.dtype
        self.time_unit = None if pd.api.types.is_numeric_dtype(stamps) else time_unit
        self.unit = one(time_unit).value if self.time_unit else 1.0

    def encode(self, stamps: pd.Series) -> np.ndarray:
        """Return the stamps' numbers, int64 nanoseconds or float64."""
        if self.time_unit:
            return pd.DatetimeIndex(stamps).as_unit("ns").asi8
        return stamps.to_numpy("float64")

    position = encode

    def decode(self, codes: np.ndarray) -> pd.Series:
        """Return the stamps of the numbers, as fine as needed: integers become real numbers."""
        if not self.time_unit:
            return pd.Series(codes, dtype="float64")
        stamps = pd.DatetimeIndex(codes.astype("datetime64[ns]"))
        zone = getattr(self.dtype, "tz", None)
        return pd.Series(stamps.tz_localize("UTC").tz_convert(zone) if zone is not None else stamps)


def infer_freq(stamps: pd.Series, series: np.ndarray):
    """Return the one calendar on which all stamps lie with most neighbours one step apart, or None.

    Args:
        stamps: sorted within each series.
        series: number of the series of each stamp.
    """
    same = np.flatnonzero(np.diff(series) == 0)
    if not same.size:
        return None
    if not isinstance(stamps.dtype, (np.dtypes.DateTime64DType, pd.DatetimeTZDtype)):
        return int(np.gcd.reduce(np.diff(stamps.to_numpy("int64"))[same])) or None
    naive = pd.DatetimeIndex(stamps)
    naive = naive.tz_localize(None) if naive.tz is not None else naive
    gaps = np.diff(naive.as_unit("ns").asi8)[same]
    lengths, counts = np.unique(gaps, return_counts=True)
    for freq in _candidates(pd.Timedelta(int(lengths[counts.argmax()]), "ns"), naive):
        calendar = Calendar(freq, stamps)
        codes = calendar.encode(stamps)
        steps = np.diff(codes)[same]
        if (
            (codes >= 0).all()
            and not (steps % calendar.unit).any()
            and _mostly_one(steps // calendar.unit, series[same])
        ):
            return freq
    return None


def _candidates(gap: pd.Timedelta, stamps: pd.DatetimeIndex) -> list[str]:
    """Return the aliases that a usual gap suggests, the likeliest first."""
    days, first = gap / pd.Timedelta(days=1), stamps[0]
    month, day = first.strftime("%b").upper(), first.strftime("%a").upper()
    if days == 1:
        business = len(stamps) > 5 and (stamps.day_of_week < 5).all()
        return ["B", "D"] if business else ["D"]
    if days == 7:
        return [f"W-{day}"]
    for low, high, starts, ends in ((28, 31, "MS", "ME"), (89, 92, "QS", "QE"), (365, 366, "YS", "YE")):
        if low <= days <= high:
            anchor = "" if starts == "MS" else f"-{month}"
            return [starts + anchor, ends + anchor, "B" + starts + anchor, "B" + ends + anchor]
    if days > 1:
        return [f"{int(days)}D"] if days == int(days) else []
    for name, length in (
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ):
        if gap.value % length == 0:
            count = gap.value // length
            return [name if count == 1 else f"{count}{name}"]
    return [f"{gap.value}ns"]


def _mostly_one(steps: np.ndarray, series: np.ndarray) -> bool:
    """Return whether no series has a usual gap other than one step."""
    number, first = np.unique(series, return_index=True)
    share = np.add.reduceat(steps == 1, first) / np.add.reduceat(np.ones(len(steps)), first)
    many = np.add.reduceat(np.ones(len(steps)), first) > 3
    return bool((share[many] >= 0.5).all() and (steps == 1).mean() >= 0.5)


def _offset(freq: str):
    try:
        offset = to_offset(freq)
    except ValueError as error:
        raise ValueError(
            f"`freq` is not an offset alias that pandas knows ({error}). Received: freq={freq!r}; "
            "use for example 'h', 'D', 'W-SUN', 'MS', 'QS', 'YS' or an integer."
        ) from None
    if offset.n < 1:
        raise ValueError(f"`freq` must go forwards in time. Received: freq={freq!r}")
    return offset


def length(name: str, value, calendar: "Calendar | Clock"):
    """Return a number of steps of a calendar, or of a clock's units of time.

    Args:
        name: the argument's name, for errors.
        value: a number, or for a clock of stamps a duration such as "7D".
        calendar: of the panel.
    """
    if calendar.freq is not None:
        return check_int(name, value)
    return duration(name, value, calendar.time_unit)
