"""Which networks a forecaster trains: one kind by default, several for a preset, and smoothing beside them on a calendar."""

from dataclasses import replace
from itertools import chain
from math import ceil

import numpy as np

from nbeats_basis.calendars import length, season_length, steps_of_day
from nbeats_basis.checks import check_choice, check_int, check_type
from nbeats_basis.heads import Head, StudentT
from nbeats_basis.panel import Panel
from nbeats_basis.smoothing_stack import Smoothing
from nbeats_basis.stacks import Generic, Seasonality, Stack, Trend
from nbeats_basis.training import Training

PRESETS = ("best", "fast")
_LOOKBACKS = {None: (2, 3, 4, 5), "fast": (1, 2, 3), "best": (1, 1.5, 2, 2.5, 3, 4, 5, 6)}  # in horizons
_MEMBERS = {"fast": 6, "best": 24}  # of all networks together
_LONGER = {"fast": 2, "best": 4}  # times the usual steps
_LONGEST = {"fast": 1000, "best": 2000}  # steps, beyond which forecasts hardly get better
_FEWEST, _MOST, _AFFORDED = 4, 12, 1200  # members of the default network, and of them times steps
_RELATIVE = 0.1  # typical spread over typical level above which changes are seen relative to the level
_FEW = 100  # steps of a smoothing network, which has little to learn
_FEWER = 50  # of one that finds a week, whose steps take long
_SMOOTHED = (4, 6)  # lookbacks of the members of a smoothing network, in horizons
_WEEKLY = (2, 3), (3, 4)  # of one that finds a week, each in horizons, and at least in weeks
_WEEKS = 2  # that series and lookbacks must have for the week to be a season of hours and parts of them
_WEEK = 672  # most steps of it
_HARMONICS = 24, 84  # most that it finds of a day and of a week, of a week all that hours have
_MEMORY = 1.0  # of these seasons, in weeks
_LEADS = 4  # lead times at which smoothing of hours chooses its rates, whose level soon returns
_SMALL = 16  # windows of a step of such a smoothing network, each with a regression of its own
_CLOCK_STEPS = 1000  # of training, at least, for hours and parts of them: long series of which much repeats
_LAST_SEED = 2**30
_UNITS, _FLAT = 128, {"units": 256, "num_layers": 2}


def plan(params: dict, panel: Panel) -> list[dict]:
    """Return the arguments of each network: what was given counts for all, the preset fills in the rest.

    Members, lookbacks and seeds differ between and within networks, so that their errors do. On a calendar, unless stacks are given,
    the last is a smoothing network.

    Args:
        params: arguments of `Forecaster`.
        panel: the series.

    Returns:
        list of dicts of the arguments but `preset`, head, members, scaling and training filled in; `name`, "smoothing",
        "network0" and so on, or "" of the only other one; `lengths`, the lookbacks where none is given, in horizons, and each with
        the least in steps; and `share`, how much a member counts.

    Raises:
        TypeError: an argument of another type.
        ValueError: an unknown preset, stacks beside lists of stacks, members below 1 or a seed out of range.
    """
    params = dict(params)
    preset, members = params.pop("preset"), params["members"]
    if preset is not None:
        check_choice("preset", preset, PRESETS)
    training = Training() if params["training"] is None else params["training"]
    training = _training(preset, check_type("training", training, Training, "a `Training`"), panel)
    head = _head(preset, panel) if params["head"] is None else params["head"]
    check_type("head", head, Head, "a head such as `heads.StudentT()`")
    seed = check_int("seed", params["seed"], minimum=0)
    if seed > _LAST_SEED:
        raise ValueError(f"`seed` must be at most {_LAST_SEED}. Received: seed={seed}")
    in_ratios = params["stacks"] is None and params["scaling"] is None and preset and _allows_ratios(panel)
    seasons = _seasons(params["lookback"], panel)
    kinds = (
        _kinds(preset, panel, seasons, in_ratios) if params["stacks"] is None else _lists(params["stacks"])
    )
    if members == "auto":
        members = max(_MEMBERS[preset] // len(kinds), 1) if preset else _default_members(training, panel)
    members = check_int("members", members)
    scaling = _scaling(head, panel) if params["scaling"] is None else params["scaling"]
    scalings, multiples = scaling, _LOOKBACKS[preset]
    if in_ratios:  # the second half, its lookbacks as those of the first
        halves = ceil(members / 2), members // 2
        scalings = [scaling] * halves[0] + ["ratio"] * halves[1]
        multiples = [multiples[k % len(multiples)] for half in halves for k in range(half)]
    shortest = max(2, 2 * seasons[0] if len(seasons) == 1 else sum(seasons))
    shared = {
        "head": head,
        "scaling": scalings,
        "members": members,
        "lengths": [(multiple, shortest) for multiple in multiples],
        "training": training,
        "share": 1.0,
    }
    plans = [
        params
        | shared
        | {
            "stacks": stacks,
            "name": f"network{number}" if len(kinds) > 1 else "",
            "seed": seed + number * members,
        }
        for number, stacks in enumerate(kinds)
    ]
    if params["stacks"] is None and panel.calendar.freq is not None:
        leads = _LEADS if _in_hours(panel) else 1
        plans.append(_smoothing(plans, seasons, shortest, "ratio" if in_ratios else scaling, leads))
    return plans


def _in_hours(panel: Panel) -> bool:
    """Return whether steps are hours or parts of them, several to the day."""
    return steps_of_day(panel.calendar.freq) > 1


def _seasons(lookback, panel: Panel) -> tuple[int, ...]:
    """Return the steps of the usual season, 1 for none, and of the week where steps are of a day and there are some weeks to see.

    Args:
        lookback: what was given.
        panel: the series.
    """
    freq = panel.calendar.freq
    season, day = season_length(freq), steps_of_day(freq)
    known = np.median(panel.last_steps) + 1
    if lookback is not None:
        given = lookback if np.iterable(lookback) and not isinstance(lookback, str) else [lookback]
        known = min([known, *(length("lookback", each, panel.calendar) for each in given)])
    return (season, 7 * day) if day > 1 and 7 * day <= min(known / _WEEKS, _WEEK) else (season,)


def _smoothing(plans: list[dict], seasons: tuple[int, ...], shortest: int, scaling, leads: int) -> dict:
    """Return the arguments of a smoothing network that counts as much as all others together and trains for few steps."""
    last, training = plans[-1], plans[-1]["training"]
    if len(seasons) > 1:
        harmonics = [min(each) for each in zip(_HARMONICS, [season // 2 for season in seasons], strict=True)]
        stack = Smoothing(list(seasons), harmonics, _MEMORY, leads, multiplicative=True)
        lengths = [(multiple, weeks * seasons[-1]) for multiple, weeks in _WEEKLY]
        few, batch_size = _FEWER, min(_SMALL, training.batch_size)
    else:
        stack = Smoothing(list(seasons) if seasons[0] > 1 else None, None, None, leads, multiplicative=True)
        lengths = [(multiple, shortest) for multiple in _SMOOTHED]
        few, batch_size = _FEW, training.batch_size
    return last | {
        "name": "smoothing",
        "stacks": [stack],
        "scaling": scaling,
        "members": len(lengths),
        "lengths": lengths,
        "training": replace(training, steps=min(training.steps or few, few), batch_size=batch_size),
        "seed": last["seed"] + last["members"],
        "share": sum(each["members"] for each in plans) / len(lengths),
    }


def _lists(stacks) -> list:
    """Return the stacks given as a list of kinds, each a list of stacks."""
    check_type("stacks", stacks, (list, tuple), "a list of stacks, or of lists of stacks")
    lists = [isinstance(each, (list, tuple)) for each in stacks]
    if any(lists) and not all(lists):
        raise ValueError(
            f"`stacks` must be a list of stacks, or of lists of stacks. Received: stacks={stacks!r}"
        )
    kinds = list(stacks) if any(lists) else [stacks]
    for each in chain.from_iterable(kinds):
        check_type("stacks", each, Stack, "a list of stacks, or of lists of stacks")
    return kinds


def _training(preset: str | None, training: Training, panel: Panel) -> Training:
    """Return the training with the steps of a preset, or of hours and parts of them, where it does not say how many."""
    in_hours = _in_hours(panel)
    if training.steps is not None or not (preset or in_hours):
        return training
    steps = max(_steps(training, panel), _CLOCK_STEPS if in_hours else 0)
    return replace(training, steps=min(_LONGER[preset] * steps, _LONGEST[preset]) if preset else steps)


def _steps(training: Training, panel: Panel) -> int:
    return training.epochs * training.plan(len(panel.values))[0]


def _default_members(training: Training, panel: Panel) -> int:
    """Return more members where they train for few steps, so that forecasts of small panels depend less on the seed."""
    affordable = _AFFORDED // _steps(training, panel)
    return int(np.clip(affordable // _FEWEST * _FEWEST, _FEWEST, _MOST))


def _head(preset: str | None, panel: Panel) -> StudentT:
    """Return a head of likelihood alone at irregular times and for hours and parts of them, elsewhere of errors relative to heights or changes."""
    if panel.calendar.freq is None or _in_hours(panel):
        return StudentT()
    return StudentT("change" if preset else "height")


def _scaling(head: Head, panel: Panel) -> str:
    """Return "level" for a head of percentages where the data vary by percentages that matter, "std" elsewhere."""
    return "level" if head.is_relative and _is_relative(panel) else "std"


def _is_relative(panel: Panel) -> bool:
    """Return whether the data vary by percentages of their level that matter."""
    level, spread = panel.typical
    return spread >= _RELATIVE * abs(level)


def _allows_ratios(panel: Panel) -> bool:
    """Return whether values can be seen as multiples of their level: on a calendar, none negative, varying by percentages that matter."""
    return panel.calendar.freq is not None and _is_relative(panel) and bool(panel.values.min() >= 0)


def _kinds(preset: str | None, panel: Panel, seasons: tuple[int, ...], in_ratios: bool) -> list[list[Stack]]:
    """Return the stacks of each network: a preset has two, unless members of one differ by what they see.

    A preset's blocks for months and shorter steps are flat and wide, and so are all for hours and parts of them.

    Args:
        preset: "best", "fast" or None.
        panel: the series.
        seasons: of `_seasons`.
        in_ratios: whether some members see values as multiples of their level.
    """
    if panel.calendar.freq is None:
        return [[Trend(units=_UNITS, coefficients="combined"), Generic(units=_UNITS)]]
    wide = preset and seasons[0] > 4 or _in_hours(panel)
    size = _FLAT if wide else {"units": _UNITS}
    if seasons[0] > 1:
        interpretable = [Trend(**size), Seasonality(seasons, **size)]
    else:
        interpretable = [Trend(num_blocks=1, **size), Generic(**size)]
    if preset and not in_ratios:
        return [interpretable, [Generic(**size) for _ in range(3)]]
    return [interpretable]
