"""What a forecaster's arguments describe: the network and its training windows, on a calendar or at irregular times."""

import warnings
from functools import partial

from nbeats_basis.calendars import length
from nbeats_basis.checks import DataWarning
from nbeats_basis.members import in_turn
from nbeats_basis.model import NBeats
from nbeats_basis.observations import IrregularWindows
from nbeats_basis.panel import Panel
from nbeats_basis.training import Training
from nbeats_basis.windows import Windows

_EMPTIED = 1 / 64  # share of training windows whose history is hidden


def resolve(params: dict, panel: Panel) -> dict:
    """Return the arguments of one network, lengths as numbers, lookbacks one a member.

    Args:
        params: of `presets.plan`.
        panel: the series.
    """
    calendar = panel.calendar
    irregular = calendar.freq is None
    horizon = length("horizon", params["horizon"], calendar)
    given = params["lookback"]
    if given is None:
        given = [
            multiple * horizon if irregular else max(round(multiple * horizon), least)
            for multiple, least in params["lengths"]
        ]
    lookbacks = in_turn("lookback", given, params["members"], partial(length, calendar=calendar))
    return params | {"horizon": horizon, "lookback": lookbacks}


def make_network(plan: dict, panel: Panel, window: float) -> NBeats:
    """Return one network for a panel.

    Args:
        plan: of `resolve`.
        panel: the series.
        window: padded length of the windows.
    """
    irregular = panel.calendar.freq is None
    if not irregular and any(getattr(stack, "phase", None) == "calendar" for stack in plan["stacks"]):
        raise ValueError(
            "phase='calendar' counts real time: fit with freq=None, or let seasons count from the forecast origin by "
            "phase='window'."
        )
    net = NBeats(
        [stack.copy(panel.calendar.time_unit) for stack in plan["stacks"]],
        plan["horizon"],
        plan["lookback"],
        head=plan["head"],
        members=plan["members"],
        scaling=plan["scaling"],
        window=window,
        seed=plan["seed"],
        encoder="regression" if irregular else "window",
        spacing=panel.spacing() if irregular else None,
    )
    net.adapt(*panel.typical)
    net.shares.assign([plan["share"]] * plan["members"])
    return net


def make_windows(panel: Panel, net: NBeats, training: Training, holdout: float) -> Windows | IrregularWindows:
    """Return the training windows; warn of series and observations that they leave out.

    Args:
        panel: the series.
        net: the network.
        training: the settings.
        holdout: steps or length of time held out at the end of each series, 0 for none.
    """
    recent = training.recent
    recent = None if recent is None else length("recent", recent, panel.calendar)
    arguments = (panel, net.window, net.horizon, training.batch_size, holdout, recent)
    if panel.calendar.freq is not None:
        windows = Windows(*arguments)
    else:
        # a forecast that knows no level
        knowable = net.head.is_distribution or set(net.scalings) == {"panel"}
        emptied = _EMPTIED if knowable else 0.0
        windows = IrregularWindows(*arguments, max_points=training.max_points, emptied=emptied)
        windows.observations.warn_if_thinned(windows.origins, training.max_points, stacklevel=3)
    if len(windows.unused):
        first = panel.ids[windows.unused[:1]].tolist()[0]
        warnings.warn(
            f"{len(windows.unused)} of {panel.num_series} series are too short to learn from, the first is {first!r}; "
            "they are forecast all the same.",
            DataWarning,
            stacklevel=3,
        )
    return windows
