"""Half-hourly demand for electricity in England and Wales (Taylor 2003), and peers' forecasts of its last two weeks, a day ahead.

python demand.py data out.csv         # the series, from pmdarima
python demand.py forecast out.csv     # columns unique_id, ds, cutoff, y and one a method; seconds of each on the standard output
"""

import json
import logging
import sys
import time

import pandas as pd

HORIZON, DAYS, SEASONS = 48, 14, [48, 336]


def data() -> pd.DataFrame:
    """Return the series as a long frame."""
    from pmdarima.datasets import load_taylor

    demand = load_taylor()
    times = pd.date_range("2000-06-05", periods=len(demand), freq="30min")
    return pd.DataFrame({"unique_id": "demand", "ds": times, "y": demand})


def forecast() -> tuple[pd.DataFrame, dict]:
    """Return the forecasts of all days and the seconds that each method took."""
    from neuralforecast import NeuralForecast
    from neuralforecast.models import NBEATS
    from statsforecast import StatsForecast
    from statsforecast.models import MSTL, AutoETS, SeasonalNaive

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    df, found, seconds = data(), None, {}
    windows = {"n_windows": DAYS, "step_size": HORIZON}
    quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    methods = {
        "SeasonalNaive": SeasonalNaive(SEASONS[-1]),
        "MSTL": MSTL(SEASONS, trend_forecaster=AutoETS(model="ZZN")),
        "NBEATS": NBEATS(h=HORIZON, input_size=8 * HORIZON, max_steps=500, random_seed=1, **quiet),
    }
    for name, model in methods.items():
        begin = time.perf_counter()
        if name == "NBEATS":  # trained once, before the first day
            table = NeuralForecast([model], "30min").cross_validation(df, **windows)
        else:
            table = StatsForecast([model], "30min").cross_validation(HORIZON, df, **windows)
        seconds[name] = round(time.perf_counter() - begin, 1)
        table = table.reset_index(drop="unique_id" in table)
        keys = ["unique_id", "ds", "cutoff"]
        found = table if found is None else found.merge(table[[*keys, name]], on=keys)
    return found, seconds


if __name__ == "__main__":
    command, path = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr
    if command == "data":
        data().to_csv(path, index=False)
    else:
        table, taken = forecast()
        table.to_csv(path, index=False)
        print(json.dumps(taken), file=answers)
