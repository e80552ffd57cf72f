"""Calendars and clocks: stamps to numbers and back."""

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import Day, Tick

from nbeats_basis.checks import DataError, check_int
from nbeats_basis.durations import duration, one

_BLOCK = 2**18  # rows looked at together
_SEASONS = {"D": 7, "B": 5, "7D": 52, "W": 52}  # in steps of days and weeks
_CLOCKS = {"24h": 7, "min": 60, "s": 60}  # in steps of equal length
_FINEST = 288  # steps of a day that are still a season
_MONTHS = {"MS": 1, "ME": 1, "QS": 3, "QE": 3}  # of a step


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
    """Return the usual number of steps in a season: 12 for months, 4 for quarters, 7 for days, a day's for hours and parts of them.

    For minutes and seconds it is 60; 1 where none is usual.

    Args:
        freq: offset alias, or an integer, which has none.
    """
    if not isinstance(freq, str):
        return 1
    offset, day = _offset(freq), steps_of_day(freq)
    if day > 1:
        return day
    if _on_clock(offset):
        return next((season for name, season in _CLOCKS.items() if offset == to_offset(name)), 1)
    rule = offset.rule_code.split("-")[0]
    months = _MONTHS.get(rule.removeprefix("B"), 0) * offset.n
    if months:
        return 12 // months if 12 % months == 0 else 1
    return _SEASONS.get(f"{offset.n}{rule}" if offset.n > 1 else rule, 1)


def steps_of_day(freq) -> int:
    """Return the number of steps that make a day, of hours and parts of them down to five minutes; 0 for all else.

    Args:
        freq: offset alias, or an integer, which has none.
    """
    offset = _offset(freq) if isinstance(freq, str) else None
    if not _on_clock(offset):
        return 0
    steps, rest = divmod(pd.Timedelta("1D"), pd.Timedelta(offset))
    return 0 if rest or steps > _FINEST else int(steps)


def _on_clock(offset) -> bool:
    """Return whether steps are hours or shorter, all of one length."""
    return isinstance(offset, Tick) and not isinstance(offset, Day)


class Calendar:
    """The calendar of one frame: stamps are numbered by integers, `unit` of which make a step.

    Hours and shorter count by arithmetic, integers too; days and longer count the calendar's own stamps, so that
    months are equally long and days stay days when the clock changes.

    Args:
        freq: offset alias or positive integer.
        stamps: all stamps of the frame, `pd.Series`.
    """

    time_unit = None
    kind = "int64"  # of steps

    def __init__(self, freq, stamps: pd.Series):
        self.freq, self.dtype = freq, stamps.dtype
        self.index = None
        if isinstance(freq, str):
            offset = _offset(freq)
            if _on_clock(offset):
                self.unit = int(pd.Timedelta(offset).as_unit("ns").value)
                self.dtype = _fine(stamps.dtype, self.unit)
            else:
                self.unit, self.start = offset.n, _start(stamps)
                self.index = self._until(end=stamps.max())
        else:
            self.unit = int(freq)

    def position(self, stamps: pd.Series) -> np.ndarray:
        """Return the numbers of stamps that may lie between the calendar's, real; months are linear within each.

        Args:
            stamps: stamps, which may lie after the frame's end.
        """
        if not isinstance(self.freq, str):
            return stamps.to_numpy("int64" if pd.api.types.is_integer_dtype(stamps) else "float64")
        if self.index is None:
            return self.encode(stamps)
        stamps = pd.DatetimeIndex(stamps)
        stamps = stamps if self.index.tz is None else stamps.tz_convert(self.index.tz)
        if len(stamps) and stamps.max() >= self.index[-1]:
            self.index = self._until(end=max(stamps.max(), self.index[-1]))
            self.index = self._until(periods=len(self.index) + 2)
        below = np.clip(self.index.searchsorted(stamps, side="right") - 1, 0, len(self.index) - 2)
        low, high = self.index[below], self.index[below + 1]
        return below + np.asarray((stamps - low) / (high - low), "float64")

    def encode(self, stamps: pd.Series) -> np.ndarray:
        """Return the stamps' numbers, int64, -1 for stamps off the calendar of days or longer."""
        if self.index is not None:
            stamps = pd.DatetimeIndex(stamps)
            codes = self.index.get_indexer(stamps).astype("int64")
            if self.index.tz is not None:  # a clock time that is there twice
                off = codes < 0
                codes[off] = self.index.tz_localize(None).get_indexer(stamps[off].tz_localize(None))
            return codes
        if isinstance(self.freq, str):
            return pd.DatetimeIndex(stamps).as_unit("ns").asi8
        return stamps.to_numpy("int64")

    def _until(self, end: pd.Timestamp | None = None, periods: int | None = None) -> pd.DatetimeIndex:
        """Return the calendar's stamps: by local clocks, one that a clock skips later, of one that is there twice the first.

        Args:
            end: a stamp that none is after. Defaults to None.
            periods: number of stamps, instead of `end`. Defaults to None.
        """
        zone, base = getattr(self.dtype, "tz", None), _offset(self.freq).base
        if zone is None:
            return pd.date_range(self.start, end, periods, base)
        local = pd.date_range(self.start, None if end is None else end.tz_localize(None), periods, base)
        index = local.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(len(local), bool))
        late = index[:-1] >= index[1:]
        if late.any():
            raise DataError(
                f"clocks of {zone} skip a day before {index[1:][late][0]}: count in UTC, or without a zone."
            )
        return index

    def decode(self, codes: np.ndarray):
        """Return the stamps of the numbers, in the frame's own type; numbers may lie after the frame's end."""
        if self.index is not None:
            if codes.size and codes.max() >= len(self.index):
                self.index = self._until(periods=int(codes.max()) + 1)
            return pd.Series(self.index[codes]).astype(self.dtype)
        if isinstance(self.freq, str):
            stamps = pd.DatetimeIndex(codes.astype("datetime64[ns]"))
            zone = getattr(self.dtype, "tz", None)
            stamps = stamps.tz_localize("UTC").tz_convert(zone) if zone is not None else stamps
            return pd.Series(stamps).astype(self.dtype)
        return pd.Series(codes).astype(self.dtype)


def _start(stamps: pd.Series) -> pd.Timestamp:
    """Return the first stamp of a calendar, on the local clock: at the usual time of day, which a clock change may have moved."""
    if getattr(stamps.dtype, "tz", None) is None:
        return stamps.min()
    clock = stamps.dt.tz_localize(None)
    return clock.min().normalize() + (clock - clock.dt.normalize()).mode()[0]


def _fine(dtype, length: int):
    """Return a type of stamps as `dtype`, or of nanoseconds where `dtype` cannot tell steps of `length` nanoseconds apart."""
    zoned = isinstance(dtype, pd.DatetimeTZDtype)
    unit = dtype.unit if zoned else np.datetime_data(dtype)[0]
    if length % pd.Timedelta(1, unit).as_unit("ns").value == 0:
        return dtype
    return pd.DatetimeTZDtype("ns", dtype.tz) if zoned else np.dtype("datetime64[ns]")


class Clock:
    """Real elapsed time: stamps are numbered by nanoseconds, plain numbers by themselves; `unit` of which make a unit of time.

    `time_unit` of a clock of plain numbers is None.

    Args:
        time_unit: unit of elapsed time: "W", "D", "h", "min", "s", "ms", "us" or "ns".
        stamps: all stamps of the frame, `pd.Series`.
    """

    freq = None
    index = None
    kind = "float64"

    def __init__(self, time_unit: str, stamps: pd.Series):
        self.dtype = stamps.dtype
        self.time_unit = None if pd.api.types.is_numeric_dtype(stamps) else time_unit
        self.unit = one(time_unit).value if self.time_unit else 1.0

    def encode(self, stamps: pd.Series) -> np.ndarray:
        """Return the stamps' numbers, int64 nanoseconds or float64."""
        if self.time_unit:
            return pd.DatetimeIndex(stamps).as_unit("ns").asi8
        return stamps.to_numpy("float64", copy=True)  # a view would change with its frame

    position = encode

    def decode(self, codes: np.ndarray) -> pd.Series:
        """Return the stamps of the numbers, as fine as needed: integers become real numbers."""
        if not self.time_unit:
            return pd.Series(codes, dtype="float64")
        stamps = pd.DatetimeIndex(codes.astype("datetime64[ns]"))
        zone = getattr(self.dtype, "tz", None)
        return pd.Series(stamps.tz_localize("UTC").tz_convert(zone) if zone is not None else stamps)


def blocks(offsets: np.ndarray):
    """Yield ranges of series of up to 2^18 rows together, or of one that is longer.

    Args:
        offsets: `(S + 1,)`, rows of series s are offsets[s] to offsets[s + 1].
    """
    low = 0
    while low < len(offsets) - 1:
        high = int(np.searchsorted(offsets, offsets[low] + _BLOCK, side="right")) - 1
        yield low, max(high, low + 1)
        low = max(high, low + 1)


def infer_freq(stamps: pd.Series, offsets: np.ndarray):
    """Return the one calendar on which all stamps lie with most neighbours one step apart, or None.

    Args:
        stamps: in order of time within each series, the series one after another.
        offsets: `(S + 1,)`, rows of series s are offsets[s] to offsets[s + 1].
    """
    if len(stamps) == len(offsets) - 1:
        return None
    if not isinstance(stamps.dtype, (np.dtypes.DateTime64DType, pd.DatetimeTZDtype)):
        divisors = [
            np.gcd.reduce(gaps) for _, gaps, _ in _gaps(lambda x: x.to_numpy("int64"), stamps, offsets)
        ]
        return int(np.gcd.reduce(divisors)) or None
    found = [np.unique(gaps, return_counts=True) for _, gaps, _ in _gaps(_local, stamps, offsets)]
    unit = pd.DatetimeIndex(stamps.iloc[:1]).unit
    lengths, places = np.unique(np.concatenate([each[0] for each in found]), return_inverse=True)
    usual = lengths[np.bincount(places, np.concatenate([each[1] for each in found])).argmax()]
    weekends = lengths[-1] >= 3 * usual
    for freq in _candidates(pd.Timedelta(int(usual), unit).as_unit("ns"), stamps, weekends):
        if _fits(Calendar(freq, stamps), stamps, offsets):
            return freq
    return None


def _gaps(encode, stamps: pd.Series, offsets: np.ndarray):
    """Yield, of blocks of series, the stamps' numbers, their differences within series, and how many of these each has."""
    for low, high in blocks(offsets):
        codes = encode(stamps.iloc[offsets[low] : offsets[high]])
        counts = np.diff(offsets[low : high + 1])
        yield codes, np.delete(np.diff(codes), np.cumsum(counts)[:-1] - 1), counts - 1


def _local(stamps: pd.Series) -> np.ndarray:
    """Return the stamps on local clocks in their own unit."""
    return pd.DatetimeIndex(stamps).tz_localize(None).asi8


def _fits(calendar: Calendar, stamps: pd.Series, offsets: np.ndarray) -> bool:
    """Return whether all stamps lie on the calendar, and no series has a usual gap other than one step."""
    single = total = 0
    for codes, gaps, counts in _gaps(calendar.encode, stamps, offsets):
        if (calendar.index is not None and (codes < 0).any()) or (gaps % calendar.unit).any():
            return False
        counts = counts[counts > 0]
        if not counts.size:
            continue
        ones = np.add.reduceat(gaps == calendar.unit, np.cumsum(counts) - counts, dtype="int64")
        if (ones < counts / 2)[counts > 3].any():
            return False
        single, total = single + ones.sum(), total + counts.sum()
    return single >= total / 2


def _candidates(gap: pd.Timedelta, stamps: pd.Series, weekends: bool) -> list[str]:
    """Return the aliases that a usual gap suggests, the likeliest first.

    Args:
        gap: the usual one.
        stamps: all stamps.
        weekends: whether some gap leaves room for a weekend between days.
    """
    days, first = gap / pd.Timedelta(days=1), stamps.iloc[0]
    month, day = first.month_name()[:3].upper(), first.day_name()[:3].upper()
    if days == 1:
        business = weekends and (stamps.dt.day_of_week < 5).all()
        return ["B", "D"] if business else ["D"]
    if days == 7:
        return [f"W-{day}"]
    for low, high, starts, ends in ((28, 31, "MS", "ME"), (89, 92, "QS", "QE"), (365, 366, "YS", "YE")):
        if low <= days <= high:
            anchor = "" if starts == "MS" else f"-{month}"
            return [starts + anchor, ends + anchor, "B" + starts + anchor, "B" + ends + anchor]
    if days > 1:
        months = days > 31 and (stamps.dt.day.nunique() == 1 or stamps.dt.is_month_end.all())
        return [f"{int(days)}D"] if days == int(days) and not months else []
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
