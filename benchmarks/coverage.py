"""How often intervals hold what they say: shares of observations inside central intervals, panels of the competitions.

On M1's test part, and on the last horizon of the training parts of M3 and Tourism; presets as in accuracy.py.

python benchmarks/coverage.py --dataset m3 --preset default fast
"""

import argparse
import json

import keras
import numpy as np
import tensorflow as tf
from accuracy import FREQUENCIES, settings, split, stamped
from records import about

import nbeats_basis as nb

LEVELS = (50, 80, 95)


def covered(dataset: str, group: str, preset: str, seed: int) -> dict:
    """Return the share of observations inside each central interval, in percent, and steps 1 and H apart at 80 %."""
    train, test, horizon = split(dataset, group, 0 if dataset == "m1" else 1)
    chosen = settings(preset, dataset, group, horizon)
    forecaster = nb.Forecaster(horizon=horizon, freq=FREQUENCIES[group], seed=seed, **chosen)
    table = forecaster.fit(stamped(train, FREQUENCIES[group]), verbose=0).predict(level=list(LEVELS))
    y = test.y.to_numpy()
    inside = {
        level: (y >= table[f"NBeatsBasis-lo-{level}"].to_numpy())
        & (y <= table[f"NBeatsBasis-hi-{level}"].to_numpy())
        for level in LEVELS
    }
    by_step = inside[80].reshape(-1, horizon).mean(axis=0)
    shares = {f"{level} %": round(100 * float(each.mean()), 1) for level, each in inside.items()}
    return shares | {f"80 %, step {step}": round(100 * float(by_step[step - 1]), 1) for step in (1, horizon)}


def main() -> None:
    """Print a JSON line of versions, then one a group and preset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", nargs="+", default=["m1", "m3", "tourism"])
    parser.add_argument("--group", nargs="+", default=None, help="groups of the data set; all if left out")
    parser.add_argument(
        "--preset", nargs="+", default=["default", "fast"], choices=["default", "fast", "best"]
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np)}
    print(json.dumps({**about(versions), "seed": options.seed}))
    for dataset in options.dataset:
        for group in options.group or nb.datasets.COMPETITIONS[dataset]:
            for preset in options.preset:
                shares = covered(dataset, group, preset, options.seed)
                print(json.dumps({"dataset": dataset, "group": group, "preset": preset} | shares), flush=True)


if __name__ == "__main__":
    main()
