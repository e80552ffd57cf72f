"""Accuracy when part of the history is missing: monthly panels of M3 and Tourism with rows deleted at random.

- irregular: this package on the rows left, `freq=None`, months as real numbers;
- calendar: this package on the calendar, absent rows masked;
- interpolated: the same as calendar after filling the gaps linearly, the last value held to the end;
- nbeats: neuralforecast's interpretable N-BEATS after the same filling (500 steps, as in `peers/run.py`);
- prophet: Prophet with yearly seasonality on the rows left.

Ours are trained on the panel's own measure; four members; settings were chosen on `--validate`, the last horizon of the training
part. `irregular` trains as long a horizon as 95 % of the series are asked for, the gap after their last row included.

python benchmarks/thinning.py --validate
python benchmarks/thinning.py --peers benchmarks/peers/.venv/bin/python
"""

import argparse
import json
import platform
import sys
import tempfile
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from accuracy import split
from metrics import mape, smape
from peers.start import start

import nbeats_basis as nb

PEERS = ("nbeats", "prophet")


def stacks(coefficients: str) -> list:
    """Return trend and twelve-month seasonality."""
    shared = {"units": 128, "coefficients": coefficients}
    return [nb.Trend(**shared), nb.Seasonality([12], 6, **shared)]


def filled(rows: pd.DataFrame, ends: pd.Series) -> pd.DataFrame:
    """Return every month up to each series' end, gaps filled linearly."""
    frames = []
    for name, group in rows.groupby("unique_id"):
        months = np.arange(group.ds.min(), ends[name] + 1)
        frames.append(
            pd.DataFrame({"unique_id": name, "ds": months, "y": np.interp(months, group.ds, group.y)})
        )
    return pd.concat(frames, ignore_index=True)


def ours(method: str, rows, full, at, horizon: int, head, seed: int) -> np.ndarray:
    """Return the forecasts of one of this package's methods."""
    if method == "irregular":
        lookback = [float(k * horizon) for k in (2, 3, 4, 5)]
        asked = at.groupby("unique_id").ds.max() - rows.groupby("unique_id").ds.max()
        longest = float(np.quantile(asked, 0.95))
        forecaster = nb.Forecaster(longest, lookback, None, stacks("combined"), head, seed=seed)
    else:
        forecaster = nb.Forecaster(horizon, freq=1, stacks=stacks("proposed"), head=head, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", nb.DataWarning
        )  # series whose last rows are gone are asked further ahead
        forecaster.fit(full if method == "interpolated" else rows, verbose=0)
        return forecaster.predict(at=at).NBeatsBasis.to_numpy()


def peer_forecast(method: str, python: str, train, at) -> tuple[np.ndarray, dict]:
    """Return the forecasts of a peer in its own environment, and what it says of itself; times are stamps."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("train.csv", "at.csv", "out.csv")]
        for path, frame in zip(paths, (train, at), strict=False):
            frame.to_csv(path, index=False)
        printed = start(python, "run.py", method, *paths)
        table = pd.read_csv(paths[2], parse_dates=["ds"])
    asked = at.merge(table, on=["unique_id", "ds"], how="left")
    return asked.yhat.to_numpy(), json.loads(printed.splitlines()[-1])


def _months(numbers: pd.Series) -> pd.Series:
    start = 12 * 1950 + numbers.to_numpy("int64") - 1
    return pd.to_datetime([f"{m // 12}-{m % 12 + 1:02d}-01" for m in start])


def run(dataset: str, share: float, options) -> dict:
    """Return the errors of all methods at one share of deleted rows."""
    train, test, horizon = split(dataset, "monthly", options.validate)
    rows = nb.synthetic.thin(train, share, seed=options.seed) if share else train
    full, at = filled(rows, train.groupby("unique_id").ds.max()), test[["unique_id", "ds"]]
    measure = mape if dataset == "tourism" else smape
    result = {
        "dataset": f"{dataset} monthly",
        "split": "validation" if options.validate else "test",
        "measure": measure.__name__,
        "deleted": share,
        "seed": options.seed,
    }
    for method in ("irregular", "calendar", "interpolated", *(PEERS if options.peers else ())):
        print(f"{dataset} {share:.0%} {method}", file=sys.stderr, flush=True)
        begin = time.perf_counter()
        if method in PEERS:
            frames = (f.assign(ds=_months(f.ds)) for f in (full if method == "nbeats" else rows, at))
            forecast, about = peer_forecast(method, options.peers, *frames)
            result |= {k: v for k, v in about.items() if k != "seconds"}
        else:
            head = nb.heads.Point(measure.__name__)
            forecast = ours(method, rows, full, at, horizon, head, options.seed)
        result[method] = round(measure(test.y, forecast), 2)
        result[f"{method}_s"] = round(time.perf_counter() - begin)
    return result


def main() -> None:
    """Print one JSON line a panel and share, the versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", default=["tourism", "m3"])
    parser.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.3, 0.5, 0.7])
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--peers", default=None, help="python of the peers' environment")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np)}
    print(json.dumps({**versions, "python": platform.python_version()}), flush=True)
    for dataset in options.datasets:
        for share in options.shares:
            print(json.dumps(run(dataset, share, options)), flush=True)


if __name__ == "__main__":
    main()
