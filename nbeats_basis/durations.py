"""Durations such as "7D", in units of time."""

from numbers import Real

import pandas as pd

from nbeats_basis.checks import check_choice, check_positive

TIME_UNITS = ("W", "D", "h", "min", "s", "ms", "us", "ns")


def duration(name: str, value: str | float, time_unit: str | None) -> float:
    """Return a length of time as a number of `time_unit`; numbers pass through.

    Args:
        name: the argument's name, for errors.
        value: a number, or text such as "7D", "365.25D", "90min" or "1h30min".
        time_unit: "W", "D", "h", "min", "s", "ms", "us" or "ns"; None where only numbers make sense.

    Raises:
        TypeError: neither a number nor text.
        ValueError: not a positive duration, or text where only numbers make sense.

    Example:
        >>> duration("horizon", "7D", "h")
        168.0
    """
    if isinstance(value, Real):
        return check_positive(name, value)
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a number or a duration such as '7D'. Received: {name}={value!r}")
    if time_unit is None:
        raise ValueError(
            f"`{name}` can be a duration only at irregular times of stamps; give a number. Received: {name}={value!r}"
        )
    try:
        is_number = value.strip().replace(".", "", 1).isdigit()
        if "MS" in value or is_number:  # pandas reads milliseconds, and nanoseconds
            raise ValueError
        length = pd.Timedelta(value) / one(time_unit)
    except ValueError:
        raise ValueError(
            f"`{name}` must be a number or a duration of fixed length such as '7D', '365.25D', '36h' or '90min' (months "
            f"and years have none). Received: {name}={value!r}"
        ) from None
    return check_positive(name, length)


def one(time_unit: str) -> pd.Timedelta:
    """Return one unit of time.

    Args:
        time_unit: one of `TIME_UNITS`.
    """
    return pd.Timedelta(1, check_choice("time_unit", time_unit, TIME_UNITS))
