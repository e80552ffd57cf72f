"""Argument checks, and the errors and warnings of the package."""

from collections.abc import Collection, Iterable
from numbers import Integral, Real

import numpy as np


class NotFittedError(ValueError, AttributeError):
    """A fitted attribute or method was used before `fit`."""


class DataError(ValueError):
    """A data frame cannot be used; the message names the series, the column and the first bad row."""


class DataWarning(UserWarning):
    """The data can be used, but something about it deserves a look."""


class TrainingWarning(UserWarning):
    """Training ended early; the message says at which step and in which member."""


def check_int(name: str, value, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`; raise TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}")
    if value < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value!r}")
    return int(value)


def check_positive(name: str, value) -> float:
    """Return `value` as a finite float above zero; raise TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number. Received: {name}={value!r}")
    if not 0 < value < float("inf"):
        raise ValueError(f"`{name}` must be positive and finite. Received: {name}={value!r}")
    return float(value)


def check_between(name: str, value, low: float, high: float) -> float:
    """Return a number of a range, its ends included.

    Args:
        name: the argument's name.
        value: what was received.
        low: least.
        high: most.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise ValueError(f"`{name}` must be a number from {low:g} to {high:g}. Received: {name}={value!r}")
    return float(value)


def check_type(name: str, value, kind: type | tuple, what: str):
    """Return `value` if it is of a type; raise TypeError otherwise.

    Args:
        name: the argument's name.
        value: what was received.
        kind: the type, or several.
        what: it is in words, such as "a `Training`".
    """
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be {what}. Received: {name}={value!r}")
    return value


def check_choice(name: str, value, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`; raise ValueError otherwise."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")
    return value


def plain(value):
    """Return a number or array of NumPy or pandas as Python's number or list, and anything else as it is, for messages and configurations.

    Args:
        value: anything.
    """
    is_time = isinstance(value, (np.datetime64, np.timedelta64))
    return value.tolist() if hasattr(value, "tolist") and not is_time else value


def check_quantiles(level=None, quantiles=None) -> list[float]:
    """Return quantile levels in (0, 1) from central intervals or quantiles.

    Args:
        level: percentages of central intervals, each in (0, 100): 80 gives the quantiles 0.1 and 0.9.
        quantiles: probabilities in (0, 1), instead of `level`.

    Raises:
        TypeError: no list.
        ValueError: both are given, or one is out of range.
    """
    if level is not None and quantiles is not None:
        raise ValueError(
            "`level` and `quantiles` say the same thing twice; give one. "
            f"Received: level={level!r}, quantiles={quantiles!r}"
        )
    for name, values, top in (("level", level, 100), ("quantiles", quantiles, 1)):
        if values is None:
            continue
        if isinstance(values, str) or not isinstance(values, Collection):
            raise TypeError(f"`{name}` must be a list of numbers. Received: {name}={values!r}")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < top:
                raise ValueError(
                    f"`{name}` must lie strictly between 0 and {top}. Received: {name}={values!r}"
                )
    if level is not None:
        return [p for lv in level for p in (0.5 - float(lv) / 200, 0.5 + float(lv) / 200)]
    return [] if quantiles is None else [float(q) for q in quantiles]


def quantile_columns(level=None, quantiles=None) -> list[tuple[str, int]]:
    """Return pairs of a column's suffix and its place in `check_quantiles`, in increasing order of the quantiles.

    Args:
        level: as for `check_quantiles`. Defaults to None.
        quantiles: as for `check_quantiles`. Defaults to None.
    """
    levels = check_quantiles(level, quantiles)
    if level is not None:
        names = [f"{side}-{width}" for width in short_names(level, 100) for side in ("lo", "hi")]
    else:
        names = [f"q{q}" for q in short_names(levels, 1)]
    return sorted(((name, i) for i, name in enumerate(names)), key=lambda pair: levels[pair[1]])


def short_names(values, top: float) -> list[str]:
    """Return numbers between 0 and `top` as text of six digits, or as many as tell a number from the others and from 0 and `top`.

    Args:
        values: the numbers.
        top: what they lie below.
    """
    names = []
    for value in map(float, values):
        others = [float(other) for other in values if other != value]
        for digits in range(6, 17):
            name = f"{value:.{digits}g}"
            if 0 < float(name) < top and all(name != f"{other:.{digits}g}" for other in others):
                break
        else:
            name = repr(value)
        names.append(name)
    return names


def unused(name: str, taken: list[str]) -> str:
    """Return the name, or the first of name_2, name_3, ... that is not taken.

    Args:
        name: wanted.
        taken: names in use.
    """
    names = [name, *(f"{name}_{i}" for i in range(2, len(taken) + 2))]
    return next(n for n in names if n not in taken)
