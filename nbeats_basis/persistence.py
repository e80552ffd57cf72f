"""One folder for a fitted forecaster: settings as JSON, weights, and the history it forecasts from; no pickle."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from nbeats_basis._version import __version__
from nbeats_basis.checks import plain
from nbeats_basis.ensemble import as_one
from nbeats_basis.model import NBeats
from nbeats_basis.network import Network
from nbeats_basis.panel import Columns, Panel

SCHEMA = 6


def write(folder: Path, settings: dict, net: Network, panel: Panel, last: float) -> None:
    """Write `forecaster.json`, `network.weights.h5` and `history.npz`.

    Args:
        folder: made if it is not there.
        settings: what JSON can hold; what `write_history` adds and the networks' configurations are added.
        net: the network.
        panel: the series.
        last: how much of each series is kept, as for `Panel.to_frame`.

    Raises:
        TypeError: series named by anything but strings and integers, or a time zone without a name.
    """
    networks = [each.get_config() for each in net.networks()]
    write_history(folder, {**settings, "networks": networks}, panel, last)
    net.save_weights(folder / "network.weights.h5")


def write_history(folder: Path, settings: dict, panel: Panel, last: float | None = None) -> None:
    """Write `forecaster.json` and `history.npz`.

    Args:
        folder: made if it is not there.
        settings: what JSON can hold; schema, version and what tells the panel again are added.
        panel: the series.
        last: how much of each series is kept, as for `Panel.to_frame`. Defaults to None, all.

    Raises:
        TypeError: series named by anything but strings and integers, or a time zone without a name.
    """
    columns, history = panel.columns, panel.to_frame(last=last)
    stamps, dtype = _plain_stamps(history[columns.time])
    codes, ids = pd.factorize(history[columns.id])
    ids = [plain(i) for i in ids]
    if not all(isinstance(i, (str, int)) for i in ids):
        raise TypeError(
            "series must be named by strings or integers to be saved. Convert the column of the series."
        )
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "schema": SCHEMA,
        "version": __version__,
        **settings,
        "columns": asdict(columns),
        "freq": panel.calendar.freq,
        "time_unit": panel.calendar.time_unit,
        "time_dtype": dtype,
        "ids": ids,
    }
    (folder / "forecaster.json").write_text(json.dumps(settings, indent=1, default=_plain))
    np.savez_compressed(folder / "history.npz", id=codes, ds=stamps, y=history[columns.target].to_numpy())


def read(folder: Path) -> tuple[dict, Network, Panel]:
    """Return what `write` was given, the panel of what was kept.

    Args:
        folder: of `write`.

    Raises:
        ValueError: the folder was written by a version of another form.
    """
    settings, panel = read_history(folder)
    net = as_one([NBeats.from_config(config) for config in settings["networks"]])
    net.load_weights(folder / "network.weights.h5")
    return settings, net, panel


def read_history(folder: Path) -> tuple[dict, Panel]:
    """Return what `write_history` was given, the panel of what was kept.

    Args:
        folder: of `write_history`.

    Raises:
        ValueError: the folder was written by a version of another form.
    """
    settings = json.loads((folder / "forecaster.json").read_text())
    if settings["schema"] != SCHEMA:
        raise ValueError(
            f"{str(folder)!r} was saved in form {settings['schema']} by nbeats_basis {settings['version']}; this one, "
            f"{__version__}, reads form {SCHEMA}. Load it with a version that wrote it, or fit again."
        )
    columns = Columns(**settings["columns"])
    with np.load(folder / "history.npz", allow_pickle=False) as arrays:
        stamps = _typed_stamps(arrays["ds"], settings["time_dtype"])
        # categories keep the order of the series, whatever they were sorted by
        ids = pd.Categorical.from_codes(arrays["id"], settings["ids"])
        history = pd.DataFrame({columns.id: ids, columns.time: stamps, columns.target: arrays["y"]})
    return settings, Panel.from_frame(history, columns, settings["freq"], settings["time_unit"] or "D")


def _plain(value):
    """Return NumPy's numbers and sequences other than lists as what JSON knows."""
    return value.item() if isinstance(value, np.generic) else list(value)


def _plain_stamps(stamps: pd.Series) -> tuple[np.ndarray, str]:
    """Return the times as numbers and the name of their type."""
    if pd.api.types.is_numeric_dtype(stamps):
        return stamps.to_numpy(), str(stamps.dtype)
    index, dtype = pd.DatetimeIndex(stamps), str(stamps.dtype)
    try:
        pd.api.types.pandas_dtype(dtype)
    except (TypeError, KeyError) as error:
        raise TypeError(
            f"the time zone {index.tz} cannot be saved by name. Convert the column of times, such as by "
            "tz_convert('Europe/Berlin')."
        ) from error
    return index.asi8, dtype


def _typed_stamps(stamps: np.ndarray, dtype: str) -> pd.Series:
    """Return the times of `_plain_stamps`."""
    if not dtype.startswith("datetime64"):
        return pd.Series(stamps).astype(dtype)
    unit, _, zone = dtype[len("datetime64[") : -1].partition(", ")
    index = pd.DatetimeIndex(stamps.astype(f"datetime64[{unit}]"))
    return pd.Series(index.tz_localize("UTC").tz_convert(zone) if zone else index)
