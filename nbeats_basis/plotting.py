"""Pictures of forecasts and components; matplotlib is imported when one is drawn."""

import numpy as np
import pandas as pd

from nbeats_basis.checks import short_names
from nbeats_basis.panel import Columns


def plot_forecast(history: pd.DataFrame, forecast: pd.DataFrame, columns: Columns, alias: str, level: list):
    """Draw each series' history, forecast and intervals; return the matplotlib figure.

    Args:
        history: long frame of observations.
        forecast: long frame with the columns `alias`, `alias-lo-80`, `alias-hi-80`, ...
        columns: names of the columns.
        alias: name of the forecast.
        level: percentages of the intervals drawn.
    """
    figure, axes = _panels(forecast[columns.id].unique(), 1)
    for name, ax in axes.items():
        past, future = (f[f[columns.id] == name] for f in (history, forecast))
        ax[0].plot(
            past[columns.time],
            past[columns.target],
            color="0.25",
            marker=".",
            markersize=3,
            lw=1,
            label="observed",
        )
        ax[0].plot(future[columns.time], future[alias], color="C0", label="forecast")
        widths = sorted(level, reverse=True)
        for i, width in enumerate(short_names(widths, 100)):
            low, high = (future[f"{alias}-{side}-{width}"] for side in ("lo", "hi"))
            shade = ("C0", 0.2 + 0.3 * i / len(level))
            ax[0].fill_between(future[columns.time], low, high, color=shade, lw=0, label=f"{width} %")
        ax[0].set_title(str(name), loc="left")
    handles = next(iter(axes.values()))[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, loc="outside upper left", ncols=2 + len(level))
    return _with_few_dates(figure)


def plot_components(components: pd.DataFrame, columns: Columns, alias: str):
    """Draw each series' forecast and, below it, each component; return the matplotlib figure.

    Args:
        components: long frame with the column `alias` and one for each component.
        columns: names of the columns.
        alias: name of the forecast.
    """
    names = [c for c in components.columns if c not in (columns.id, columns.time)]
    figure, axes = _panels(components[columns.id].unique(), len(names))
    for series, column in axes.items():
        part = components[components[columns.id] == series]
        for ax, name in zip(column, names, strict=True):
            ax.plot(
                part[columns.time],
                part[name],
                color="C0" if name == alias else "C1",
                marker=".",
                markersize=4,
            )
            ax.set_ylabel("forecast" if name == alias else name)
        column[0].set_title(str(series), loc="left")
    return _with_few_dates(figure)


def plot_atoms(atoms: pd.DataFrame, columns: Columns, span: tuple[float, float], unit: str):
    """Draw each series' oscillations as lines at their frequencies; return the matplotlib figure.

    The darkness is the amplitude, in units of the largest at the last observation.

    Args:
        atoms: of `Forecaster.atoms`; functions that are no oscillations are not drawn.
        columns: names of the columns.
        span: first and last time drawn, from the last observation.
        unit: name of the unit of time.
    """
    waves = atoms[atoms["frequency"] > 0]
    if waves.empty:
        raise ValueError(
            "No stack sees an oscillation: `plot_atoms` needs a basis of oscillations, such as Fourier, and series that vary."
        )
    figure, axes = _panels(waves[columns.id].unique(), 1)
    from matplotlib.collections import LineCollection

    times = np.linspace(*span, 201)
    for name, ax in axes.items():
        part = waves[waves[columns.id] == name]
        sizes = part.groupby(["frequency", "decay"])["amplitude"].sum().reset_index()
        logs = np.log(sizes["amplitude"].to_numpy()) - sizes["decay"].to_numpy() * times[1:, None]
        shades = np.exp(np.minimum(logs - np.log(sizes["amplitude"].max()), 0))
        for shade, frequency in zip(shades.T, sizes["frequency"], strict=True):
            ends = np.stack([times, np.full(201, frequency)], axis=-1)
            lines = LineCollection(np.stack([ends[:-1], ends[1:]], axis=1), lw=4, capstyle="butt")
            lines.set(color="C0", alpha=shade)
            ax[0].add_collection(lines)
        ax[0].axvline(0, color="0.25", lw=1, ls=":")
        ax[0].set(ylim=(0, 1.08 * waves["frequency"].max()), xlim=span, ylabel=f"cycles per {unit}")
        ax[0].set_title(str(name), loc="left")
    next(reversed(axes.values()))[0].set_xlabel(f"time from the last observation ({unit})")
    return figure


def _with_few_dates(figure):
    """Return the figure with short labels of dates that do not touch."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    for ax in figure.axes:
        usual = ax.xaxis.get_major_locator()
        if isinstance(usual, AutoDateLocator):
            locator = AutoDateLocator(usual.tz, minticks=3, maxticks=7)
            ax.xaxis.set_major_locator(locator)
            ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, usual.tz))
    return figure


def _panels(series, rows: int):
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'nbeats_basis[plot]'") from error
    wide = rows > 1  # components: a column a series; forecasts: a row a series
    shape = (rows, len(series)) if wide else (len(series), 1)
    figure = Figure(figsize=(4.5 * shape[1] + 3 * (not wide), 1.9 * shape[0] + 1.2), layout="constrained")
    grid = figure.subplots(*shape, squeeze=False)
    for ax in grid.ravel():
        ax.spines[["top", "right"]].set_visible(False)
    return figure, {name: grid[:, i] if wide else grid[i] for i, name in enumerate(series)}
