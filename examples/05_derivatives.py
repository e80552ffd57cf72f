"""Slopes: how fast the forecast and each component rise, at any time, in y per unit of time."""

import argparse
from pathlib import Path

import pandas as pd

import nbeats_basis as nb


def main() -> None:
    """Fit the weekly CO2 series with its gaps, ask for slopes, compare with the seasons held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", default="derivatives_output", help="folder for the picture and the SavedModel"
    )
    parser.add_argument("--quick", action="store_true", help="hardly train: only check that everything runs")
    options = parser.parse_args()
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)

    df = nb.datasets.load("co2").dropna()
    train, test = df[df.ds < "1999-01-01"], df[(df.ds >= "1999-01-01") & (df.ds < "2000-01-01")]
    forecaster = nb.Forecaster(
        horizon="370D",
        lookback=["1100D", "1500D"],
        freq=None,
        stacks=[
            nb.Trend(1, num_blocks=1, units=64, coefficients="combined"),
            nb.Seasonality(["365.25D"], 4, num_blocks=1, units=64, coefficients="combined"),
        ],
        head=nb.heads.Point("mae"),
        members=2,
        training=nb.Training(steps=20 if options.quick else 200),
        time_unit="D",
    ).fit(train, verbose=0)

    weeks = pd.date_range("1999-01-02", "1999-12-25", freq="7D")
    at = pd.DataFrame({"unique_id": "MaunaLoa", "ds": weeks})
    level, slope = forecaster.decompose(at=at), forecaster.derivative(at)
    step = pd.Timedelta("1D")
    above, below = (forecaster.predict(at=at.assign(ds=at.ds + s)).NBeatsBasis for s in (step, -step))
    error = (slope.NBeatsBasis - (above - below) / 2).abs().max()
    print(f"slopes against differences over two days: largest distance {error:.4f} ppm a day")
    growth = 365.25 * slope.trend.mean()
    print(
        f"the trend rises by {growth:.2f} ppm a year; the curve falls fastest on {weeks[slope.NBeatsBasis.argmin()]:%d %B}"
    )
    joined = level.merge(test, on=["unique_id", "ds"])
    print(f"mean absolute error of the year held out: {(joined.NBeatsBasis - joined.y).abs().mean():.2f} ppm")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    top.plot(test.ds, test.y, "C3.", markersize=4, label="held out")
    top.plot(level.ds, level.NBeatsBasis, "C0", label="forecast")
    top.set_ylabel("CO2, ppm")
    for name, color in (("NBeatsBasis", "C0"), ("trend", "C1"), ("seasonality", "C2")):
        bottom.plot(slope.ds, slope[name], color, label="forecast" if name == "NBeatsBasis" else name)
    bottom.axhline(0, color="0.7", lw=0.8)
    bottom.set_ylabel("slope, ppm a day")
    for ax in (top, bottom):
        ax.legend(frameon=False, loc="lower left", ncols=3)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "slopes.png", dpi=110)
    forecaster.export(folder / "saved_model")
    print(f"the picture and the SavedModel are in {folder}/")


if __name__ == "__main__":
    main()
