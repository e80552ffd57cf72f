"""Hours and half-hours, a day or a week ahead, beside repeating last week, MSTL and neuralforecast's N-BEATS.

The series are described in peers/hours.py. Their last two weeks are forecast from each midnight; networks are trained once, before them,
and MSTL is fitted anew at each. Where the last hours before a midnight are missing, ours start there, and the end of the day counts for
none. Ours are the defaults, their rules chosen on earlier parts of the same series. Errors are mean absolute errors divided by those of
repeating last week, geometric means over the series.

python benchmarks/hours.py hours --days 1 --peers benchmarks/peers/.venv/bin/python
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from peers.hours import DAY, FREQ, HELD_OUT
from peers.start import start
from records import about

import nbeats_basis as nb


def peer(python: str, *command: str) -> tuple[pd.DataFrame, str]:
    """Return what the peers' script writes and prints."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "out.csv")
        printed = start(python, "hours.py", *command, path)
        return pd.read_csv(path, parse_dates=["ds"]), printed


def ours(df: pd.DataFrame, panel: str, days: int, seed: int) -> pd.DataFrame:
    """Return our forecasts with their 80 % intervals, and `cutoff`, the last time known."""
    left = df.groupby("unique_id").cumcount(ascending=False)  # observations after
    day, parts, model = DAY[panel], [], None
    for ahead in range(HELD_OUT, days - 1, -1):
        past = df[left >= ahead * day]
        if model is None:
            model = nb.Forecaster(days * day, freq=FREQ[panel], seed=seed).fit(past, verbose=0)
        last = past.groupby("unique_id", sort=False).ds.last().rename("cutoff")
        parts.append(model.predict(past, level=[80]).join(last, on="unique_id"))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Print one line of JSON a method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("panel", choices=list(FREQ))
    parser.add_argument("--days", type=int, default=1, help="horizon")
    parser.add_argument("--peers", required=True, help="Python of the peers' environment")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    df, _ = peer(options.peers, "data", options.panel)
    versions = {"nbeats_basis": nb.__version__, "keras": keras.__version__, "tensorflow": tf.__version__}
    print(json.dumps(about(versions) | vars(options) | {"peers": None}))
    begin = time.perf_counter()
    table = ours(df, options.panel, options.days, options.seed).merge(df, on=["unique_id", "ds"])
    seconds = {"NBeatsBasis": round(time.perf_counter() - begin)}
    others, printed = peer(options.peers, "forecast", options.panel, str(options.days))
    others["cutoff"] = pd.to_datetime(others.cutoff)
    table = table.merge(others, on=["unique_id", "ds", "cutoff"], how="left", validate="1:1").dropna(
        subset="y"
    )
    seconds |= json.loads(printed.splitlines()[-1])
    errors = table[list(seconds)].sub(table.y, axis=0).abs().groupby(table.unique_id).mean()
    ratios = errors.div(errors.SeasonalNaive, axis=0)
    inside = (table["NBeatsBasis-lo-80"] <= table.y) & (table.y <= table["NBeatsBasis-hi-80"])
    for method, taken in seconds.items():
        result = {
            "method": method,
            "ratio": round(np.exp(np.log(ratios[method]).mean()), 3),
            "seconds": taken,
        }
        if len(errors) == 1:
            result["error"] = round(errors[method].mean(), 1)
        if method == "NBeatsBasis":
            result["inside_80"] = round(inside.mean(), 3)
        print(json.dumps(result))
    print(ratios.round(3).to_string())


if __name__ == "__main__":
    main()
