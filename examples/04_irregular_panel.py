"""Forecasts of series whose observations came whenever they came: no calendar, no resampling, any time asked."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import nbeats_basis as nb


def sensors(num_series: int) -> pd.DataFrame:
    """Return waves of three days and of one week, at random times, with stamps."""
    rng = np.random.default_rng(4)
    frames = []
    for s in range(num_series):
        days = np.sort(rng.uniform(0, 90, rng.integers(120, 240)))
        wave = np.cos(2 * np.pi * (days / 3 + rng.uniform())) + 2 * np.cos(
            2 * np.pi * (days / 7 + rng.uniform())
        )
        y = 20 + 5 * rng.normal() + wave + 0.3 * rng.normal(size=days.size)
        stamps = pd.Timestamp("2026-01-01") + pd.to_timedelta(days, "D")
        frames.append(pd.DataFrame({"unique_id": f"sensor{s:02d}", "ds": stamps, "y": y}))
    return pd.concat(frames, ignore_index=True)


def main() -> None:
    """Fit, ask for times of our own, draw, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="irregular_output", help="folder for pictures and the SavedModel")
    parser.add_argument("--quick", action="store_true", help="hardly train: only check that everything runs")
    options = parser.parse_args()
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)

    df = sensors(8 if options.quick else 60)
    begin_of_test = df.groupby("unique_id").ds.transform("max") - pd.Timedelta("7D")
    train, test = df[df.ds <= begin_of_test], df[df.ds > begin_of_test]
    waves = nb.Seasonality(["3D", "7D"], harmonics=1, units=128, coefficients="combined")
    forecaster = nb.Forecaster(
        horizon="10D",
        lookback=["21D", "28D"],
        freq=None,
        stacks=[nb.Trend(1, units=128, coefficients="combined"), waves],
        training=nb.Training(steps=20 if options.quick else 500),
    ).fit(train, verbose=0)

    table = forecaster.predict(at=test, level=[80])  # the very times of the rows held out
    table["y"] = test.y
    table["LastValue"] = table.unique_id.map(train.groupby("unique_id").y.last())
    print(table.head(8).to_string(index=False, float_format=lambda v: f"{v:.2f}"))
    for name in ("NBeatsBasis", "LastValue"):
        print(f"mean absolute error, {name:12s} {(table[name] - table.y).abs().mean():.3f}")
    inside = table.y.between(table["NBeatsBasis-lo-80"], table["NBeatsBasis-hi-80"]).mean()
    print(f"held-out values inside the 80 % interval: {100 * inside:.0f} %")

    inside = train[train.unique_id == "sensor00"].tail(60)
    print("inside the history, smoothed:")
    print(forecaster.smooth(at=inside).tail(3).to_string(index=False, float_format=lambda v: f"{v:.2f}"))
    figure = forecaster.plot(ids=["sensor00", "sensor01"])
    for ax, name in zip(figure.axes, ("sensor00", "sensor01"), strict=True):
        held = test[test.unique_id == name]
        dots = ax.plot(held.ds, held.y, "C3.", markersize=4)
    figure.legend(dots, ["held out"], frameon=False, loc="outside upper right")
    figure.savefig(folder / "forecast.png", dpi=110)
    forecaster.plot_components(ids=["sensor00", "sensor01"]).savefig(folder / "components.png", dpi=110)
    forecaster.export(folder / "saved_model", level=[80])
    print(f"pictures and the SavedModel are in {folder}/")


if __name__ == "__main__":
    main()
