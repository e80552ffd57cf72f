"""Draws `docs/time.png`: one sensor of the example's panel, its observations, and what the model says at any time."""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

import nbeats_basis as nb

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
panel = __import__("04_irregular_panel")


def main() -> None:
    """Fit, ask for a dense grid before and after the last observation, draw."""
    df = panel.sensors(60)
    forecaster = nb.Forecaster(
        horizon="10D",
        lookback=["21D", "28D"],
        freq=None,
        stacks=[
            nb.Trend(1, units=128, coefficients="combined"),
            nb.Seasonality(["3D", "7D"], harmonics=1, units=128, coefficients="combined"),
        ],
        training=nb.Training(steps=500),
    ).fit(df, verbose=0)
    one = df[df.unique_id == "sensor00"]
    last = one.ds.max()
    recent = one[one.ds > last - pd.Timedelta("20D")]

    def at(start, end):
        return pd.DataFrame({"unique_id": "sensor00", "ds": pd.date_range(start, end, freq="1h")})

    inside = forecaster.smooth(at(recent.ds.min(), last))
    ahead = at(last, last + pd.Timedelta("10D"))
    forecast, parts = forecaster.predict(at=ahead, level=[80]), forecaster.decompose(at=ahead)
    figure = Figure(figsize=(9, 6), layout="constrained")
    top, *below = figure.subplots(3, 1, sharex=True, height_ratios=[2, 1, 1])
    top.plot(recent.ds, recent.y, "k.", markersize=4, label="observations")
    top.plot(inside.ds, inside.NBeatsBasis, "C1", lw=1, label="smooth(at)")
    top.plot(forecast.ds, forecast.NBeatsBasis, "C0", label="predict(at)")
    band = forecast["NBeatsBasis-lo-80"], forecast["NBeatsBasis-hi-80"]
    top.fill_between(forecast.ds, *band, color=("C0", 0.25), lw=0, label="80 %")
    figure.legend(frameon=False, loc="outside upper left", ncols=4)
    for ax, name in zip(below, ("trend", "seasonality"), strict=True):
        offset = inside.level if name == "trend" else 0
        ax.plot(inside.ds, inside[name] + offset, "C1", lw=1)
        ax.plot(parts.ds, parts[name] + (parts.level if name == "trend" else 0), "C0")
        ax.set_ylabel("level + trend" if name == "trend" else name)
    for ax in (top, *below):
        ax.axvline(last, color="0.7", lw=0.8)
        ax.spines[["top", "right"]].set_visible(False)
        ax.xaxis.set_major_locator(AutoDateLocator(maxticks=8))
        ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
    figure.savefig(HERE / "time.png", dpi=110)


if __name__ == "__main__":
    main()
