"""Half-hourly demand for electricity a day ahead, beside repeating last week, MSTL and neuralforecast's N-BEATS.

Demand in England and Wales, 5 June to 27 August 2000 (Taylor 2003), from the package pmdarima. Each day of the last two weeks is
forecast from the midnight before it; networks are trained once, on the ten weeks before. Ours are the defaults. How these treat days and
weeks was chosen on generated series and on the days from 2688, 2912, 3136 and 3360, the last of which is the first one here. In MW.

python benchmarks/demand.py --peers benchmarks/peers/.venv/bin/python
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from peers.demand import DAYS, HORIZON
from records import about

import nbeats_basis as nb


def peer(python: str, command: str) -> tuple[pd.DataFrame, str]:
    """Return what the peers' script writes and prints."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "out.csv")
        script = str(Path(__file__).parent / "peers" / "demand.py")
        done = subprocess.run([python, script, command, path], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return pd.read_csv(path, parse_dates=["ds"]), done.stdout


def main() -> None:
    """Print one line of JSON a method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", required=True, help="Python of the peers' environment")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    df, _ = peer(options.peers, "data")
    origins = len(df) - HORIZON * np.arange(DAYS, 0, -1)
    begin = time.perf_counter()
    forecaster = nb.Forecaster(HORIZON, seed=options.seed).fit(df[: origins[0]], verbose=0)
    days = pd.concat([forecaster.predict(df[:origin], level=[80]) for origin in origins])
    seconds = round(time.perf_counter() - begin, 1)
    truth = df.y.to_numpy()[origins[0] :]
    inside = (days["NBeatsBasis-lo-80"] <= truth) & (truth <= days["NBeatsBasis-hi-80"])
    versions = {"nbeats_basis": nb.__version__, "keras": keras.__version__, "tensorflow": tf.__version__}
    print(json.dumps(about(versions) | {"seed": options.seed}))
    mae = round(np.abs(days.NBeatsBasis - truth).mean())
    print(
        json.dumps(
            {"method": "nbeats_basis", "mae": mae, "inside_80": round(inside.mean(), 3), "seconds": seconds}
        )
    )
    table, printed = peer(options.peers, "forecast")
    for method, taken in json.loads(printed.splitlines()[-1]).items():
        mae = round((table[method] - table.y).abs().mean())
        print(json.dumps({"method": method, "mae": mae, "seconds": taken}))


if __name__ == "__main__":
    main()
