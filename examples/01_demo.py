"""From a data frame to a forecast, its components and a served model, on bundled series."""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

import nbeats_basis as nb


def forecast(name: str, horizon: int, season: int, training: nb.Training, folder: Path) -> nb.Forecaster:
    """Hold the last `horizon` steps out, forecast them, print the table and the error, write pictures."""
    df = nb.datasets.load(name)
    last = df.groupby("unique_id")["ds"].rank(ascending=False) <= horizon
    train, test = df[~last], df[last].reset_index(drop=True)
    start = time.perf_counter()
    forecaster = nb.Forecaster(horizon=horizon, training=training).fit(train, verbose=0)
    table = forecaster.predict(level=[80, 95])
    naive = train.groupby("unique_id")["y"].apply(lambda y: np.resize(y.to_numpy()[-season:], horizon))
    table["SeasonalNaive"] = np.concatenate(naive.to_list())
    table = table.merge(test, on=["unique_id", "ds"])
    print(f"\n{name}: {table.unique_id.nunique()} series, {time.perf_counter() - start:.0f} s")
    print(table.head(12).to_string(index=False, float_format=lambda v: f"{v:.1f}"))
    for column in ("NBeatsBasis", "SeasonalNaive"):
        error = (100 * (table[column] - table.y).abs() / table.y.abs()).mean()
        print(f"mean absolute error of the held-out year, {column:14s} {error:6.2f} %")
    inside = table.y.between(table["NBeatsBasis-lo-80"], table["NBeatsBasis-hi-80"]).mean()
    print(f"held-out values inside the 80 % interval: {100 * inside:.0f} %")
    figure = forecaster.plot()
    for ax, series in zip(figure.axes, table.unique_id.unique(), strict=False):
        held = test[test.unique_id == series]
        dots = ax.plot(held.ds, held.y, "C3.", markersize=4)
    figure.legend(dots, ["held out"], frameon=False, loc="outside upper right")
    figure.savefig(folder / f"{name}_forecast.png", dpi=110)
    forecaster.plot_components().savefig(folder / f"{name}_components.png", dpi=110)
    return forecaster


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="demo_output", help="folder for pictures and the SavedModel")
    parser.add_argument("--quick", action="store_true", help="hardly train: only check that everything runs")
    options = parser.parse_args()
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    training = nb.Training(steps=20, epochs=2) if options.quick else nb.Training()
    pd.set_option("display.width", 160)
    forecaster = forecast("air_passengers", 12, 12, training, folder)
    forecaster.export(folder / "saved_model", level=[80, 95])
    forecast("us_macro", 4, 4, training, folder)
    print(f"\npictures and the SavedModel are in {folder}/")


if __name__ == "__main__":
    main()
