"""Which networks a forecaster trains: one kind by default, several kinds side by side for a preset."""

from nbeats_basis.calendars import season_length
from nbeats_basis.checks import check_choice, check_int
from nbeats_basis.panel import Panel
from nbeats_basis.stacks import Generic, Seasonality, Stack, Trend

PRESETS = ("best", "fast")
_LOOKBACKS = {None: (2, 3, 4, 5), "fast": (1, 2, 3), "best": (1, 1.5, 2, 3, 4, 6)}  # in horizons
_MEMBERS = {None: 4, "fast": 3, "best": 12}  # of each network
_UNITS = 128


def plan(params: dict, panel: Panel) -> list[dict]:
    """Return the arguments of each network: what was given counts for all, the preset fills in the rest.

    Members, lookbacks and seeds differ between and within networks, so that their errors do.

    Args:
        params: arguments of `Forecaster`.
        panel: the series.

    Returns:
        list of dicts of the arguments but `preset`; `multiples`, the lookbacks in horizons where none is given; and `searched`,
        whether validation shall choose steps and lookbacks.

    Raises:
        ValueError: an unknown preset, or members that are neither "auto" nor an integer of at least 1.
    """
    params = dict(params)
    preset, members = params.pop("preset"), params["members"]
    if preset is not None:
        check_choice("preset", preset, PRESETS)
    members = _MEMBERS[preset] if members == "auto" else check_int("members", members)
    kinds = [params["stacks"]] if params["stacks"] is not None else _kinds(preset, panel)
    searched = preset == "best" and params["training"] is None
    shared = {"members": members, "multiples": _LOOKBACKS[preset], "searched": searched}
    return [
        params | shared | {"stacks": stacks, "seed": params["seed"] + number * members}
        for number, stacks in enumerate(kinds)
    ]


def _kinds(preset: str | None, panel: Panel) -> list[list[Stack]]:
    """Return the stacks of each network."""
    season = season_length(panel.calendar.freq)
    if panel.calendar.freq is None:
        return [[Trend(units=_UNITS, coefficients="combined"), Generic(units=_UNITS)]]
    interpretable = [Trend(units=_UNITS), Seasonality([season] if season > 1 else None, units=_UNITS)]
    generic = [Generic(units=_UNITS) for _ in range(3)]
    return [interpretable] if preset is None else [interpretable, generic]
